"""The learned user, the session dynamics and the environments built from them."""
