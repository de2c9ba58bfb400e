"""The simulated user's response: models of clicks, how they are fitted, how faithful they are."""
