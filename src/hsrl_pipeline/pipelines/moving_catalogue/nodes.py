"""Nodes of the moving_catalogue pipeline: thin over the library."""

from __future__ import annotations

from typing import Any

import hsrl_pipeline.pipelines.lazy_pandas as pd
from hsrl_pipeline.config.catalogue import CatalogueConfig
from hsrl_pipeline.config.session import CandidatesConfig, SessionConfig
from hsrl_pipeline.config.sid import SidConfig
from hsrl_pipeline.config.simulator import SimulatorConfig


def draw_catalogue_schedule(
    *,
    dataset_info: dict[str, Any],
    users: pd.DataFrame,
    items: pd.DataFrame,
    slates: pd.DataFrame,
    timeline: pd.DataFrame,
    simulator_train: dict[str, Any],
    catalogue: CatalogueConfig,
    session: SessionConfig,
    candidates: CandidatesConfig,
    seed: int,
) -> dict[str, Any]:
    """Draw which items are live at launch, and what arrives and leaves with each change.

    Args:
        dataset_info: Sizes of the dataset.
        users: Canonical table.
        items: Canonical table.
        slates: Canonical table; the training split alone is used.
        timeline: Canonical table.
        simulator_train: Checkpoint of the training simulator; ranks the items.
        catalogue: Shares, numbers and times of the changes.
        session: Horizon and history window.
        candidates: Rules for slates: how many items must be live.
        seed: Seed of the run.

    Returns:
        The schedule as a document.
    """
    from hsrl_pipeline.catalogue.schedule_draw import draw_for_dataset
    from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable, SlateLog, UserTable
    from hsrl_pipeline.simulator.mean_clicks import mean_clicks
    from hsrl_pipeline.simulator.response.checkpoint import build_response_model
    from hsrl_pipeline.simulator.response.user_identity import users_as_read
    from hsrl_pipeline.simulator.user_pool import UserPool

    info = DatasetInfo.from_dict(dataset_info)
    _, read_users = users_as_read(info, UserTable.from_frame(users, info), simulator_train)
    log = SlateLog.from_frames(slates, timeline)
    pool = UserPool.from_log(log.train, read_users, session.history_size)
    clicks = mean_clicks(build_response_model(simulator_train), pool, seed=seed)
    return draw_for_dataset(
        catalogue,
        clicks,
        items,
        info,
        session=session,
        candidates=candidates,
        shelves=ItemTable.from_frame(items, info).shelves,
        seed=seed,
        simulator_version=simulator_train["config"].get("version"),
    ).to_document()


