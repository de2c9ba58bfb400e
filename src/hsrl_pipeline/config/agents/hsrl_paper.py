"""``hsrl_paper``: settings of the paper's agent, each ablation a field, and their search space."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from hsrl_pipeline.config.agents.search_space import LEARNING_RATE, Interval, SearchSpace
from hsrl_pipeline.config.agents.shared import EntropySettings, ExperienceKind, ValueSettings


class HsrlPaperSettings(EntropySettings, ValueSettings):
    """Settings of ``hsrl_paper``: the paper's Eq. 10-26 and the ablations of its Table 3."""

    experience: ClassVar[ExperienceKind] = "replay"
    search_space: ClassVar[SearchSpace] = {
        "learning_rate": LEARNING_RATE,
        "critic_learning_rate": LEARNING_RATE,
        "entropy_coef": Interval(1e-4, 1.0),
        "cloning_coef": Interval(3e-3, 3.0),
    }

    critic_learning_rate: float = Field(
        1e-3, gt=0.0, le=1.0, description="Step size for the critic and its level weights"
    )
    entropy_coef: float = Field(
        0.1, ge=0.0, description="lambda_en of Eq. 25; 0 is the ablation without entropy"
    )
    cloning_coef: float = Field(
        0.1, ge=0.0, description="lambda_BC of Eq. 25; 0 is the ablation without cloning"
    )
    cloning_batch_size: int = Field(
        64, ge=1, description="Logged slates per update for the cloning term"
    )
    policy_head: Literal["hierarchical", "flat"] = Field(
        "hierarchical",
        description="flat: every level reads c_0, the ablation without residual contexts",
    )
    gated_context: bool = Field(
        False,
        description="Whether expected codes also scale the context, c (1 + G) - E; Eq. 13 has no "
        "gate",
    )
    critic_head: Literal["multi_level", "uniform", "single", "prefix"] = Field(
        "multi_level",
        description="What advantages are measured from. uniform: equal weights of all levels "
        "instead of learned ones; single: one value of c_0, the ablation without the MLC; prefix: "
        "for each level a value of c_0 and the codes taken before it",
    )
    level_decay: float = Field(
        1.0,
        ge=0.0,
        le=1.0,
        description="Lambda over levels (critic_head prefix): the codes of a level are credited "
        "with what the values after it say, one that lies m levels on weighing lambda^m; 1 is the "
        "target alone",
    )
    critic_hidden_size: int = Field(64, ge=1, description="Hidden width of f_phi (Eq. 15)")
    advantage_clip: float = Field(1.0, gt=0.0, description="Bound of the advantage (Eq. 21)")
    value_reaches_encoder: bool = Field(
        True, description="The critic loss also trains the actor's contexts (joint Eq. 26)"
    )

    @model_validator(mode="after")
    def _check_level_decay(self) -> Self:
        """Refuse a mix of values where there is one value alone."""
        if self.level_decay < 1.0 and self.critic_head != "prefix":
            raise ValueError(
                f"level_decay ({self.level_decay}) below 1 needs critic_head prefix, it is "
                f"{self.critic_head}"
            )
        return self
