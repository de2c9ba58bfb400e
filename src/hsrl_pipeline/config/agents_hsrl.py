"""Settings of the two HSRL agents; each ablation is one field."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hsrl_pipeline.config.agent_settings import EncoderConfig, ValueSettings


class HsrlPaperSettings(ValueSettings):
    """Settings of ``hsrl_paper``: the paper's Eq. 10-26 and the ablations of its Table 3."""

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
    critic_head: Literal["multi_level", "single"] = Field(
        "multi_level", description="single: one value of c_0, the ablation without the MLC"
    )
    critic_hidden_size: int = Field(64, ge=1, description="Hidden width of f_phi (Eq. 15)")
    advantage_clip: float = Field(1.0, gt=0.0, description="Bound of the advantage (Eq. 21)")
    value_reaches_encoder: bool = Field(
        True, description="The critic loss also trains the actor's contexts (joint Eq. 26)"
    )


class HsrlSettings(ValueSettings):
    """Settings of ``hsrl``; every departure from the paper is a switch."""

    encoder: EncoderConfig = Field(
        default_factory=lambda: EncoderConfig(use_item_ids=False, use_item_codes=True),
        description="State encoder; without a vector per item its size ignores the catalogue",
    )
