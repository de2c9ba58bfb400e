"""Parameters of the simulated users: their networks, how they are fitted, how they are judged."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from hsrl_pipeline.config.base import FrozenConfig


class ResponseNetworkConfig(FrozenConfig):
    """Sizes and regularisation of the response model (paper, App. B)."""

    embedding_size: int = Field(
        default=32,
        ge=2,
        le=1024,
        description="Width of user, item and state vectors; a multiple of n_heads.",
    )
    n_heads: int = Field(default=4, ge=1, le=64, description="Heads of the history attention.")
    taste_size: int = Field(
        default=32,
        ge=0,
        le=1024,
        description="Width of the item vectors from a truncated SVD of the fitting rows' feedback; "
        "fewer if the log has less, 0 leaves them out.",
    )
    dropout: float = Field(
        default=0.1, ge=0.0, lt=1.0, description="Dropout rate of attention weights and state."
    )
    history_dropout: float = Field(
        default=0.3,
        ge=0.0,
        lt=1.0,
        description="Share of history entries hidden in a training step, in [0, 1).",
    )
    id_dropout: float = Field(
        default=0.05,
        ge=0.0,
        lt=1.0,
        description="Share of items that a training step treats as never shown, so that content "
        "alone can answer for items without training data, in [0, 1).",
    )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.embedding_size % self.n_heads:
            raise ValueError(
                f"embedding_size {self.embedding_size} is not a multiple of n_heads {self.n_heads}"
            )
        return self


class UserTasteConfig(FrozenConfig):
    """What users with a taste of their own are made of (``simulator.user_taste``)."""

    size: int = Field(default=8, ge=1, le=256, description="Numbers of a user's taste vector.")
    visit_gap_days: float = Field(
        default=7.0,
        gt=0.0,
        le=3650.0,
        description="Days without a row after which a user's next row begins a later visit. Later "
        "visits are held out to decide how much of a taste lasts; a log without them holds out "
        "each user's latest rows.",
    )
    n_folds: int = Field(
        default=3,
        ge=2,
        le=20,
        description="Parts of each user's rows; the taste beside a row comes from the other parts.",
    )
    dropout: float = Field(
        default=0.2,
        ge=0.0,
        lt=1.0,
        description="Share of rows that a training step shows without their user's taste, so that "
        "users without rows are answered too, in [0, 1).",
    )


class SimulatorConfig(FrozenConfig):
    """The two simulators: Psi_train for learners, Psi_eval for judging them."""

    kind: Literal["learned", "constant"] = Field(
        default="learned",
        description="Training simulator: learned from the log, or constant, which answers every "
        "item with the log's click rate (simulator ablation). It never concerns Psi_eval.",
    )
    eval: Literal["model", "recorded"] = Field(
        default="model",
        description="Evaluation simulator: a model fitted on everything, or recorded: what people "
        "really answered to every item (docs/data_sources.md).",
    )
    network: ResponseNetworkConfig = Field(default_factory=ResponseNetworkConfig)
    user_id_embedding: bool = Field(
        default=False,
        description="Whether users have a free embedding each; it memorises (docs/simulators.md).",
    )
    user_taste: bool = Field(
        default=True,
        description="Whether users have a taste of their own, inferred from all their likes and "
        "dislikes in the fitting rows; policies never see it.",
    )
    taste: UserTasteConfig = Field(default_factory=UserTasteConfig)
    n_members: int = Field(
        default=1, ge=1, le=20, description="Members of each simulator's ensemble; 1 is none."
    )
    learning_rate: float = Field(
        default=3e-3, gt=0.0, le=1.0, description="Highest learning rate of the one-cycle schedule."
    )
    weight_decay: float = Field(
        default=1e-5, ge=0.0, le=10.0, description="Decoupled weight decay (AdamW)."
    )
    batch_size: int = Field(default=256, ge=1, le=1_000_000, description="Slates per step.")
    max_epochs: int = Field(
        default=10, ge=1, le=1000, description="Length of the schedule, passes over the rows."
    )
    patience: int = Field(
        default=2,
        ge=1,
        le=1000,
        description="Epochs without a better held-out log-loss after which fitting stops.",
    )
    holdout_fraction: float = Field(
        default=0.1,
        gt=0.0,
        le=0.5,
        description="Latest share of a simulator's rows, held out to stop early and to calibrate.",
    )
    calibrate: bool = Field(
        default=True,
        description="Whether Psi_train's log-odds are rescaled on the held-out rows (Platt).",
    )
    calibration_warning: float = Field(
        default=0.03,
        gt=0.0,
        le=1.0,
        description="Expected calibration error above which the fidelity table warns.",
    )
    n_calibration_bins: int = Field(
        default=15, ge=2, le=1000, description="Equal-width bins of calibration error and plot."
    )

    @property
    def has_members(self) -> bool:
        """Whether the training simulator consists of members that can disagree."""
        return self.kind == "learned" and self.n_members > 1

    @model_validator(mode="after")
    def _one_way_to_know_a_user(self) -> Self:
        if self.user_taste and self.user_id_embedding:
            raise ValueError(
                "user_taste and user_id_embedding are two ways to know a user: choose one"
            )
        return self
