"""Which settings a search varies and how far: about equally many for each agent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A number between two bounds.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Drawn evenly in the logarithm.
    """

    low: float
    high: float
    log: bool = True


@dataclass(frozen=True)
class Choice:
    """One of a few values.

    Attributes:
        values: What to choose from.
    """

    values: tuple[int | float | bool | str, ...]


Space = dict[str, Interval | Choice]

LEARNING_RATE = Interval(1e-4, 5e-3)

SEARCH_SPACES: dict[str, Space] = {
    "sl": {
        "learning_rate": LEARNING_RATE,
        "weight_decay": Interval(1e-4, 1.0),
        "log_batch_size": Choice((128, 256)),
    },
    "a2c": {
        "learning_rate": LEARNING_RATE,
        "entropy_coef": Interval(1e-3, 1e-1),
        "value_coef": Interval(0.1, 2.0),
        "gamma": Choice((0.0, 0.5, 0.9)),
    },
    "ddpg": {
        "learning_rate": Interval(3e-5, 3e-3),
        "critic_learning_rate": LEARNING_RATE,
        "exploration_noise_std": Interval(0.05, 1.0),
        "latent_size": Choice((8, 16, 32)),
    },
    "td3": {
        "learning_rate": Interval(3e-5, 3e-3),
        "critic_learning_rate": LEARNING_RATE,
        "exploration_noise_std": Interval(0.05, 1.0),
        "latent_size": Choice((8, 16, 32)),
    },
    "pg_ra": {
        "learning_rate": LEARNING_RATE,
        "initial_std": Interval(0.1, 1.0),
        "representation_coef": Interval(0.03, 3.0),
        "latent_size": Choice((8, 16, 32)),
    },
    "hac": {
        "learning_rate": LEARNING_RATE,
        "policy_coef": Interval(1e-3, 1.0),
        "alignment_coef": Interval(1e-3, 1.0),
        "exploration_noise_std": Interval(0.02, 0.5),
    },
    "hsrl_paper": {
        "learning_rate": LEARNING_RATE,
        "critic_learning_rate": LEARNING_RATE,
        "entropy_coef": Interval(1e-3, 3e-1),
        "cloning_coef": Interval(1e-2, 1.0),
    },
    "hsrl": {
        "learning_rate": Interval(3e-5, 3e-3),
        "warm_start_learning_rate": Interval(3e-4, 5e-3),
        "entropy_coef": Interval(1e-3, 1e-1),
        "click_temperature": Interval(0.1, 1.0),
    },
}
"""Search space of each agent, by field of its settings."""
