"""The embedded synthetic log: slates shown to latent-taste users by a popularity-minded logger.

Every draw comes from a named stream of the run's seed, so the same seed gives the same bytes.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.config.ingestion import SyntheticConfig
from hsrl_pipeline.data.sources.source_log import (
    EventRules,
    ReadRequest,
    SlateRule,
    SourceLog,
    SplitRule,
)
from hsrl_pipeline.data.synthetic_truth import SyntheticTruth, true_click_probabilities
from hsrl_pipeline.seeding import numpy_generator

N_GENRES = 12
N_SEGMENTS = 10
N_REGIONS = 5
EPOCH_START = 1_700_000_000
SPAN_SECONDS = 90 * 86_400
SECONDS_BETWEEN_EVENTS = 30
LOGGER_CANDIDATES = 40
BATCH_SLATES = 4096


def read_synthetic(request: ReadRequest) -> SourceLog:
    """Return the synthetic log of the run's seed."""
    config = request.config.synthetic
    truth, users, items = make_population(config, request.seed)
    events = make_events(config, truth, request.config.slate_size, request.seed)
    path = request.workspace / "synthetic_events.parquet"
    events.to_parquet(path, index=False)
    columns = {name: name for name in ("user_id", "item_id", "timestamp", "label")}
    return SourceLog(
        draft_events=lambda engine: engine.scan_parquet(path, columns),
        items=items,
        users=users,
        slates=SlateRule(size=request.config.slate_size),
        split=SplitRule("time_share", train_share=request.config.train_share),
        rules=EventRules(duplicates_on=("user_id", "item_id", "timestamp")),
    )


def make_population(
    config: SyntheticConfig, seed: int
) -> tuple[SyntheticTruth, pd.DataFrame, pd.DataFrame]:
    """Return the truth, and the raw features of users and items that hint at it.

    Args:
        config: Sizes and strengths.
        seed: The run's seed.

    Returns:
        Truth with rows by raw id; users with ``category_segment``, ``category_region`` and
        ``dense_activity``; items with one-hot genres, a noisy view of the profile and a title.
    """
    draw = numpy_generator(seed, "synthetic.population")
    size = config.taste_size
    segments = _unit(draw.normal(size=(N_SEGMENTS, size)))
    genres = _unit(draw.normal(size=(N_GENRES, size)))
    segment = draw.integers(N_SEGMENTS, size=config.n_users)
    genre = draw.integers(N_GENRES, size=config.n_items)
    tastes = _unit(0.7 * segments[segment] + draw.normal(size=(config.n_users, size)) / size**0.5)
    profiles = _unit(genres[genre] + 0.7 * draw.normal(size=(config.n_items, size)) / size**0.5)
    truth = SyntheticTruth(
        tastes=tastes.astype(np.float32),
        profiles=profiles.astype(np.float32),
        quality=draw.normal(0, 0.5, config.n_items).astype(np.float32),
        mood=draw.normal(0, 0.3, config.n_users).astype(np.float32),
        bias=config.click_bias,
        strength=config.taste_strength,
    )
    users = pd.DataFrame(
        {
            "user_id": np.arange(config.n_users).astype(str),
            "category_segment": [f"segment {s}" for s in segment],
            "category_region": [f"region {r}" for r in draw.integers(N_REGIONS, size=len(segment))],
            "dense_activity": truth.mood + draw.normal(0, 0.3, config.n_users),
        }
    )
    seen = profiles + draw.normal(0, 0.15, profiles.shape)
    content = {f"content_genre_{g}": (genre == g).astype(np.float32) for g in range(N_GENRES)}
    content |= {f"content_trait_{t}": seen[:, t] for t in range(size)}
    items = pd.DataFrame(
        {
            "item_id": np.arange(config.n_items).astype(str),
            "title": [f"Genre {g} item {i}" for i, g in enumerate(genre)],
            **content,
        }
    )
    return truth, users, items


def make_events(
    config: SyntheticConfig, truth: SyntheticTruth, slate_size: int, seed: int
) -> pd.DataFrame:
    """Return logged events: who was shown what and when, and whether it was clicked.

    The logger draws candidates by a skewed popularity and shows those that a noisy guess of the
    user's taste ranks first, so exposure is neither uniform nor free of the user's influence.

    Args:
        config: Sizes and strengths.
        truth: The users.
        slate_size: Items per slate (K).
        seed: The run's seed.

    Returns:
        ``user_id``, ``item_id`` (int64), ``timestamp`` (int64, s), ``label`` (int8), by time.
    """
    draw = numpy_generator(seed, "synthetic.events")
    slates_per_user = np.maximum(
        1, draw.poisson(max(config.mean_events / slate_size, 1), config.n_users)
    )
    users = np.repeat(np.arange(config.n_users), slates_per_user)
    starts = EPOCH_START + draw.integers(SPAN_SECONDS, size=len(users))
    order = np.lexsort((starts, users))
    users, starts = users[order], _spaced(users[order], starts[order], slate_size)
    popularity = np.log(1.0 / (draw.permutation(config.n_items) + 10.0))
    shown = [
        _logged_slates(truth, users[first : first + BATCH_SLATES], popularity, slate_size, draw)
        for first in range(0, len(users), BATCH_SLATES)
    ]
    slates = np.concatenate(shown)
    clicks = draw.random(slates.shape) < true_click_probabilities(truth, users, slates)
    times = starts[:, None] + SECONDS_BETWEEN_EVENTS * np.arange(slate_size)
    events = pd.DataFrame(
        {
            "user_id": np.repeat(users, slate_size),
            "item_id": slates.ravel(),
            "timestamp": times.ravel(),
            "label": clicks.ravel().astype(np.int8),
        }
    )
    return events.sort_values(["timestamp", "user_id"], kind="stable", ignore_index=True)


def _logged_slates(
    truth: SyntheticTruth,
    users: NDArray[np.int64],
    popularity: NDArray[np.float64],
    slate_size: int,
    draw: np.random.Generator,
) -> NDArray[np.int64]:
    """Return (row, slate) distinct items that the logger showed."""
    n_items = len(popularity)
    n_candidates = min(n_items, max(LOGGER_CANDIDATES, slate_size))
    # Gumbel noise on log popularity draws candidates without replacement
    drawn = popularity + draw.gumbel(size=(len(users), n_items))
    candidates = np.argpartition(-drawn, n_candidates - 1, axis=1)[:, :n_candidates]
    match = np.einsum("bt,bct->bc", truth.tastes[users], truth.profiles[candidates])
    guess = 0.5 * truth.strength * match + draw.gumbel(size=match.shape)
    best = np.argsort(-guess, axis=1, kind="stable")[:, :slate_size]
    return np.take_along_axis(candidates, best, axis=1).astype(np.int64)


def _spaced(
    users: NDArray[np.int64], starts: NDArray[np.int64], slate_size: int
) -> NDArray[np.int64]:
    """Return start times moved later where a user's slates would overlap; both are sorted."""
    length = SECONDS_BETWEEN_EVENTS * slate_size
    first = np.flatnonzero(np.r_[True, users[1:] != users[:-1]])
    place = np.arange(len(users)) - np.repeat(first, np.diff(np.r_[first, len(users)]))
    slack = starts - place * length
    far = np.int64(2 * SPAN_SECONDS + EPOCH_START)
    earliest: NDArray[np.int64] = np.maximum.accumulate(slack + users * far) - users * far
    return earliest + place * length


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
