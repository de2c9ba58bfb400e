"""The model of a policy that was trained for a catalogue that moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.io.project_artifacts import ProjectArtifacts
from hsrl_pipeline.io.served_project import item_publisher, user_encoder
from hsrl_pipeline.serving.served_model import ServedModel

if TYPE_CHECKING:
    from hsrl_pipeline.catalogue.timetable import Point, Timetable

MADE = (
    "catalogue_schedule",
    "launch_item_vectors",
    "launch_item_vectorizer",
    "launch_codebook",
    "arriving_items",
)


def moving_model(artifacts: ProjectArtifacts, mode: str, name: str | None = None) -> ServedModel:
    """Return the model of a project's policy that was trained under ``catalogue.schedule=moving``.

    Args:
        artifacts: Parameters and files of one dataset; ``agent.name``, ``seed`` and
            ``catalogue.arm`` say which policy.
        mode: ``serving`` for the policy as it was at launch, with the launch items live;
            ``training`` for the one that has learned through all changes, with the items live
            that were so at the end. What arrives later can be added by its id.
        name: What answers call the model; by default it is made of agent, seed, dataset and mode.

    Raises:
        UserError: Something was not made yet or does not belong together; names what to run.
    """
    from hsrl_pipeline.catalogue.changes import Publication
    from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
    from hsrl_pipeline.catalogue.schedule import CatalogueSchedule
    from hsrl_pipeline.catalogue.schedule_draw import needed_by_sessions
    from hsrl_pipeline.catalogue.shuffled_codes import shuffle_codes
    from hsrl_pipeline.catalogue.versions import versions_of
    from hsrl_pipeline.config.root import validate_parameters
    from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable
    from hsrl_pipeline.semantic_ids.item_priors import prior_table
    from hsrl_pipeline.semantic_ids.vector_checkpoints import vectors_for_policies

    timetable, point = _last_point(artifacts, mode)
    artifacts.check_together("dataset_info", "users", "items", *MADE, f"timetable_{mode}")
    rules = validate_parameters(artifacts.parameters)
    info = DatasetInfo.from_dict(artifacts.load("dataset_info"))
    items = ItemTable.from_frame(artifacts.load("items"), info)
    schedule = CatalogueSchedule.from_document(artifacts.load("catalogue_schedule"))
    codebook = artifacts.load("launch_codebook")
    codes, arriving = (
        np.ascontiguousarray(codebook.codes, dtype=np.int64),
        Publication.from_state(artifacts.load("arriving_items")["state"]),
    )
    if rules.catalogue.codes == "shuffled":
        codes, arriving = shuffle_codes(schedule, codes, arriving, rules.seed)
    vectors = np.ascontiguousarray(vectors_for_policies(artifacts.load("launch_item_vectors")))
    launch = LiveCatalogue(schedule.launched, vectors, codes)
    n_needed, shelves = needed_by_sessions(info, items.shelves, rules.session, rules.candidates)
    steps = versions_of(schedule, launch, arriving, n_needed=n_needed, shelves=shelves)
    versions = [launch, *(version for _, version in steps)]
    policy = artifacts.load(f"policies_{mode}").load(point.at)
    config = policy["config"]
    return ServedModel(
        policy=policy,
        name=name or f"{config['agent']}-seed{config['seed']}@{info.dataset}-moving-{mode}",
        item_ids=tuple(str(text) for text in items.item_ids),
        users=user_encoder(artifacts, info),
        launch=launch,
        catalogue=versions[timetable.trained_under(point.at)],
        horizon=rules.session.horizon,
        item_priors=prior_table(artifacts.load("launch_item_priors"), info.n_items),
        shelves=shelves,
        arrivals=arriving,
        publisher=item_publisher(
            artifacts, info, artifacts.load("launch_item_vectorizer"), codebook
        ),
    )


def _last_point(artifacts: ProjectArtifacts, mode: str) -> tuple[Timetable, Point]:
    """Return the times of a mode, and the one whose policy is served."""
    from hsrl_pipeline.catalogue.timetable import Timetable

    document = artifacts.load(f"timetable_{mode}")
    if not document:
        raise UserError(
            f"The run has no policy of mode {mode}",
            where="catalogue.modes",
            remedy="Run moving_training with this mode, or serve the other one.",
        )
    timetable = Timetable.from_dict(
        {name: document[name] for name in ("mode", "n_iterations", "change_at", "points")}
    )
    # right after the launch, or at the end of a training that went through all changes
    return timetable, timetable.points[0 if mode == "serving" else -1]
