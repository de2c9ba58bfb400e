"""Observations as one row of numbers, for agents whose networks know no item indices."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces

from hsrl_pipeline.config.session import HistoryForm
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.shapes import PAD_ID, check_shape


class StateFeatures:
    """Flattens an observation: who the user is, what was clicked, how far the session is.

    The row holds, in this order: the one-hot category codes, the numeric features, the mean item
    vector of the history and the vector of the newest item (zero for an empty history), the
    filled share of the history and the share of the horizon that has passed. Where the history
    holds shown items, mean and newest are those of the clicked ones, and the mean item vector of
    the skipped ones stands at the end.

    Args:
        category_sizes: Cardinality of each categorical user feature.
        n_dense: Number of numeric user features.
        item_vectors: (item, embed) float32. Row 0 is padding; scaled to unit length here.
        horizon: Longest session in steps.
        device: Torch device of the observations.
        history: What the history holds.
    """

    def __init__(
        self,
        category_sizes: tuple[int, ...],
        n_dense: int,
        item_vectors: np.ndarray,
        horizon: int,
        device: torch.device | str = "cpu",
        *,
        history: HistoryForm = "clicks",
    ) -> None:
        check_shape("item_vectors", item_vectors, None, None)
        vectors = torch.as_tensor(item_vectors, dtype=torch.float32, device=device)
        self._vectors = torch.nn.functional.normalize(vectors, dim=1)
        self._vectors[PAD_ID] = 0.0
        self._category_sizes = category_sizes
        self._horizon = horizon
        n_vectors = 2 if history == "clicks" else 3
        width = sum(category_sizes) + n_dense + n_vectors * item_vectors.shape[1] + 2
        self.space = spaces.Box(-np.inf, np.inf, (width,), np.float32)

    def flatten(self, observation: Observation) -> torch.Tensor:
        """Return the features of each session.

        Args:
            observation: (batch, ...) sessions.

        Returns:
            (batch, feature) float32.
        """
        history, responses = observation.history, observation.responses
        filled = (history != PAD_ID).sum(dim=1, keepdim=True).to(torch.float32)
        clicked, newest, skipped = history, history[:, -1], []
        if responses.shape[1]:
            clicked = history.masked_fill(responses == 0, PAD_ID)
            places = torch.arange(history.shape[1], device=history.device)
            last_click = (responses * places).argmax(dim=1, keepdim=True)
            newest = clicked.gather(1, last_click).squeeze(1)
            skipped = [self._mean(history.masked_fill(responses > 0, PAD_ID))]
        one_hot = [
            torch.nn.functional.one_hot(codes, size).to(torch.float32)
            for codes, size in zip(observation.user_categories.T, self._category_sizes, strict=True)
        ]
        return torch.cat(
            [
                *one_hot,
                observation.user_dense,
                self._mean(clicked),
                self._vectors[newest],
                filled / history.shape[1],
                observation.step[:, None].to(torch.float32) / self._horizon,
                *skipped,
            ],
            dim=1,
        )

    def _mean(self, items: torch.Tensor) -> torch.Tensor:
        """Return the mean vector of the items that are not padding: (batch, embed) float32."""
        present = (items != PAD_ID).sum(dim=1, keepdim=True).to(torch.float32)
        return self._vectors[items].sum(dim=1) / present.clamp(min=1.0)
