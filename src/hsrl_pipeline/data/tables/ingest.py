"""Raw log to canonical tables in two steps: land the good events, then build the tables.

Each step leaves what is in force untouched until its caller puts the result in place: the manifest
of events, and the staged files of the canonical tables.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.dataset_info import CategoryField, DatasetInfo
from hsrl_pipeline.data.engines.open import open_engine
from hsrl_pipeline.data.engines.scratch import new_scratch, scratch_folder
from hsrl_pipeline.data.events.checks import check_events
from hsrl_pipeline.data.events.log_settings import check_day_settings, log_settings
from hsrl_pipeline.data.events.store import (
    EventManifest,
    load_manifest,
    scan_events,
    stage_events,
)
from hsrl_pipeline.data.schemas import validate_file, validate_frame
from hsrl_pipeline.data.sources.source_log import ReadRequest, get_reader
from hsrl_pipeline.data.tables.canonical_tables import COUNTS, write_tables
from hsrl_pipeline.data.tables.feature_encoding import EncodedUsers, encode_items, encode_users
from hsrl_pipeline.data.tables.feature_match import require_match
from hsrl_pipeline.data.tables.log_summary import summarise_log
from hsrl_pipeline.data.tables.slate_cutting import place_events
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.provenance import DATASET_VERSION


@dataclass(frozen=True)
class LandedLog:
    """Good events in their folder, and the raw features that belong to them.

    Attributes:
        manifest: Names the event files; takes effect when its caller saves it.
        items: Raw item features by ``item_id``.
        users: Raw user features by ``user_id``.
    """

    manifest: EventManifest
    items: pd.DataFrame
    users: pd.DataFrame


@dataclass(frozen=True)
class CanonicalTables:
    """The canonical form of a log; large tables are staged files that wait to be put in place.

    Attributes:
        interactions: Parquet file, one row per logged event.
        slates: Parquet file, one row per complete slate.
        timeline: Parquet file, positives of each user in time order.
        items: Items by index.
        users: Users by index.
        staged: All five tables above as staged files, by catalog name.
        info: Sizes, names and version.
        category_values: What the codes of each categorical user feature stand for, from code 1.
        popularity: ``item_index``, ``n_events``, ``n_positives``, ``n_train_events``,
            ``n_train_positives`` by index.
        summary: Figures for the data-quality report.
    """

    interactions: Path
    slates: Path
    timeline: Path
    items: pd.DataFrame
    users: pd.DataFrame
    staged: dict[str, Path]
    info: DatasetInfo
    category_values: dict[str, list[str]]
    popularity: pd.DataFrame
    summary: dict[str, Any]


def land_log(raw_folder: Path, work_folder: Path, config: IngestionConfig, seed: int) -> LandedLog:
    """Read a raw log, check every row and stage its good events.

    Args:
        raw_folder: Folder of raw files; only read.
        work_folder: The dataset's intermediate folder: event files and scratch space.
        config: The ``ingestion`` parameters.
        seed: The run's seed.

    Raises:
        UserError: Raw files are missing or damaged, bad rows are not to be dropped, or a day has
            other settings than the events already ingested.
    """
    folder = event_folder(work_folder)
    with scratch_folder(work_folder) as scratch, open_engine(config, scratch) as engine:
        source = get_reader(config.source)(
            ReadRequest(raw_folder=raw_folder, workspace=scratch, config=config, seed=seed)
        )
        settings = log_settings(config.source, source)
        if config.date is not None:
            check_day_settings(load_manifest(folder), settings, config.date)
        source.accounts.settle(config.on_bad_rows)
        checked = check_events(engine, source, config.date)
        checked.accounts.settle(config.on_bad_rows)
        manifest = stage_events(folder, checked, source, config.date, settings)
        return LandedLog(
            manifest=manifest,
            items=_features(source.items, "item_id"),
            users=_features(source.users, "user_id"),
        )


def build_tables(
    work_folder: Path, landed: LandedLog, config: IngestionConfig, dataset: str
) -> CanonicalTables:
    """Build the canonical tables from all events that count.

    Args:
        work_folder: The dataset's intermediate folder.
        landed: Manifest and raw features.
        config: The ``ingestion`` parameters.
        dataset: Name of the dataset.

    Raises:
        UserError: There is no complete slate, a split would be empty, there are fewer items than a
            slate takes, or too few items or users have features.
    """
    with scratch_folder(work_folder) as scratch, open_engine(config, scratch) as engine:
        events = scan_events(engine, event_folder(work_folder), landed.manifest)
        placed = place_events(engine, events, landed.manifest)
        cut = write_tables(engine, placed, landed.manifest.slates.size)
        _require_choice(len(cut.items), landed.manifest.slates.size)
        least = config.min_feature_match
        require_match("item", cut.items["item_id"], landed.items["item_id"], least)
        require_match("user", cut.users["user_id"], landed.users["user_id"], least)
        people = encode_users(cut.users, landed.users)
        items, items_lacking = encode_items(cut.items, landed.items)
        interactions = engine.read(cut.interactions)
        slates = engine.read(cut.slates)
        summary = summarise_log(interactions, slates, landed.manifest.time_unit)
        n_counted = int(events.events.count().execute())
        summary["notes"] = {
            "rows replaced by a later partition": (
                landed.manifest.merged_accounts().rows_out - n_counted
            ),
            "items without features": items_lacking,
            "users without features": people.without_features,
        }
        for name in ("interactions", "slates", "timeline"):
            validate_file(name, getattr(cut, name))
        validate_frame("items", items)
        validate_frame("users", people.frame)
        folder = new_scratch(work_folder)
        paths = {
            name: _keep(getattr(cut, name), folder)
            for name in ("interactions", "slates", "timeline")
        }
    frames = {"items": items, "users": people.frame}
    info = _describe(dataset, landed.manifest, items, people, summary["slates"])
    version = _content_hash(paths, items, people.frame, info)
    for name, frame in frames.items():
        frame.attrs[DATASET_VERSION] = version
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    return CanonicalTables(
        **paths,
        items=items,
        users=people.frame,
        staged={**paths, **{name: folder / f"{name}.parquet" for name in frames}},
        info=DatasetInfo(**{**info.__dict__, "version": version}),
        category_values=people.category_values,
        popularity=cut.items[["item_index", *COUNTS]],
        summary=summary,
    )


def event_folder(work_folder: Path) -> Path:
    """Return where the event files of a dataset are."""
    return work_folder / "events"


def _features(frame: pd.DataFrame | None, key: str) -> pd.DataFrame:
    """Return a feature frame, with ids alone and no row where the source has none."""
    return pd.DataFrame({key: []}, dtype=str) if frame is None else frame


def _require_choice(n_items: int, slate_size: int) -> None:
    """Refuse a log from whose items no slate of different items can be chosen."""
    needed = max(slate_size, 2)  # with one item there is no choice
    if n_items >= needed:
        return
    remedy = "Bring a log with more items"
    if 2 <= n_items:
        remedy += f", or set ingestion.slate_size to at most {n_items}"
    raise UserError(
        f"The log has only {n_items} different item{'s' if n_items > 1 else ''}, and slates of "
        f"{slate_size} need at least {needed} to choose from",
        where="ingestion.slate_size",
        remedy=f"{remedy}.",
    )


def _keep(path: Path, folder: Path) -> Path:
    kept = folder / f"{path.stem}.parquet"
    os.replace(path, kept)
    return kept


def _describe(
    dataset: str,
    manifest: EventManifest,
    items: pd.DataFrame,
    people: EncodedUsers,
    n_slates: dict[str, int],
) -> DatasetInfo:
    """Return the dataset's info, its version still empty."""

    def names(frame: pd.DataFrame, prefix: str) -> tuple[str, ...]:
        return tuple(c.removeprefix(prefix) for c in frame.columns if c.startswith(prefix))

    users = people.frame
    fields = names(users, "category_")
    return DatasetInfo(
        dataset=dataset,
        slate_size=manifest.slates.size,
        n_items=len(items),
        n_users=len(users),
        category_fields=tuple(CategoryField(f, len(people.category_values[f]) + 1) for f in fields),
        dense_fields=names(users, "dense_"),
        content_fields=names(items, "content_"),
        vector_size=len(names(items, "vector_")),
        has_shelves="shelf" in items.columns,
        time_unit=manifest.time_unit,
        n_train_slates=n_slates["train"],
        n_test_slates=n_slates["test"],
        version="",
    )


def _content_hash(
    paths: dict[str, Path], items: pd.DataFrame, users: pd.DataFrame, info: DatasetInfo
) -> str:
    """Return a hash of the tables' content, the same on every engine."""
    digest = hashlib.blake2b(repr(info).encode(), digest_size=8)
    for name in ("slates", "timeline"):
        with pq.ParquetFile(paths[name]) as file:
            for batch in file.iter_batches(1 << 20):
                for column, values in zip(batch.schema.names, batch.columns, strict=True):
                    digest.update(column.encode())
                    coded = pc.equal(values, "train") if column == "split" else values
                    digest.update(coded.to_numpy(zero_copy_only=False).data)
    for frame in (items, users):
        for column, series in frame.items():
            digest.update(str(column).encode())
            digest.update(pd.util.hash_pandas_object(series, index=False).to_numpy().data)
    return digest.hexdigest()
