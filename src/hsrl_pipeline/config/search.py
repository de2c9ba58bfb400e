"""Parameters of the hyper-parameter search, the same budget for every agent."""

from __future__ import annotations

from pydantic import Field

from hsrl_pipeline.config.base import FrozenConfig
from hsrl_pipeline.config.session import Regime


class SearchConfig(FrozenConfig):
    """Budget of a search; it sees the training split and the training simulator alone."""

    n_trials: int = Field(
        8, ge=1, le=10_000, description="Settings tried; the first is the agent's present one"
    )
    n_iterations: int = Field(
        2_000, ge=1, le=10_000_000, description="Updates per trial, in place of the training's"
    )
    n_episodes: int = Field(
        1_000, ge=2, le=1_000_000, description="Greedy sessions that judge a trial, per regime"
    )
    regimes: tuple[Regime, ...] | None = Field(
        None,
        min_length=1,
        description="A trial trains and is judged in each of these regimes, and counts by its mean "
        "reward over them; null: in the run's own",
    )
