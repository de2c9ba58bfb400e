"""The training loop, its collector and its checkpoints."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.training.agent_training import train_agent as train_agent
    from hsrl_pipeline.training.checkpoint_store import CheckpointStore as CheckpointStore
    from hsrl_pipeline.training.checkpoint_store import FileCheckpointStore as FileCheckpointStore
    from hsrl_pipeline.training.collector import Collector as Collector
    from hsrl_pipeline.training.search_trials import search_agent as search_agent
    from hsrl_pipeline.training.trainer import Trainer as Trainer
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".agent_training": ["train_agent"],
            ".checkpoint_store": ["CheckpointStore", "FileCheckpointStore"],
            ".collector": ["Collector"],
            ".search_trials": ["search_agent"],
            ".trainer": ["Trainer"],
        },
    )
