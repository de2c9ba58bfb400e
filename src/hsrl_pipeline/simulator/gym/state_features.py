"""Observations as one row of numbers, for agents whose networks know no item indices."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.shapes import PAD_ID, check_shape


class StateFeatures:
    """Flattens an observation: who the user is, what was clicked, how far the session is.

    The row holds, in this order: the one-hot category codes, the numeric features, the mean item
    vector of the history and the vector of the newest item (zero for an empty history), the
    filled share of the history and the share of the horizon that has passed.

    Args:
        category_sizes: Cardinality of each categorical user feature.
        n_dense: Number of numeric user features.
        item_vectors: (item, embed) float32. Row 0 is padding; scaled to unit length here.
        horizon: Longest session in steps.
        device: Torch device of the observations.
    """

    def __init__(
        self,
        category_sizes: tuple[int, ...],
        n_dense: int,
        item_vectors: np.ndarray,
        horizon: int,
        device: torch.device | str = "cpu",
    ) -> None:
        check_shape("item_vectors", item_vectors, None, None)
        vectors = torch.as_tensor(item_vectors, dtype=torch.float32, device=device)
        self._vectors = torch.nn.functional.normalize(vectors, dim=1)
        self._vectors[PAD_ID] = 0.0
        self._category_sizes = category_sizes
        self._horizon = horizon
        width = sum(category_sizes) + n_dense + 2 * item_vectors.shape[1] + 2
        self.space = spaces.Box(-np.inf, np.inf, (width,), np.float32)

    def flatten(self, observation: Observation) -> torch.Tensor:
        """Return the features of each session.

        Args:
            observation: (batch, ...) sessions.

        Returns:
            (batch, feature) float32.
        """
        history = observation.history
        present = (history != PAD_ID).sum(dim=1, keepdim=True).to(torch.float32)
        mean = self._vectors[history].sum(dim=1) / present.clamp(min=1.0)
        one_hot = [
            torch.nn.functional.one_hot(codes, size).to(torch.float32)
            for codes, size in zip(observation.user_categories.T, self._category_sizes, strict=True)
        ]
        return torch.cat(
            [
                *one_hot,
                observation.user_dense,
                mean,
                self._vectors[history[:, -1]],
                present / history.shape[1],
                observation.step[:, None].to(torch.float32) / self._horizon,
            ],
            dim=1,
        )
