"""Parameters of the training loop, the same for every agent."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from hsrl_pipeline.config.base import FrozenConfig


class TrainingConfig(FrozenConfig):
    """How long and on what an agent is trained."""

    n_iterations: int = Field(
        2_000, ge=1, le=10_000_000, description="Updates; each follows one step of all sessions"
    )
    learning_rate: float | None = Field(
        None, gt=0.0, le=1.0, description="Step size; null is the agent's own"
    )
    final_learning_rate_share: float = Field(
        1.0,
        ge=0.0,
        le=1.0,
        description="What is left of all step sizes at the last update; they fall in a straight "
        "line, 1 keeps them",
    )
    acting_batch_size: int = Field(32, ge=1, le=65_536, description="Parallel sessions")
    batch_size: int = Field(
        64, ge=1, le=65_536, description="Replayed transitions per update; agents that use replay"
    )
    fresh_batch_size: int = Field(
        32,
        ge=1,
        le=65_536,
        description="Newest transitions per update, for agents that learn from fresh ones; with as "
        "many as parallel sessions each transition is learned from once",
    )
    buffer_size: int = Field(
        100_000,
        ge=1,
        le=10_000_000,
        description="Transitions kept for replay, by agents that use it",
    )
    warmup_transitions: int = Field(
        2_000, ge=1, description="Transitions collected before the first update"
    )
    feedback: Literal["sampled", "expected"] = Field(
        "sampled",
        description="What agents learn from: the clicks drawn in the sessions, or the simulator's "
        "click probabilities of the same slates and their reward, which vary less; the same for "
        "all agents",
    )
    disagreement_penalty: float = Field(
        0.0,
        ge=0.0,
        le=100.0,
        description="Standard deviations of the simulator members' click probabilities that are "
        "taken off the probabilities agents learn from, down to 0; needs feedback: expected and "
        "simulator.n_members of at least 2; the same for all agents",
    )
    metrics_every: int = Field(
        50, ge=1, description="Iterations between two points of the training curves"
    )
    checkpoint_every: int = Field(
        2_000, ge=1, description="Iterations between two checkpoints that a run can resume from"
    )
    resume: bool = Field(
        False, description="Continue from the last checkpoint of this agent and seed, if any"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where to train; auto takes CUDA when there is one"
    )
    collapse_items: float = Field(
        2.0,
        ge=0.0,
        description="Warn when fewer than this many slates' worth of items make up the exposure",
    )

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        needed = max(self.acting_batch_size, self.batch_size, self.fresh_batch_size)
        if self.buffer_size < needed:
            raise ValueError(
                f"buffer_size ({self.buffer_size}) must be at least the largest of "
                f"acting_batch_size, batch_size and fresh_batch_size ({needed})"
            )
        if self.disagreement_penalty and self.feedback != "expected":
            raise ValueError(
                f"disagreement_penalty ({self.disagreement_penalty}) lowers expected clicks, but "
                f"feedback is {self.feedback}: set feedback to expected, or the penalty to 0"
            )
        return self
