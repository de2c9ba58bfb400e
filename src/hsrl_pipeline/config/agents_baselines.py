"""Settings of the baseline agents, one model per agent."""

from __future__ import annotations

from pydantic import Field, field_validator

from hsrl_pipeline.config.agent_settings import (
    AgentSettings,
    DiscountedSettings,
    EncoderConfig,
    ValueSettings,
)
from hsrl_pipeline.config.base import FrozenConfig


class EarlyStoppingConfig(FrozenConfig):
    """When an agent that learns from the log alone has learned enough."""

    held_out_share: float = Field(
        0.05, ge=0.0, le=0.5, description="Share of the latest training slates; 0 never stops early"
    )
    check_every: int = Field(200, ge=1, description="Updates between two looks at their loss")
    patience: int = Field(5, ge=1, description="Looks without a lower loss before training ends")


class SupervisedSettings(AgentSettings):
    """Settings of ``sl``, the supervised click model."""

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


class A2CSettings(DiscountedSettings):
    """Settings of ``a2c``, the item-level softmax policy with a state-value baseline."""

    entropy_coef: float = Field(
        0.01, ge=0.0, description="Weight of the item distribution's entropy, in nats"
    )
    value_coef: float = Field(0.5, ge=0.0, description="Weight of the squared value error")
    value_hidden_size: int = Field(64, ge=1, description="Hidden width of the value head")
    advantage_clip: float = Field(1.0, gt=0.0, description="Bound of the advantage either way")


class HyperActionSettings(ValueSettings):
    """What agents with a continuous action share."""

    critic_learning_rate: float = Field(
        1e-3, gt=0.0, le=1.0, description="Step size of the critics and the state encoder"
    )
    hidden_size: int = Field(128, ge=1, description="Hidden width of actor and critics")
    exploration_noise_std: float = Field(
        0.1,
        ge=0.0,
        le=2.0,
        description="Noise on the hyper-action while training, per dimension of size about 1",
    )


class DDPGSettings(HyperActionSettings):
    """Settings of ``ddpg``; a positive ``behavior_coef`` makes it behaviour-regularised."""

    latent_size: int = Field(32, ge=1, le=1024, description="Width of the hyper-action")
    behavior_coef: float = Field(
        0.0, ge=0.0, description="Weight of the click loss of the actor on logged slates; 0 is off"
    )
    log_batch_size: int = Field(64, ge=1, description="Logged slates per update, if regularised")


class TD3Settings(HyperActionSettings):
    """Settings of ``td3``: twin critics, delayed actor, smoothed targets."""

    latent_size: int = Field(32, ge=1, le=1024, description="Width of the hyper-action")
    policy_delay: int = Field(2, ge=1, description="Critic updates per actor update")
    target_noise_std: float = Field(
        0.2, ge=0.0, le=2.0, description="Noise on the target action, per dimension"
    )
    target_noise_clip: float = Field(0.5, gt=0.0, description="Bound of the target noise")


class PGRASettings(DiscountedSettings):
    """Settings of ``pg_ra``, policy gradient in a learned space of action representations."""

    latent_size: int = Field(16, ge=1, le=1024, description="Width of an action representation")
    hidden_size: int = Field(128, ge=1, description="Hidden width of policy, value and inference")
    entropy_coef: float = Field(
        0.001, ge=0.0, description="Weight of the internal Gaussian policy's entropy, in nats"
    )
    value_coef: float = Field(0.5, ge=0.0, description="Weight of the squared value error")
    representation_coef: float = Field(
        1.0, ge=0.0, description="Weight of the supervised loss of the representations"
    )
    initial_std: float = Field(
        0.3, gt=0.0, le=2.0, description="Initial standard deviation of the internal policy"
    )
    advantage_clip: float = Field(1.0, gt=0.0, description="Bound of the advantage either way")


class HACSettings(HyperActionSettings):
    """Settings of ``hac``; the three coefficients are the components of its ablation."""

    policy_coef: float = Field(1.0, ge=0.0, description="Weight of the hyper-actor's Q loss")
    alignment_coef: float = Field(
        0.1, ge=0.0, description="Weight of the distance between hyper-action and its slate's"
    )
    supervision_coef: float = Field(
        1.0, ge=0.0, description="Weight of the click loss on replayed slates"
    )
    sample_items: bool = Field(
        True, description="Explore by drawing items from the softmax of scores; false: top-K"
    )
