"""Parameters of the training loop, the same for every agent."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from hsrl_pipeline.config.agents.shared import AgentSettings
from hsrl_pipeline.config.base import FrozenConfig
from hsrl_pipeline.errors import UserError


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
    return_steps: int = Field(
        1,
        ge=1,
        le=1_000,
        description="Steps whose rewards enter a target, for agents that learn from fresh "
        "transitions: each update learns from the step that lies one less than this back; 1 is "
        "the one-step target of the newest",
    )
    return_decay: float = Field(
        1.0,
        ge=0.0,
        le=1.0,
        description="Lambda over these steps: 1 takes their rewards and the value after the last, "
        "below 1 the values after earlier ones count too",
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
        if self.return_steps > 1 and self.fresh_batch_size != self.acting_batch_size:
            raise ValueError(
                f"return_steps ({self.return_steps}) above 1 learns from one step of all sessions "
                f"at a time: set fresh_batch_size ({self.fresh_batch_size}) to acting_batch_size "
                f"({self.acting_batch_size})"
            )
        if self.disagreement_penalty and self.feedback != "expected":
            raise ValueError(
                f"disagreement_penalty ({self.disagreement_penalty}) lowers expected clicks, but "
                f"feedback is {self.feedback}: set feedback to expected, or the penalty to 0"
            )
        return self

    def check_agent(self, name: str, settings: AgentSettings) -> None:
        """Refuse settings that an agent cannot learn by.

        Args:
            name: Registered name of the agent.
            settings: Its settings.

        Raises:
            UserError: The agent knows no steps in a row, and ``return_steps`` asks for some, or
                judged slates ask for what these settings do not give.
        """
        if self.return_steps > 1 and settings.experience != "fresh":
            raise UserError(
                f"training.return_steps is {self.return_steps}, and agent {name!r} knows no steps "
                "in a row: it does not learn from the newest transitions of its sessions",
                where="training.return_steps",
                remedy="Leave it at 1 for this agent.",
            )
        group_size = settings.slates_per_state
        if group_size > 1 and self.feedback != "expected":
            raise UserError(
                f"agents.{name}.group_size is {group_size}, and slates that are not shown have "
                "click probabilities, but no clicks to learn from",
                where="training.feedback",
                remedy="Set training.feedback=expected, or leave group_size at 1.",
            )
        if group_size > 1 and self.fresh_batch_size != self.acting_batch_size:
            raise UserError(
                f"agents.{name}.group_size is {group_size}, and groups are learned from one step "
                f"of all {self.acting_batch_size} sessions at a time, not {self.fresh_batch_size}",
                where="training.fresh_batch_size",
                remedy="Set it to training.acting_batch_size, or leave group_size at 1.",
            )
