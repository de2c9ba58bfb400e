"""The training loop, its collector and its checkpoints."""
