"""The frozen transform behind item vectors: what a new item's content and title alone give.

It is fitted together with the vectors of the items that are known, see
`hsrl_pipeline.semantic_ids.item_vectors`, and never changes afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.config.sid import ItemVectorConfig
from hsrl_pipeline.data.slate_log import ItemTable
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.seeding import numpy_generator
from hsrl_pipeline.semantic_ids.blocks import single_threaded_libraries

TITLE_BUCKETS = 2**13
"""Hash buckets of the titles' character n-grams."""

FloatMatrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Standardisation:
    """Columns to mean 0 and standard deviation 1; constant columns to 0.

    Attributes:
        mean: (column,) float64.
        spread: (column,) float64. Standard deviation, 1 for constant columns.
    """

    mean: FloatMatrix
    spread: FloatMatrix

    @classmethod
    def fit(cls, features: NDArray[np.float32]) -> Standardisation:
        """Return the standardisation of (row, column) features."""
        mean = features.mean(axis=0, dtype=np.float64)
        spread = (features.astype(np.float64) - mean).std(axis=0)
        return cls(mean, np.where(spread > 1e-9, spread, 1.0))

    def apply(self, features: NDArray[np.float32]) -> FloatMatrix:
        """Return standardised (row, column) features."""
        return np.asarray((features.astype(np.float64) - self.mean) / self.spread)


@dataclass(frozen=True, eq=False)
class TitleSpace:
    """TF-IDF weighted character n-grams on the axes of a truncated SVD.

    Attributes:
        idf: (bucket,) float64. Inverse document frequencies.
        axes: (bucket, width) float64. Right singular vectors.
    """

    idf: FloatMatrix
    axes: FloatMatrix

    def apply(self, titles: NDArray[np.object_]) -> FloatMatrix:
        """Return (row, width) places of titles; an empty title is zero."""
        from scipy.sparse import csr_matrix
        from sklearn.preprocessing import normalize

        if not len(titles):  # scikit-learn refuses none
            return np.empty((0, self.axes.shape[1]))
        grams = csr_matrix(title_grams(titles))
        grams.data = (np.log(grams.data) + 1.0) * self.idf[grams.indices]
        return np.asarray(normalize(grams, copy=False) @ self.axes)


