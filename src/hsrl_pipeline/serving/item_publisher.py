"""Vectors and semantic IDs of items that the model has never had: frozen transform and codebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.changes import Publication
from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.item_vectorizer import ItemVectorizer
from hsrl_pipeline.semantic_ids.nearest import LevelCentroids
from hsrl_pipeline.semantic_ids.publishing import publish
from hsrl_pipeline.semantic_ids.residual_quantizer import ResidualQuantizer
from hsrl_pipeline.serving.item_features import ItemEncoder, NewItem


@dataclass(frozen=True, eq=False)
class ItemPublisher:
    """Makes what a new item is known by; nothing in it changes when it does.

    Attributes:
        encoder: From a description to a row of the items table.
        vectorizer: From there to the vector.
        quantizer: From there to the semantic ID.
        vocab_sizes: Codes per level of a semantic ID.
        collisions: How items under one code are treated, see ``Codebook``.
    """

    encoder: ItemEncoder
    vectorizer: ItemVectorizer
    quantizer: ResidualQuantizer
    vocab_sizes: tuple[int, ...]
    collisions: str

    def publish(
        self, items: Sequence[NewItem], rows: NDArray[np.int64], codes: NDArray[np.int64]
    ) -> Publication:
        """Return vectors and semantic IDs of new items; those of others do not change.

        Args:
            items: At least one new item, each checked.
            rows: (new,) int64. The indices that they get, which nobody has published yet.
            codes: (item, level) int64. Semantic IDs that are taken; -1 where there is none.

        Raises:
            UserError: No code is free.
        """
        table, facts = self.encoder.table(items, rows)
        published = Codebook(self.quantizer, codes, self.vocab_sizes, self.collisions)
        return publish(published, self.vectorizer, table, rows, facts)[1]

    def to_checkpoint(self) -> dict[str, Any]:
        """Return config and tensors, see ``hsrl_pipeline.checkpoint``."""
        transform = self.vectorizer.to_checkpoint()
        state = {f"vectorizer.{name}": array for name, array in transform["state"].items()}
        for depth, level in enumerate(self.quantizer.levels):
            state[f"centroids.{depth}"] = level.centroids
            state[f"offsets.{depth}"] = level.offsets
        config = {
            "encoder": self.encoder.to_dict(),
            "vectorizer": transform["config"],
            "n_quantizer_levels": len(self.quantizer.levels),
            "vocab_sizes": list(self.vocab_sizes),
            "collisions": self.collisions,
        }
        return {"config": config, "state": state}

    @classmethod
    def from_checkpoint(cls, checkpoint: Mapping[str, Any]) -> ItemPublisher:
        """Return what `to_checkpoint` described."""
        config = checkpoint["config"]
        state = {name: np.asarray(array) for name, array in checkpoint["state"].items()}
        prefix = "vectorizer."
        transform = {
            name.removeprefix(prefix): array
            for name, array in state.items()
            if name.startswith(prefix)
        }
        levels = tuple(
            LevelCentroids(state[f"centroids.{depth}"], state[f"offsets.{depth}"])
            for depth in range(config["n_quantizer_levels"])
        )
        return cls(
            encoder=ItemEncoder.from_dict(config["encoder"]),
            vectorizer=ItemVectorizer.from_checkpoint(
                {"config": config["vectorizer"], "state": transform}
            ),
            quantizer=ResidualQuantizer(levels),
            vocab_sizes=tuple(config["vocab_sizes"]),
            collisions=config["collisions"],
        )
