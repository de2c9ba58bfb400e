"""The latent-taste users behind the synthetic log: who would click on what, exactly.

A user's taste is the centre of the user's segment plus a personal deviation; an item's profile is
the centre of its genre plus a deviation. The click probability is

    p(user, item) = sigmoid(bias + strength * <taste_user, profile_item> + quality_item + mood_user)

with tastes and profiles of unit length. It does not depend on the history: earlier clicks tell
about the taste, they do not change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.shapes import check_shape


@dataclass(frozen=True)
class SyntheticTruth:
    """Parameters of all click probabilities; rows follow either raw ids or canonical indices.

    Attributes:
        tastes: (user, taste) float32. Unit vectors; row 0 is padding where rows are indices.
        profiles: (item, taste) float32. Unit vectors; row 0 is padding where rows are indices.
        quality: (item,) float32. Appeal of an item to everyone, in logits.
        mood: (user,) float32. Readiness of a user to click at all, in logits.
        bias: Logit of a neutral user and item.
        strength: Weight of the match of taste and profile.
    """

    tastes: NDArray[np.float32]
    profiles: NDArray[np.float32]
    quality: NDArray[np.float32]
    mood: NDArray[np.float32]
    bias: float
    strength: float

    def __post_init__(self) -> None:
        check_shape("profiles", self.profiles, None, self.tastes.shape[1])
        check_shape("quality", self.quality, len(self.profiles))
        check_shape("mood", self.mood, len(self.tastes))

    def to_checkpoint(self) -> dict[str, Any]:
        """Return the truth as config and named arrays."""
        arrays = [f.name for f in fields(self) if isinstance(getattr(self, f.name), np.ndarray)]
        return {
            "config": {"bias": self.bias, "strength": self.strength},
            "state": {name: getattr(self, name) for name in arrays},
        }

    @classmethod
    def from_checkpoint(cls, checkpoint: Mapping[str, Any]) -> SyntheticTruth:
        """Return the truth held in config and named arrays or tensors, as `to_checkpoint` makes it.

        Raises:
            UserError: The checkpoint is that of a real log, whose truth nobody knows.
        """
        if not checkpoint["state"]:
            raise UserError(
                "The true click probabilities of this dataset are unknown",
                remedy="Use the synthetic dataset.",
            )
        state = {name: np.asarray(value) for name, value in checkpoint["state"].items()}
        config = checkpoint["config"]
        return cls(bias=float(config["bias"]), strength=float(config["strength"]), **state)

    def aligned(self, users: pd.DataFrame, items: pd.DataFrame) -> SyntheticTruth:
        """Return the truth with rows by canonical index, row 0 for padding.

        Args:
            users: Canonical users; the synthetic ``user_id`` is the raw row number.
            items: Canonical items; the synthetic ``item_id`` is the raw row number.
        """
        user_rows = _raw_rows(users, "user")
        item_rows = _raw_rows(items, "item")

        def padded(rows: NDArray[np.int64], values: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.concatenate([np.zeros_like(values[:1]), values[rows]])

        return SyntheticTruth(
            tastes=padded(user_rows, self.tastes),
            profiles=padded(item_rows, self.profiles),
            quality=padded(item_rows, self.quality),
            mood=padded(user_rows, self.mood),
            bias=self.bias,
            strength=self.strength,
        )


def true_click_probabilities(
    truth: SyntheticTruth, users: ArrayLike, items: ArrayLike
) -> NDArray[np.float32]:
    """Return the true probability that each user clicks on each shown item.

    Args:
        truth: The users behind the log; `SyntheticTruth.aligned` when indices are canonical.
        users: (batch,) int64. User rows of ``truth``.
        items: (batch, slate) int64. Item rows of ``truth``.

    Returns:
        (batch, slate) float32 in (0, 1).
    """
    user_rows = np.asarray(users, dtype=np.int64)
    item_rows = np.asarray(items, dtype=np.int64)
    check_shape("items", item_rows, len(user_rows), None)
    match = np.einsum("bt,bst->bs", truth.tastes[user_rows], truth.profiles[item_rows])
    logits = (
        truth.bias
        + truth.strength * match
        + truth.quality[item_rows]
        + truth.mood[user_rows][:, None]
    )
    probabilities: NDArray[np.float32] = (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
    return probabilities


def _raw_rows(frame: pd.DataFrame, name: str) -> NDArray[np.int64]:
    """Return the raw row number of each user or item, by canonical index."""
    ordered = frame.sort_values(f"{name}_index")
    return np.array([int(text) for text in ordered[f"{name}_id"]], dtype=np.int64)
