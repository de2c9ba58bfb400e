"""Random logs, oddly written: every row is kept or named, whatever kind of file it came in."""

from __future__ import annotations

import datetime
import decimal
import gzip
import itertools
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.tables.ingest import LandedLog, build_tables, land_log
from hsrl_pipeline.errors import UserError

SWITCHED_ON = {
    "blank lines",
    "decimal ids",
    "empty part",
    "float ids",
    "gz",
    "hidden file",
    "part types",
    "quotes",
    "rows of nothing",
    "spaces around ids",
    "texts for no id",
    "typed times",
}
"""Oddities of logs; one taken away here is left out of all logs."""

START = 1_700_000_000
COLUMNS = ("user_id", "item_id", "timestamp", "label", "value")


@dataclass(frozen=True)
class Event:
    """A row as it was meant; None where it has nothing."""

    user: int | None
    item: int | None
    time: int | None
    label: int | None
    value: float | None

    @property
    def defect(self) -> str | None:
        """What is wrong with the row by itself."""
        for value, reason in (
            (self.user, "user_id is missing"),
            (self.item, "item_id is missing"),
            (self.time, "timestamp is missing"),
            (self.label, "label is not 0 or 1"),
        ):
            if value is None:
                return reason
        return None


@dataclass(frozen=True)
class Fate:
    """What must become of a log: its good events in order, and the count of each defect."""

    kept: list[Event]
    dropped: Counter[str]


def fate(events: Sequence[Event]) -> Fate:
    kept: list[Event] = []
    dropped: Counter[str] = Counter()
    for event in events:
        reason = event.defect or ("duplicate row" if event in kept else None)
        if reason is None:
            kept.append(event)
        else:
            dropped[reason] += 1
    return Fate(kept, dropped)


Draw = Callable[[st.SearchStrategy[Any]], Any]


def maybe(draw: Draw, oddity: str) -> bool:
    """Return whether a log has an oddity."""
    return oddity in SWITCHED_ON and bool(draw(st.booleans()))


