"""``sl``: settings of the supervised click model and the space to search them in."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from hsrl_pipeline.config.agents.search_space import LEARNING_RATE, Choice, Interval, SearchSpace
from hsrl_pipeline.config.agents.shared import AgentSettings, EncoderConfig, ExperienceKind
from hsrl_pipeline.config.base import FrozenConfig


class EarlyStoppingConfig(FrozenConfig):
    """When an agent that learns from the log alone has learned enough."""

    held_out_share: float = Field(
        0.05, ge=0.0, le=0.5, description="Share of the latest training slates; 0 never stops early"
    )
    check_every: int = Field(200, ge=1, description="Updates between two checks of their loss")
    patience: int = Field(5, ge=1, description="Checks without a lower loss before training ends")


class SupervisedSettings(AgentSettings):
    """Settings of ``sl``, the supervised click model."""

    experience: ClassVar[ExperienceKind] = "log"
    search_space: ClassVar[SearchSpace] = {
        "learning_rate": LEARNING_RATE,
        "weight_decay": Interval(1e-4, 1.0),
        "doubt_coef": Interval(0.05, 2.0),
        "log_batch_size": Choice((128, 256)),
    }

    encoder: EncoderConfig = Field(
        default_factory=lambda: EncoderConfig(use_step=False, dropout=0.2),
        description="State encoder; logged slates do not say which step of a session they were",
    )
    learning_rate: float = Field(3e-3, gt=0.0, le=1.0, description="Step size")
    weight_decay: float = Field(
        0.1, ge=0.0, le=1.0, description="Decoupled weight decay per unit of learning rate"
    )
    log_batch_size: int = Field(256, ge=1, description="Logged slates per update")
    doubt_coef: float = Field(
        0.5, ge=0.0, description="Exposures without click of a random item per logged slate"
    )
    early_stopping: EarlyStoppingConfig = Field(
        default_factory=EarlyStoppingConfig, description="Slates held out to end training by"
    )

    @field_validator("encoder")
    @classmethod
    def _refuse_untrained_steps(cls, encoder: EncoderConfig) -> EncoderConfig:
        if encoder.use_step:
            raise ValueError(
                "use_step must be false: logged slates count as step 0, so that the vectors of "
                "later steps would stay untrained"
            )
        return encoder
