"""What a source reader hands over, and the registry of readers.

A reader finds its raw files, describes how a line becomes an event, and returns small frames of
item and user features. It never loads the events themselves: those stay an Ibis expression that
the engine checks, cuts into slates and writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from hsrl_pipeline.data.accounts import RowAccounts
from hsrl_pipeline.errors import UserError

if TYPE_CHECKING:
    import ibis

    from hsrl_pipeline.config.ingestion import IngestionConfig
    from hsrl_pipeline.data.engines.engine import Engine

READERS = {
    "synthetic": "hsrl_pipeline.data.sources.synthetic:read_synthetic",
    "ml1m": "hsrl_pipeline.data.sources.movielens:read_ml1m",
    "ml100k": "hsrl_pipeline.data.sources.movielens_small:read_ml100k",
    "ml_latest_small": "hsrl_pipeline.data.sources.movielens_small:read_ml_latest_small",
    "kuairand_pure": "hsrl_pipeline.data.sources.kuairand:read_kuairand_pure",
    "rl4rs": "hsrl_pipeline.data.sources.rl4rs:read_rl4rs",
    "coat": "hsrl_pipeline.data.sources.coat:read_coat",
    "jester": "hsrl_pipeline.data.sources.jester:read_jester",
    "tabular": "hsrl_pipeline.data.sources.tabular:read_tabular",
}
"""Name of a source to ``module:function`` of its reader, imported when it is used."""

LINES_PER_FILE = 1 << 40
"""How far the places of rows in a log of several files stand apart from file to file."""

DRAFT_COLUMNS = ("file", "line", "user_id", "item_id", "timestamp")
"""Columns that every draft of events must have; see `SourceLog` for the optional ones."""


@dataclass(frozen=True)
class SlateRule:
    """How a user's events become slates.

    Attributes:
        size: Items per slate (K), at least 1.
        given: True when the log names its slates: drafts then carry ``slate_id`` and ``position``.
            Otherwise each user's events, in time order, are cut into consecutive slates.
        session_gap: Longest pause inside a session, in the unit of the timestamps. A slate never
            reaches across a longer pause. None: no sessions.
    """

    size: int
    given: bool = False
    session_gap: int | None = None


@dataclass(frozen=True)
class SplitRule:
    """Which slates are training data.

    Attributes:
        kind: ``"time_share"``: the earliest ``train_share`` of all slates by the time of their last
            event. ``"user_modulo"``: slates whose numeric user id modulo ``modulo`` is in
            ``train_remainders``. ``"day"``: slates that end before ``first_test_day``.
        train_share: Share of training slates, in (0, 1).
        modulo: Divisor of numeric user (session) ids.
        train_remainders: Remainders that belong to the training split.
        first_test_day: First day of the test split, ``YYYY-MM-DD`` in the log's time zone.
    """

    kind: Literal["time_share", "user_modulo", "day"] = "time_share"
    train_share: float = 0.8
    modulo: int = 10
    train_remainders: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    first_test_day: str | None = None


@dataclass(frozen=True)
class EventRules:
    """What makes a drafted event good, positive and unique.

    Attributes:
        positive_above: An event is positive when its ``value`` exceeds this. None: the draft has a
            ``label`` column of 0 and 1.
        value_range: Smallest and largest allowed ``value``, both included; None allows any.
        value_name: What the raw log calls the value, for messages (``"rating"``).
        numeric_ids: True when user and item ids must be positive whole numbers.
        duplicates_on: Draft columns that together identify an event. Of rows that agree in all
            of them the first stays and the others are bad rows. Empty: duplicates are kept.
        time_range: Earliest and latest allowed timestamp, in the unit of the timestamps.
    """

    positive_above: float | None = None
    value_range: tuple[float, float] | None = None
    value_name: str = "value"
    numeric_ids: bool = False
    duplicates_on: tuple[str, ...] = ("user_id", "item_id", "timestamp", "value")
    time_range: tuple[int, int] = (0, 4_102_444_800)


@dataclass(frozen=True)
class SourceLog:
    """A log as its reader describes it.

    The draft of events has one row per logged event. Each column is text as found in the file
    (parsed and checked later, engine by engine alike) or already typed:

    - ``file`` (string), ``line`` (int64 from 1): where the event stands. Ties in time are ordered
      by ``file_order`` (int64, optional, 0) and ``line``, then by ``position`` where given.
    - ``user_id``, ``item_id``: the user's own ids. ``timestamp``: whole number since 1970.
    - ``nanoseconds`` (int32, optional): what ``timestamp`` leaves out of the time. It orders events
      within a second or millisecond and enters no table.
    - ``value``: rating, play time or the like (optional). ``label``: 0 or 1 (optional when
      ``rules.positive_above`` is set).
    - ``slate_id`` (unique per user), ``position`` (0-based): where ``slates.given``.
    - ``propensity`` (optional): the probability, above 0 to 1, with which the log showed the item
      in its place; null where it is not known.
    - ``prior`` (boolean, optional): a positive known from before the log; it enters histories only.
    - ``reason``, ``reason_column`` (string, optional): a defect that the reader itself found in the
      row; null when there is none. ``raw`` (string, optional): text to show in messages.

    Attributes:
        draft_events: Builds the draft on an engine.
        items: Frame with ``item_id`` (string, unique) and any of: ``title`` (string),
            ``content_<name>`` (number), ``vector_<k>`` (number), ``shelf``, ``special``, ``price``,
            ``released_at``, ``quality``. None: nothing is known of the items.
        users: Frame with ``user_id`` (string, unique) and any of ``category_<name>`` (text or
            number, null when missing), ``dense_<name>`` (number, raw scale, null when missing).
        slates: How events become slates.
        split: Which slates are training data.
        rules: What makes an event good and positive.
        time_unit: Unit of the timestamps.
        utc_offset_hours: Time zone in which a day begins, for partitions and splits by day.
        accounts: Bad rows and notes of the item and user files.
        column_names: Names that columns of the draft have in the raw log, for messages.
        unlisted_items: ``"keep"`` events of items that the item frame lacks (their features are
            then zero), or count them as ``"bad"`` rows.
        has_propensities: Whether drafts carry ``propensity``.
    """

    draft_events: Callable[[Engine], ibis.Table]
    items: pd.DataFrame | None
    users: pd.DataFrame | None
    slates: SlateRule
    split: SplitRule
    rules: EventRules
    time_unit: Literal["s", "ms"] = "s"
    utc_offset_hours: int = 0
    accounts: RowAccounts = field(default_factory=RowAccounts)
    column_names: Mapping[str, str] = field(default_factory=dict)
    unlisted_items: Literal["keep", "bad"] = "keep"
    has_propensities: bool = False


@dataclass(frozen=True)
class ReadRequest:
    """What a reader is given.

    Attributes:
        raw_folder: Folder of the raw files (``data/01_raw``); never written to.
        workspace: Empty scratch folder; removed after the run.
        config: The ``ingestion`` parameters.
        seed: The run's seed.
    """

    raw_folder: Path
    workspace: Path
    config: IngestionConfig
    seed: int


Reader = Callable[[ReadRequest], SourceLog]


def get_reader(name: str) -> Reader:
    """Return the reader of a source.

    Raises:
        UserError: There is no source of this name.
    """
    if name not in READERS:
        raise UserError(
            f"There is no source named {name!r}",
            where="ingestion.source",
            remedy=f"Known sources: {', '.join(sorted(READERS))}.",
        )
    module, function = READERS[name].split(":")
    reader: Reader = getattr(import_module(module), function)
    return reader