def build_launch_vectors(
    *,
    items: pd.DataFrame,
    slates: pd.DataFrame,
    timeline: pd.DataFrame,
    dataset_info: dict[str, Any],
    catalogue_schedule: dict[str, Any],
    sid: SidConfig,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make vectors of the launch items, from what is known at launch.

    Args:
        items: Canonical table.
        slates: Canonical table; the training split alone is used.
        timeline: Canonical table.
        dataset_info: Sizes and field names.
        catalogue_schedule: Document of the schedule.
        sid: Parameters of semantic IDs.
        seed: Seed of the run.

    Returns:
        Checkpoint with ``vectors`` (item, embed) float32, zero for items that are not live at
        launch; and that of the transform that makes vectors of those.
    """
    from hsrl_pipeline.catalogue import CatalogueSchedule, withhold
    from hsrl_pipeline.data.slate_log import DatasetInfo, SlateLog
    from hsrl_pipeline.semantic_ids.vector_checkpoints import vector_checkpoints

    schedule = CatalogueSchedule.from_document(catalogue_schedule)
    return vector_checkpoints(
        items,
        withhold(SlateLog.from_frames(slates, timeline), schedule.launched),
        DatasetInfo.from_dict(dataset_info),
        sid.vectors,
        seed=seed,
        known=schedule.launched,
        sources={"catalogue_schedule_version": schedule.version},
    )


def fit_launch_codebook(
    launch_item_vectors: dict[str, Any],
    catalogue_schedule: dict[str, Any],
    sid: SidConfig,
    seed: int,
) -> Any:
    """Fit residual k-means on the launch items and give each its semantic ID.

    Args:
        launch_item_vectors: Checkpoint with ``vectors``.
        catalogue_schedule: Document of the schedule.
        sid: Parameters of semantic IDs.
        seed: Seed of the run.

    Returns:
        The frozen codebook; items that are not live at launch have no semantic ID.
    """
    from hsrl_pipeline.catalogue import CatalogueSchedule
    from hsrl_pipeline.semantic_ids.tokenization import tokenize
    from hsrl_pipeline.semantic_ids.vector_checkpoints import vectors_of

    schedule = CatalogueSchedule.from_document(catalogue_schedule)
    return tokenize(
        vectors_of(launch_item_vectors),
        sid,
        seed=seed,
        provenance={
            "dataset": launch_item_vectors["config"]["dataset"],
            "dataset_version": launch_item_vectors["config"]["dataset_version"],
            "catalogue_schedule_version": schedule.version,
            "item_vectors_version": launch_item_vectors["config"]["version"],
        },
        items=schedule.launch,
    )


def score_launch_priors(
    *,
    items: pd.DataFrame,
    slates: pd.DataFrame,
    timeline: pd.DataFrame,
    dataset_info: dict[str, Any],
    catalogue_schedule: dict[str, Any],
    sid: SidConfig,
) -> pd.DataFrame:
    """Score what is preferred among the items of one code, from what is known at launch.

    Args:
        items: Canonical table.
        slates: Canonical table; the training split alone is used.
        timeline: Canonical table.
        dataset_info: Version of the dataset.
        catalogue_schedule: Document of the schedule.
        sid: Parameters of semantic IDs.

    Returns:
        Columns ``item_index`` and ``prior``; 0, the lowest rank, for items not live at launch.
    """
    from hsrl_pipeline.catalogue import CatalogueSchedule, withhold
    from hsrl_pipeline.data.slate_log import SlateLog
    from hsrl_pipeline.provenance import DATASET_VERSION
    from hsrl_pipeline.semantic_ids.item_priors import prior_frame

    schedule = CatalogueSchedule.from_document(catalogue_schedule)
    return prior_frame(
        items,
        withhold(SlateLog.from_frames(slates, timeline), schedule.launched),
        sid.priors,
        known=schedule.launched,
        sources={
            DATASET_VERSION: dataset_info["version"],
            "catalogue_schedule_version": schedule.version,
        },
    )


def publish_arriving_items(
    *,
    items: pd.DataFrame,
    dataset_info: dict[str, Any],
    catalogue_schedule: dict[str, Any],
    launch_item_vectors: dict[str, Any],
    launch_item_vectorizer: dict[str, Any],
    launch_codebook: Any,
    session: SessionConfig,
    candidates: CandidatesConfig,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make vector and semantic ID of every arriving item, and go through all changes once.

    Args:
        items: Canonical table.
        dataset_info: Sizes and field names.
        catalogue_schedule: Document of the schedule.
        launch_item_vectors: Checkpoint with ``vectors``.
        launch_item_vectorizer: Checkpoint of the frozen transform.
        launch_codebook: The frozen codebook.
        session: Horizon.
        candidates: Rules for slates: how many items must be live.

    Returns:
        Checkpoint of what is published of arriving items, and the changes as a document.
    """
    from hsrl_pipeline.catalogue import CatalogueSchedule, LiveCatalogue
    from hsrl_pipeline.catalogue.schedule_draw import needed_by_sessions
    from hsrl_pipeline.catalogue.versions import versions_of
    from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable
    from hsrl_pipeline.semantic_ids.item_facts import FactColumns
    from hsrl_pipeline.semantic_ids.item_vectorizer import ItemVectorizer
    from hsrl_pipeline.semantic_ids.publishing import publish_arrivals
    from hsrl_pipeline.semantic_ids.vector_checkpoints import vectors_for_policies

    info = DatasetInfo.from_dict(dataset_info)
    schedule = CatalogueSchedule.from_document(catalogue_schedule)
    table = ItemTable.from_frame(items, info)
    facts = FactColumns.from_dict(launch_item_vectorizer["config"]["facts"])
    arriving = publish_arrivals(
        schedule,
        table,
        facts.table(items),
        ItemVectorizer.from_checkpoint(launch_item_vectorizer),
        launch_codebook,
    )
    launch = LiveCatalogue(
        schedule.launched, vectors_for_policies(launch_item_vectors), launch_codebook.codes
    )
    n_needed, shelves = needed_by_sessions(info, table.shelves, session, candidates)
    changes = list(versions_of(schedule, launch, arriving, n_needed=n_needed, shelves=shelves))
    sources = {
        "dataset_version": info.version,
        "catalogue_schedule_version": schedule.version,
        "item_vectors_version": launch_item_vectors["config"]["version"],
        "codebook_version": launch_codebook.version,
    }
    document = {
        **sources,
        "versions": [launch.version, *(catalogue.version for _, catalogue in changes)],
        "changes": [change.to_dict() for change, _ in changes],
    }
    return {"config": sources, "state": arriving.to_state()}, document


def fit_launch_knowledge(
    *,
    users: pd.DataFrame,
    items: pd.DataFrame,
    slates: pd.DataFrame,
    timeline: pd.DataFrame,
    dataset_info: dict[str, Any],
    catalogue_schedule: dict[str, Any],
    catalogue: CatalogueConfig,
    simulator: SimulatorConfig,
    session: SessionConfig,
    seed: int,
) -> dict[str, Any]:
    """Fit a response model of somebody who knows the launch alone, for a reference.

    Args:
        users: Canonical table.
        items: Canonical table.
        slates: Canonical table; the training split alone is used.
        timeline: Canonical table.
        dataset_info: Sizes and field names.
        catalogue_schedule: Document of the schedule.
        catalogue: Whether it is wanted.
        simulator: Parameters of the simulators.
        session: History window.
        seed: Seed of the run.

    Returns:
        Checkpoint of the response model; without arrays where it is not wanted.
    """
    from hsrl_pipeline.catalogue import CatalogueSchedule
    from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable, SlateLog, UserTable
    from hsrl_pipeline.provenance import with_provenance
    from hsrl_pipeline.simulator.response.launch_response import fit_launch_response

    info = DatasetInfo.from_dict(dataset_info)
    schedule = CatalogueSchedule.from_document(catalogue_schedule)
    fitted: dict[str, Any] = {"config": {}, "state": {}}
    if catalogue.references == "all":
        fitted = fit_launch_response(
            SlateLog.from_frames(slates, timeline),
            UserTable.from_frame(users, info),
            ItemTable.from_frame(items, info),
            schedule.launched,
            simulator,
            history_size=session.history_size,
            seed=seed,
        )
    sources = {"catalogue_schedule_version": schedule.version}
    return with_provenance({**fitted, "config": {**fitted["config"], **sources}}, info.version)
