"""Grids of trials, the measures that compare them, and their report."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.experiments.grid import read_grid as read_grid
    from hsrl_pipeline.experiments.measures import holm as holm
    from hsrl_pipeline.experiments.measures import (
        improvement_probability as improvement_probability,
    )
    from hsrl_pipeline.experiments.measures import interquartile_mean as interquartile_mean
    from hsrl_pipeline.experiments.pool import ProcessPool as ProcessPool
    from hsrl_pipeline.experiments.store import ExperimentStore as ExperimentStore
    from hsrl_pipeline.experiments.trial import Grid as Grid
    from hsrl_pipeline.experiments.trial import Trial as Trial
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".grid": ["read_grid"],
            ".measures": ["holm", "improvement_probability", "interquartile_mean"],
            ".pool": ["ProcessPool"],
            ".store": ["ExperimentStore"],
            ".trial": ["Grid", "Trial"],
        },
    )
