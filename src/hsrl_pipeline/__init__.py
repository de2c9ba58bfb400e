"""Hierarchical Semantic RL for recommenders: one honest, runnable comparison."""

from hsrl_pipeline.simulator.gym.registration import register_environments

__version__ = "0.1.0"

register_environments()
