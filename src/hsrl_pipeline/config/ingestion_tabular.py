"""Parameters of the tabular source: the user's own logs, see docs/bring_your_own_data.md."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from hsrl_pipeline.config.base import FrozenConfig


class EventColumns(FrozenConfig):
    """Names that the columns of the event file have there."""

    user: str = Field("user_id", description="Column of the user's id (text or number)")
    item: str = Field("item_id", description="Column of the item's id (text or number)")
    timestamp: str = Field("timestamp", description="Column of the time of the event")
    label: str | None = Field(
        None, description="Column of the response, 0 or 1; null: made from the value"
    )
    value: str | None = Field(
        None,
        description="Column of a rating, play time or the like; without a label column a value "
        "above ingestion.positive_above is a positive response",
    )
    slate: str | None = Field(
        None,
        description="Column that tells which list the item was shown in (unique per user); "
        "null: a user's events are cut into slates of ingestion.slate_size in time order",
    )
    position: str | None = Field(
        None, description="Column of the place in the list, from 0; null: the order of the rows"
    )
    propensity: str | None = Field(
        None,
        description="Column of the probability, above 0 to 1, with which the item was shown in its "
        "place; empty where it is not known; null: no column",
    )


class ItemColumns(FrozenConfig):
    """The optional item file and the columns to take from it."""

    file: str = Field(description="csv or parquet file with one row per item")
    id: str = Field("item_id", description="Column of the item's id")
    title: str | None = Field(None, description="Column of a title to show; null: none")
    numbers: tuple[str, ...] = Field((), description="Columns of numeric content features")
    tags: tuple[str, ...] = Field(
        (),
        description="Columns of names separated by | (or lists, in parquet), each name a 0/1 "
        "content feature",
    )


class UserColumns(FrozenConfig):
    """The optional user file and the columns to take from it."""

    file: str = Field(description="csv or parquet file with one row per user")
    id: str = Field("user_id", description="Column of the user's id")
    categories: tuple[str, ...] = Field((), description="Columns of categorical features")
    numbers: tuple[str, ...] = Field((), description="Columns of numeric features")


class TabularConfig(FrozenConfig):
    """Where the user's own log lies and what its columns mean."""

    events: str = Field(
        "events.csv",
        description="Delimited text (plain, .gz, .zst, .xz or .bz2) or parquet: a file, a folder "
        "or a pattern with *; relative to data/01_raw/tabular, or absolute",
    )
    delimiter: str = Field(
        ",", min_length=1, max_length=1, description="Separator of text files, one character"
    )
    encoding: str = Field("utf-8", description="Encoding of text files")
    quoting: bool = Field(
        True,
        description="Whether double quotes around a field of a text file quote it; false: they are "
        "part of the text",
    )
    columns: EventColumns = Field(
        default_factory=lambda: EventColumns(label="label"),
        description="Names of the event file's columns",
    )
    time_format: Literal["s", "ms", "datetime"] = Field(
        "s",
        description="Times are seconds or milliseconds since 1970 (UTC), or text such as "
        "2024-05-31 18:30:00 (UTC unless it ends with an offset); typed times of parquet "
        "files are always understood",
    )
    value_range: tuple[float, float] | None = Field(
        None, description="Smallest and largest allowed value; null: any"
    )
    session_gap_minutes: float | None = Field(
        None, gt=0, description="A longer pause begins a new session, minutes; null: no sessions"
    )
    items: ItemColumns | None = Field(None, description="Item features; null: none")
    users: UserColumns | None = Field(None, description="User features; null: none")
    recorded_answers: str | None = Field(
        None,
        description="File of what some users answer to every item, with the user, item and label "
        "(or value) columns of the event file; simulator.eval: recorded judges by it; null: none",
    )

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        """Refuse mappings that can't make events, and separators that can't separate."""
        if not self.delimiter.isascii() or self.delimiter in '"\n\r':
            raise ValueError("delimiter: one ASCII character, and no quote or line end")
        columns = self.columns
        if columns.label is None and columns.value is None:
            raise ValueError("columns: name a label column or a value column")
        if columns.position is not None and columns.slate is None:
            raise ValueError("columns: a position column needs a slate column")
        if columns.slate is not None and self.session_gap_minutes is not None:
            raise ValueError("session_gap_minutes: given slates are not cut by pauses")
        if self.value_range is not None and self.value_range[0] >= self.value_range[1]:
            raise ValueError("value_range: the first number must be the smaller one")
        return self