def mostly(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return values, and sometimes none."""
    return st.one_of(values, values, values, values, st.none())


QUICK = settings(
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink would ingest hundreds of logs
    suppress_health_check=[HealthCheck.too_slow],
)

EVENTS = st.builds(
    Event,
    user=mostly(st.integers(0, 2)),
    item=mostly(st.integers(8, 12)),
    time=mostly(st.integers(0, 9).map(lambda minute: START + 60 * minute)),
    label=mostly(st.integers(0, 1)),
    value=mostly(st.sampled_from([0.0, 0.5, 3.0, -2.25])),
)
if "rows of nothing" not in SWITCHED_ON:
    EVENTS = EVENTS.filter(lambda event: event != Event(None, None, None, None, None))
LOGS = st.lists(EVENTS, min_size=1, max_size=24)


def csv_text(draw: Draw, events: Sequence[Event], time_format: str) -> str:
    """Write events as delimited text, each cell in one of the ways in which it may stand there."""
    decimals = maybe(draw, "float ids")
    spaces = maybe(draw, "spaces around ids")
    quotes = maybe(draw, "quotes")
    blanks = maybe(draw, "blank lines")
    nothing = ["", "nan", "NULL", "None"] if maybe(draw, "texts for no id") else [""]

    def written(value: int | None) -> str:
        if value is None:
            return str(draw(st.sampled_from(nothing)))
        text = f"{value}.0" if decimals and draw(st.booleans()) else str(value)
        return f" {text}  " if spaces and draw(st.booleans()) else text

    def moment(time: int | None) -> str:
        if time is None:
            return ""
        if time_format == "s":
            return str(draw(st.sampled_from([f"{time}", f"{time}.0"])))
        when = datetime.datetime.fromtimestamp(time, datetime.timezone.utc)
        later = when.astimezone(datetime.timezone(datetime.timedelta(hours=2)))
        forms = [f"{when:%Y-%m-%d %H:%M:%S}", f"{when:%Y-%m-%dT%H:%M:%SZ}", later.isoformat()]
        return str(draw(st.sampled_from(forms)))

    lines = [",".join(COLUMNS)]
    for event in events:
        label = "" if event.label is None else str(event.label)
        value = "" if event.value is None else repr(event.value)
        cells = [written(event.user), written(event.item), moment(event.time), label, value]
        if quotes:
            cells = [f'"{cell}"' if draw(st.booleans()) else cell for cell in cells]
        lines.append(",".join(cells))
        if blanks and draw(st.booleans()):
            lines.append("")
    return draw(st.sampled_from(["\n", "\r\n"])).join([*lines, ""])


def id_kinds() -> list[Callable[[list[int | None]], pa.Array]]:
    """Return the ways in which a parquet column may hold ids."""

    def texts(ids: list[int | None]) -> list[str | None]:
        return [None if one is None else str(one) for one in ids]

    kinds: list[Callable[[list[int | None]], pa.Array]] = [
        lambda ids: pa.array(ids, pa.int64()),
        lambda ids: pa.array(ids, pa.int8()),
        lambda ids: pa.array(ids, pa.uint32()),
        lambda ids: pa.array(texts(ids), pa.string()),
        lambda ids: pa.array(texts(ids), pa.binary()),
        lambda ids: pa.array(texts(ids), pa.string()).dictionary_encode(),
    ]
    if "float ids" in SWITCHED_ON:
        kinds.append(lambda ids: pa.array([np.nan if i is None else float(i) for i in ids]))
        kinds.append(lambda ids: pa.array(ids, pa.float32()))
    if "decimal ids" in SWITCHED_ON:
        kinds.append(
            lambda ids: pa.array(
                [None if i is None else decimal.Decimal(i) for i in ids], pa.decimal128(9, 2)
            )
        )
    if "spaces around ids" in SWITCHED_ON:
        kinds.append(lambda ids: pa.array([t and f" {t}" for t in texts(ids)], pa.string()))
    return kinds


def times(seconds: list[int | None], kind: str) -> pa.Array:
    """Return a parquet column of times."""
    if kind in ("int64", "double"):
        return pa.array(seconds, kind)
    column = pa.array([None if s is None else s * 1000 for s in seconds], pa.timestamp("ms"))
    return column.cast(pa.timestamp("us", "UTC")) if kind == "UTC" else column


def parquet_part(draw: Draw, events: Sequence[Event], kinds: tuple[Any, ...]) -> pa.Table:
    """Return events as a typed table."""
    user, item, time, label, value = kinds
    nan = draw(st.sampled_from([None, np.nan]))
    return pa.table(
        {
            "user_id": user([event.user for event in events]),
            "item_id": item([event.item for event in events]),
            "timestamp": times([event.time for event in events], time),
            "label": pa.array([event.label for event in events], label),
            "value": pa.array([nan if e.value is None else e.value for e in events], value),
        }
    )


def time_kinds(draw: Draw) -> list[str]:
    """Return the types that the times of one log may have: numbers beside dates are refused."""
    typed = maybe(draw, "typed times")
    return ["ms", "UTC"] if typed else ["int64", "double"]


def part_kinds(draw: Draw, times: Sequence[str]) -> tuple[Any, ...]:
    """Return how the columns of a part are typed, its times in one of the given ways."""
    return (
        draw(st.sampled_from(id_kinds())),
        draw(st.sampled_from(id_kinds())),
        draw(st.sampled_from(times)),
        draw(st.sampled_from([pa.int8(), pa.int64(), pa.float64()])),
        draw(st.sampled_from([pa.float32(), pa.float64()])),
    )


@dataclass(frozen=True)
class Landing:
    """A landed log in its folder."""

    folder: Path
    landed: LandedLog
    config: IngestionConfig

    def events(self) -> list[Event]:
        """Return the good events in the order of the files."""
        batch = self.folder / "events" / str(self.landed.manifest.base)
        rows = pd.read_parquet(batch / "events.parquet").query("defect == 0").sort_values("order")
        excluded = batch / "excluded.parquet"
        if excluded.exists():
            rows = rows[~rows["order"].isin(pd.read_parquet(excluded)["order"])]
        names = {}
        for kind in ("user", "item"):
            ids = pd.read_parquet(batch / f"{kind}s.parquet")
            names[kind] = dict(zip(ids[f"{kind}_key"], ids[f"{kind}_id"], strict=True))
        return [
            Event(
                int(names["user"][row.user_key]),
                int(names["item"][row.item_key]),
                row.timestamp,
                row.label,
                None if pd.isna(row.value) else row.value,
            )
            for row in rows.itertuples()
        ]


def land(folder: Path, files: dict[str, bytes], time_format: str = "s") -> Landing:
    """Land files as the user's log; the first names the log, those in a folder are its parts."""
    raw = folder / "raw" / "tabular"
    for name, content in files.items():
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    config = IngestionConfig(
        source="tabular",
        threads=1,
        slate_size=2,
        on_bad_rows="drop",
        tabular={
            "events": next(iter(files)).split("/")[0],
            "columns": {"label": "label", "value": "value"},
            "time_format": time_format,
        },
    )
    return Landing(folder, land_log(raw.parent, folder, config, seed=0), config)


def parquet_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def csv_file(
    draw: Draw, events: Sequence[Event], time_format: str, name: str = "log"
) -> dict[str, bytes]:
    content = csv_text(draw, events, time_format).encode()
    if maybe(draw, "gz"):
        return {f"{name}.csv.gz": gzip.compress(content)}
    return {f"{name}.csv": content}


def cuts(draw: Draw, events: Sequence[Event]) -> list[Sequence[Event]]:
    """Return the events in one to three parts."""
    inner = sorted(draw(st.lists(st.integers(1, len(events)), max_size=2)))
    bounds = [0, *inner, len(events)]
    return [events[first:end] for first, end in itertools.pairwise(bounds) if end > first]


def csv_parts(draw: Draw, events: Sequence[Event], time_format: str) -> dict[str, bytes]:
    pieces = cuts(draw, events)
    if maybe(draw, "empty part"):
        pieces.insert(0, [])
    files: dict[str, bytes] = {}
    for place, piece in enumerate(pieces):
        files |= csv_file(draw, piece, time_format, f"log/part-{place}")
    if maybe(draw, "hidden file"):
        files["log/_part.csv"] = next(iter(files.values()))
    return files


def parquet_parts(draw: Draw, events: Sequence[Event]) -> dict[str, bytes]:
    times = time_kinds(draw)
    kinds = part_kinds(draw, times)
    mixed = maybe(draw, "part types")
    tables = [
        parquet_part(draw, piece, part_kinds(draw, times) if mixed else kinds)
        for piece in cuts(draw, events)
    ]
    if maybe(draw, "empty part"):
        tables.insert(0, tables[0].slice(0, 0))
    parts = {f"log/part-{place}.parquet": parquet_bytes(t) for place, t in enumerate(tables)}
    if maybe(draw, "hidden file"):
        parts["log/_part.parquet"] = parts["log/part-0.parquet"]
    return parts


def writings(draw: Draw, events: Sequence[Event]) -> dict[str, tuple[dict[str, bytes], str]]:
    """Return the log as text, as one typed file and as parts, each with its form of times."""
    time_format = draw(st.sampled_from(["s", "datetime"]))
    one = parquet_bytes(parquet_part(draw, events, part_kinds(draw, time_kinds(draw))))
    return {
        "text": (csv_file(draw, events, time_format), time_format),
        "parts of text": (csv_parts(draw, events, time_format), time_format),
        "one file": ({"log.parquet": one}, "s"),
        "parts": (parquet_parts(draw, events), "s"),
    }


@settings(QUICK, max_examples=10)
@given(events=LOGS, data=st.data())
def test_every_row_is_kept_or_named_in_every_kind_of_file(events: list[Event], data: Any) -> None:
    expected = fate(events)
    for kind, (files, time_format) in writings(data.draw, events).items():
        with tempfile.TemporaryDirectory() as folder:
            if not expected.kept:
                with pytest.raises(UserError, match="no usable event"):
                    land(Path(folder), files, time_format)
                continue
            landing = land(Path(folder), files, time_format)
            accounts = landing.landed.manifest.merged_accounts()
            assert accounts.rows_in == len(events), kind
            assert accounts.rows_out == len(expected.kept), kind
            assert Counter({bad.reason: bad.count for bad in accounts.bad}) == expected.dropped
            assert landing.events() == expected.kept, kind


def tables_of(landing: Landing) -> dict[str, pd.DataFrame] | str:
    """Return the canonical tables, or the message that refuses the log."""
    try:
        tables = build_tables(landing.folder, landing.landed, landing.config, "tabular")
    except UserError as error:
        return str(error).split(" Of ")[0]  # places of dropped rows differ between files
    frames = {name: pd.read_parquet(path) for name, path in tables.staged.items()}
    return {**frames, "info": pd.DataFrame([json.dumps(tables.info.to_dict())])}


@settings(QUICK, max_examples=3)
@given(events=st.lists(EVENTS, min_size=12, max_size=30), data=st.data())
def test_every_kind_of_file_gives_the_same_tables(events: list[Event], data: Any) -> None:
    if not fate(events).kept:
        return
    results = []
    for files, time_format in writings(data.draw, events).values():
        folder = Path(tempfile.mkdtemp())
        try:
            results.append(tables_of(land(folder, files, time_format)))
        finally:
            shutil.rmtree(folder)
    first, *others = results
    for other in others:
        if isinstance(first, str) or isinstance(other, str):
            assert other == first
            continue
        for name, frame in first.items():
            pd.testing.assert_frame_equal(other[name], frame)