@dataclass(frozen=True, eq=False)
class ItemVectorizer:
    """Vectors of items that were not there when the vectors were fitted.

    Parts that the fitted items did not have are None.

    Attributes:
        config: Weights of the parts.
        seed: Seed of the run; an item without any information gets a direction from it.
        content: Standardisation of content features and facts.
        titles: Space of the titles.
        feedback: (1 + content and title, width) float64. Coefficients that predict the
            collaborative part, intercept first.
        given: Standardisation of vectors that came with the data.
        centre: (part,) float64. Mean of the joined parts.
        axes: (part, embed) float64. Principal axes.
    """

    config: ItemVectorConfig
    seed: int
    content: Standardisation | None
    titles: TitleSpace | None
    feedback: FloatMatrix | None
    given: Standardisation | None
    centre: FloatMatrix
    axes: FloatMatrix

    def transform(
        self,
        items: ItemTable,
        rows: NDArray[np.int64],
        facts: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Return the vectors of new items, from content, titles and given vectors.

        What was fitted is used as it is, so the vector of an item depends on no other item of the
        call. The collaborative part is what content predicts.

        Args:
            items: Content features, titles and given vectors.
            rows: (row,) int64. Items to make vectors of.
            facts: (item, fact) float32. More columns of content, as when fitted.

        Returns:
            (row, embed) float32. Unit rows.

        Raises:
            UserError: The columns are not the fitted ones, or a feature is not finite.
        """
        features = joined_features(items, facts)
        self._refuse_columns("content", features, self.content)
        self._refuse_columns("given", items.vectors, self.given)
        with single_threaded_libraries():
            parts = []
            if self.content is not None:
                require_finite("content", features, rows)
                parts.append(self.config.content_weight * self._unit(self.content, features, rows))
            if self.titles is not None:
                places = unit_rows(self.titles.apply(items.titles[rows]))
                parts.append(self.config.title_weight * places)
            known = np.concatenate([np.empty((len(rows), 0)), *parts], axis=1)
            joined = [known]
            if self.feedback is not None:
                predicted = unit_rows(with_intercept(known) @ self.feedback)
                joined.insert(0, self.config.collaborative_weight * predicted)
            if self.given is not None:
                require_finite("given", items.vectors, rows)
                given = self._unit(self.given, items.vectors, rows)
                joined.append(self.config.given_weight * given)
            placed = (np.concatenate(joined, axis=1) - self.centre) @ self.axes
        for row in np.flatnonzero(is_zero(placed)):
            generator = numpy_generator(self.seed, f"semantic_ids.unknown_item.{rows[row]}")
            placed[row] = generator.standard_normal(placed.shape[1])
        return unit_rows(placed).astype(np.float32)

    @staticmethod
    def _unit(
        scale: Standardisation, features: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> FloatMatrix:
        return unit_rows(scale.apply(features[rows]))

    @staticmethod
    def _refuse_columns(
        name: str, features: NDArray[np.float32], fitted: Standardisation | None
    ) -> None:
        if fitted is not None and features.shape[1] != len(fitted.mean):
            raise UserError(
                f"Items have {features.shape[1]} {name} columns, the item vectors were fitted "
                f"with {len(fitted.mean)}",
                where="items table",
                remedy="Give new items the columns of the dataset that the vectors were fitted on.",
            )

    def to_checkpoint(self) -> dict[str, Any]:
        """Return what is needed to rebuild it, see ``hsrl_pipeline.checkpoint``."""
        state = {"centre": self.centre, "axes": self.axes}
        for name, scale in (("content", self.content), ("given", self.given)):
            if scale is not None:
                state |= {f"{name}_mean": scale.mean, f"{name}_spread": scale.spread}
        if self.titles is not None:
            state |= {"title_idf": self.titles.idf, "title_axes": self.titles.axes}
        if self.feedback is not None:
            state["feedback"] = self.feedback
        config = {"settings": self.config.model_dump(), "seed": self.seed}
        return {"config": config, "state": state}

    @classmethod
    def from_checkpoint(cls, checkpoint: Mapping[str, Any]) -> ItemVectorizer:
        """Return what `to_checkpoint` described, bit for bit."""
        config = checkpoint["config"]
        state = {name: np.asarray(array) for name, array in checkpoint["state"].items()}

        def scale(name: str) -> Standardisation | None:
            mean = state.get(f"{name}_mean")
            return None if mean is None else Standardisation(mean, state[f"{name}_spread"])

        titled = "title_idf" in state
        return cls(
            config=ItemVectorConfig.model_validate(config["settings"]),
            seed=config["seed"],
            content=scale("content"),
            titles=TitleSpace(state["title_idf"], state["title_axes"]) if titled else None,
            feedback=state.get("feedback"),
            given=scale("given"),
            centre=state["centre"],
            axes=state["axes"],
        )


def joined_features(items: ItemTable, facts: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return (item, column) float32 content features and facts side by side."""
    return items.content if facts is None else np.hstack([items.content, facts])


def title_grams(titles: NDArray[np.object_]) -> Any:
    """Return (row, bucket) sparse counts of the titles' hashed character 3- and 4-grams."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 4), n_features=TITLE_BUCKETS, alternate_sign=False
    ).transform([str(title) for title in titles])


def with_intercept(content: FloatMatrix) -> FloatMatrix:
    """Return (row, 1 + width) a column of ones and the features."""
    return np.concatenate([np.ones((len(content), 1)), content], axis=1)


def unit_rows(rows: FloatMatrix) -> FloatMatrix:
    """Return rows of length 1; rows that are zero stay zero."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 1e-12, length, 1.0))


def is_zero(vectors: FloatMatrix) -> NDArray[np.bool_]:
    """Return (row,) bool: rows without any direction."""
    return np.asarray(np.linalg.norm(vectors, axis=1) <= 1e-9)


def require_finite(name: str, features: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
    """Refuse features of items that are not finite.

    Args:
        name: What the features are called in the message.
        features: (item, column) float32.
        rows: (row,) int64. Items to look at.

    Raises:
        UserError: Names the first item.
    """
    finite = np.isfinite(features[rows]).all(axis=1)
    if not finite.all():
        item = int(rows[~finite][0])
        raise UserError(
            f"{name} features of {int((~finite).sum())} items hold NaN or infinity, "
            f"the first is item {item}",
            where=f"items table, item_index {item}",
            remedy="Fill or drop these values in the items table.",
        )
