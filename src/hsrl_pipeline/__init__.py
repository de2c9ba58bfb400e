"""Hierarchical Semantic RL for recommenders: one honest, runnable comparison."""

__version__ = "0.1.0"
