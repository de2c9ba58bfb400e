"""Parameters of semantic IDs: item vectors, residual k-means, collisions, decoding priors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from hsrl_pipeline.config.base import FrozenConfig

VocabSize = Annotated[int, Field(ge=2, le=65536)]


class ItemVectorConfig(FrozenConfig):
    """How item vectors are made from content, training feedback and given vectors."""

    embedding_size: int = Field(
        32,
        ge=2,
        le=1024,
        description="Largest width of the item vectors; fewer if the data has less.",
    )
    collaborative_size: int = Field(
        32, ge=1, le=1024, description="Width of the truncated SVD of training feedback."
    )
    collaborative_weight: float = Field(
        1.0, ge=0, description="Share of the collaborative part in the distance; 0 leaves it out."
    )
    content_weight: float = Field(
        0.5, ge=0, description="Share of content features in the distance; 0 leaves them out."
    )
    title_weight: float = Field(
        0.5, ge=0, description="Share of the titles' character n-grams; 0 leaves them out."
    )
    given_weight: float = Field(
        1.0, ge=0, description="Share of vectors that came with the data; 0 leaves them out."
    )
    quality_weight: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Standard deviation of two more columns that agents read beside the vector, "
        "which has length 1: click log-odds and log exposures of the item in training rows. "
        "Semantic IDs do not depend on them; 0 leaves them out.",
    )
    exposure_weight: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Weight of a shown item without a positive response; a positive is 1.",
    )
    shrinkage: float = Field(
        3.0, ge=0, description="Training events that weigh as much as the content's prediction."
    )


class DecodingPriorConfig(FrozenConfig):
    """Which of several items under one semantic ID is shown (paper, Appendix E).

    A weight is the log-odds of the highest rank of all items over the lowest; 0 leaves it out.
    """

    popularity: float = Field(
        1.0, allow_inf_nan=False, description="Weight of the rank of training positives."
    )
    recency: float = Field(
        0.0, allow_inf_nan=False, description="Weight of the rank of the release time, where known."
    )
    quality: float = Field(
        0.0, allow_inf_nan=False, description="Weight of the rank of the quality column."
    )


class SidConfig(FrozenConfig):
    """Semantic IDs: residual k-means codes over item vectors (paper, Sec. 3.2 and App. C)."""

    n_levels: int = Field(3, ge=1, le=8, description="Levels of a semantic ID, L.")
    vocab_size: VocabSize | list[VocabSize] = Field(
        64, description="Codes per level, V: one number, or one per level; 2 to 65,536."
    )
    collisions: Literal["keep", "reassign", "suffix"] = Field(
        "reassign",
        description="Items under one code: keep them, move all but one to the nearest free code, "
        "or tell them apart by one more level.",
    )
    suffix_vocab_size: VocabSize | None = Field(
        None, description="Codes of the extra level of `suffix`; null is twice the largest group."
    )
    balance: Literal["none", "levels", "prefixes"] = Field(
        "prefixes",
        description="none: nearest centroid; levels: codes of a level are used evenly; prefixes: "
        "all but the first level, the last one evenly after each code before it.",
    )
    balance_slack: float = Field(
        1.0, ge=1, le=100, description="Items a code may take, relative to an even share."
    )
    n_restarts: int = Field(
        2, ge=1, le=100, description="k-means++ starts per level; the best counts."
    )
    max_iterations: int = Field(50, ge=1, le=1000, description="Lloyd iterations per start.")
    minibatch_above: int = Field(
        100_000, ge=1000, description="Items above which k-means starts from mini-batches."
    )
    refinement_passes: int = Field(
        8, ge=1, le=1000, description="Lloyd passes over all items after a mini-batch start."
    )
    vectors: ItemVectorConfig = Field(default_factory=ItemVectorConfig)
    priors: DecodingPriorConfig = Field(default_factory=DecodingPriorConfig)

    @model_validator(mode="after")
    def _one_size_per_level(self) -> Self:
        if isinstance(self.vocab_size, list) and len(self.vocab_size) != self.n_levels:
            raise ValueError(
                f"vocab_size lists {len(self.vocab_size)} sizes, but n_levels is {self.n_levels}"
            )
        return self

    @property
    def vocab_sizes(self) -> tuple[int, ...]:
        """Codes per level, first level first."""
        if isinstance(self.vocab_size, list):
            return tuple(self.vocab_size)
        return (self.vocab_size,) * self.n_levels
