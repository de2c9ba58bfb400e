"""Nodes of the ingestion pipeline: thin over the library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hsrl_pipeline.pipelines.lazy_pandas as pd
from hsrl_pipeline.config.ingestion import IngestionConfig


def land_events(
    raw_folder: Path, work_folder: Path, ingestion: IngestionConfig, seed: int
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Check every row of the raw log and stage its good events.

    Args:
        raw_folder: Folder of raw files.
        work_folder: The dataset's intermediate folder.
        ingestion: Parameters of ingestion.
        seed: Seed of the run.

    Returns:
        Manifest of the events that count, raw item features, raw user features.
    """
    from hsrl_pipeline.data.tables.ingest import land_log

    landed = land_log(raw_folder, work_folder, ingestion, seed)
    return landed.manifest.to_dict(), landed.items, landed.users


def make_synthetic_truth(
    ingestion: IngestionConfig, seed: int, dataset_info: dict[str, Any]
) -> dict[str, Any]:
    """Return the true click probabilities behind the synthetic log.

    Args:
        ingestion: Parameters of ingestion.
        seed: Seed of the run.
        dataset_info: Version of the dataset.

    Returns:
        Checkpoint of the truth; without arrays for a real log, whose truth nobody knows.
    """
    if ingestion.source != "synthetic":
        return {"config": {}, "state": {}}
    from hsrl_pipeline.data.sources.synthetic import make_population
    from hsrl_pipeline.provenance import with_provenance

    truth, _, _ = make_population(ingestion.synthetic, seed)
    return with_provenance(truth.to_checkpoint(), dataset_info["version"])


def build_canonical_tables(
    work_folder: Path,
    event_manifest: dict[str, Any],
    item_features: pd.DataFrame,
    user_features: pd.DataFrame,
    ingestion: IngestionConfig,
) -> dict[str, Any]:
    """Cut, split and index all events that count.

    Args:
        work_folder: The dataset's intermediate folder; its name is the dataset's.
        event_manifest: Which event files count.
        item_features: Raw item features.
        user_features: Raw user features.
        ingestion: Parameters of ingestion.

    Returns:
        The canonical tables and what describes them, by catalog name.
    """
    from hsrl_pipeline.data.events.store import EventManifest
    from hsrl_pipeline.data.tables.ingest import LandedLog, build_tables

    manifest = EventManifest.from_dict(event_manifest)
    landed = LandedLog(manifest=manifest, items=item_features, users=user_features)
    tables = build_tables(work_folder, landed, ingestion, work_folder.name)
    return {
        **tables.staged,
        "dataset_info": tables.info.to_dict(),
        "category_values": tables.category_values,
        "item_popularity": tables.popularity,
        "log_summary": tables.summary,
    }


def keep_pair_tables(
    *,
    raw_folder: Path,
    work_folder: Path,
    users: pd.DataFrame,
    items: pd.DataFrame,
    dataset_info: dict[str, Any],
    ingestion: IngestionConfig,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Keep what is known of pairs of a user and an item beside the log.

    Args:
        raw_folder: Folder of raw files.
        work_folder: The dataset's intermediate folder.
        users: Canonical table.
        items: Canonical table.
        dataset_info: Version of the dataset.
        ingestion: Parameters of ingestion.
        seed: Seed of the run.

    Returns:
        Recorded answers and propensities, without rows where the source has none, and the accounts
        of their files.
    """
    from hsrl_pipeline.data.tables.pair_tables import build_pair_tables
    from hsrl_pipeline.provenance import DATASET_VERSION

    tables = build_pair_tables(
        raw_folder, work_folder, users=users, items=items, config=ingestion, seed=seed
    )
    for table in (tables.recorded_answers, tables.propensities):
        table.attrs[DATASET_VERSION] = dataset_info["version"]
    return tables.recorded_answers, tables.propensities, tables.accounts.to_dict()


def report_data_quality(
    event_manifest: dict[str, Any],
    pair_table_rows: dict[str, Any],
    log_summary: dict[str, Any],
    item_popularity: pd.DataFrame,
) -> tuple[dict[str, Any], Any, dict[str, float]]:
    """Report rows in, out and dropped, the log's figures and its long tail.

    Args:
        event_manifest: Accounts of events and features.
        pair_table_rows: Accounts of the files of recorded answers and propensities.
        log_summary: Figures of the canonical log.
        item_popularity: Events per item.

    Returns:
        Report, figure and flat metrics.
    """
    from hsrl_pipeline.data.accounts import RowAccounts
    from hsrl_pipeline.data.events.store import EventManifest
    from hsrl_pipeline.data.tables.quality import make_report, plot_long_tail, report_metrics

    manifest = EventManifest.from_dict(event_manifest)
    others = manifest.feature_accounts().merged(RowAccounts.from_dict(pair_table_rows))
    report = make_report(manifest.merged_accounts(), others, log_summary, item_popularity)
    return report, plot_long_tail(report, item_popularity), report_metrics(report)
