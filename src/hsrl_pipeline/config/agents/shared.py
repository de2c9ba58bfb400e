"""Settings that several agents share: state encoder, optimiser steps, discount, targets."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from hsrl_pipeline.config.agents.search_space import SearchSpace
from hsrl_pipeline.config.base import FrozenConfig

ExperienceKind = Literal["log", "replay", "fresh"]
"""What an agent learns from: logged slates alone, samples of a replay buffer, or the newest
transitions of the acting sessions in their order."""

NewItemRule = Literal["mean", "ridge"]
"""What the weights of a new item start with: the mean of the other items' weights (zero for learned
vectors), or what a ridge regression of these on the item vectors predicts."""


class EncoderConfig(FrozenConfig):
    """Size and inputs of the state encoder, the same for all agents of a comparison."""

    embedding_size: int = Field(
        32, ge=2, le=1024, description="Width d of states and item representations"
    )
    n_layers: int = Field(2, ge=1, le=12, description="Self-attention layers over the history")
    n_heads: int = Field(4, ge=1, le=16, description="Attention heads; must divide embedding_size")
    feedforward_size: int = Field(64, ge=2, le=4096, description="Hidden width of a layer's MLP")
    dropout: float = Field(
        0.0, ge=0.0, lt=1.0, description="Dropout rate in updates; never when acting or in targets"
    )
    use_item_vectors: bool = Field(
        True, description="Item representation includes the projected item vector"
    )
    use_item_ids: bool = Field(
        True, description="Item representation includes a learned vector per item"
    )
    use_item_codes: bool = Field(
        False, description="Item representation includes a learned vector per semantic-ID token"
    )
    use_user_features: bool = Field(True, description="State includes the user's features")
    use_step: bool = Field(True, description="State includes the steps taken in the session")

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if self.embedding_size % self.n_heads:
            raise ValueError(
                f"n_heads ({self.n_heads}) must divide embedding_size ({self.embedding_size})"
            )
        if not (self.use_item_vectors or self.use_item_ids or self.use_item_codes):
            raise ValueError(
                "one of use_item_vectors, use_item_ids and use_item_codes must be true"
            )
        return self


class AgentSettings(FrozenConfig):
    """What the settings of every agent contain.

    Attributes:
        search_space: Which of the settings ``agent_search`` varies, and how far.
        experience: What the agent learns from.
    """

    search_space: ClassVar[SearchSpace]
    experience: ClassVar[ExperienceKind]

    encoder: EncoderConfig = Field(
        default_factory=EncoderConfig, description="State encoder of this agent"
    )
    learning_rate: float = Field(
        1e-3, gt=0.0, le=1.0, description="Step size of the optimiser (the actor's, if separate)"
    )
    gradient_clip: float = Field(
        1.0, gt=0.0, description="Largest norm of a gradient before an optimiser step"
    )
    mixed_precision: bool = Field(
        False, description="Run network forward passes in bfloat16 where the device supports it"
    )

    @property
    def slates_per_state(self) -> int:
        """Number of slates drawn for a state that the agent learns from, with the one shown."""
        return 1


class DiscountedSettings(AgentSettings):
    """Settings of agents that value next observations."""

    gamma: float = Field(0.9, ge=0.0, lt=1.0, description="Discount per step (App. B: 0.9)")


class ValueSettings(DiscountedSettings):
    """Settings of agents that bootstrap from a target network."""

    tau: float = Field(
        0.01, gt=0.0, le=1.0, description="Polyak share of the online weights per update"
    )


class EntropySettings(FrozenConfig):
    """Settings of agents that are paid for entropy: the price, and how it changes."""

    entropy_coef: float = Field(0.0, ge=0.0, description="Price of entropy at the first update")
    final_entropy_coef: float | None = Field(
        None, ge=0.0, description="Price of entropy after the annealing; null: it stays as it is"
    )
    entropy_annealing_updates: int = Field(
        2000, ge=1, description="Updates in which the price goes to its final value, in a line"
    )

    def entropy_coef_at(self, update: int) -> float:
        """Return the price of entropy.

        Args:
            update: Number of the update, from 1.
        """
        if self.final_entropy_coef is None:
            return self.entropy_coef
        gone = min((update - 1) / self.entropy_annealing_updates, 1.0)
        return self.entropy_coef + gone * (self.final_entropy_coef - self.entropy_coef)


class HyperActionSettings(ValueSettings):
    """What agents with a continuous action share."""

    experience: ClassVar[ExperienceKind] = "replay"

    critic_learning_rate: float = Field(
        1e-3, gt=0.0, le=1.0, description="Step size of the critics and the state encoder"
    )
    hidden_size: int = Field(128, ge=1, description="Hidden width of actor and critics")
    exploration_noise_std: float = Field(
        0.1,
        ge=0.0,
        le=10.0,
        description="Noise on the hyper-action while training, per dimension of size about 1",
    )
    item_bias: bool = Field(
        True,
        description="Whether an item's score also has a learned part that is the same for all; "
        "the papers have none",
    )
    bias_shrinkage: float = Field(
        0.001, ge=0.0, description="Weight of the sum of squared item biases in their loss"
    )
