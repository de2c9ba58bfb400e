"""Catalogues of any size with power-law topics and popularity, for stress tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.seeding import numpy_generator
from hsrl_pipeline.semantic_ids.nearest import FloatArray

TOPIC_EXPONENT = 1.0
"""Zipf exponent of topic sizes."""

TOP_ITEMS = 1000
"""Items that together draw ``TOP_SHARE`` of the traffic."""

TOP_SHARE = 0.8

SUBTOPIC_SCALE, ITEM_SCALE = 0.6, 0.35
"""Spread of subtopics around their topic and of items around their subtopic; topics have 1."""

NOISE_OF_ONE_EVENT = 1.0
"""Spread of the error of a vector estimated from one event; it falls with the root of events."""

EVENTS_PER_ITEM = 30
"""Mean number of events behind an item's vector."""


@dataclass(frozen=True)
class SyntheticCatalogue:
    """Items with vectors as they come out of a log.

    Attributes:
        vectors: (row, embed) float32. Unit rows.
        traffic: (row,) float64. Share of all events; sums to 1, falls with the row.
    """

    vectors: FloatArray
    traffic: NDArray[np.float64]


def draw_catalogue(n_items: int, embedding_size: int, *, seed: int) -> SyntheticCatalogue:
    """Draw a catalogue: topics, subtopics, items, and errors that are larger for rare items.

    Args:
        n_items: Number of items, at least 1.
        embedding_size: Width of the vectors.
        seed: Seed of the draw.
    """
    generator = numpy_generator(seed, "semantic_ids.synthetic_catalogue")
    n_topics = max(8, round(np.sqrt(n_items)))
    size = np.arange(1, n_topics + 1) ** -TOPIC_EXPONENT
    topic = generator.choice(n_topics, n_items, p=size / size.sum())
    subtopic = topic * 16 + generator.integers(0, 16, n_items)

    def directions(count: int) -> FloatArray:
        drawn = generator.standard_normal((count, embedding_size), dtype=np.float32)
        drawn /= np.float32(np.sqrt(embedding_size))
        return drawn

    vectors = directions(n_topics)[topic]
    vectors += np.float32(SUBTOPIC_SCALE) * directions(16 * n_topics)[subtopic]
    vectors += np.float32(ITEM_SCALE) * directions(n_items)
    traffic = _power_law(n_items)
    error = NOISE_OF_ONE_EVENT / np.sqrt(np.maximum(traffic * n_items * EVENTS_PER_ITEM, 1.0))
    vectors += error.astype(np.float32)[:, None] * directions(n_items)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return SyntheticCatalogue(vectors, traffic)


def _power_law(n_items: int) -> NDArray[np.float64]:
    """Return falling shares of a power law in which the top items draw their share.

    In a catalogue no larger than ``TOP_ITEMS`` the exponent is 1. The exponent is found by
    bisection: the top's share grows with it.
    """
    rank = np.arange(1, n_items + 1, dtype=np.float64)
    low, high = 0.0, 3.0
    for _ in range(40 if n_items > TOP_ITEMS else 0):
        exponent = 0.5 * (low + high)
        weight = rank**-exponent
        if weight[:TOP_ITEMS].sum() / weight.sum() < TOP_SHARE:
            low = exponent
        else:
            high = exponent
    weight = rank ** -(high if n_items > TOP_ITEMS else 1.0)
    return np.asarray(weight / weight.sum())
