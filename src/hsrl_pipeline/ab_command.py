"""What ``kedro ab`` does: two models of a project, its simulated users, one report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.io.project_artifacts import ProjectArtifacts
from hsrl_pipeline.io.served_moving import moving_model
from hsrl_pipeline.io.served_project import scheduled_moves, served_model, simulated_visitors
from hsrl_pipeline.serving.ab.ab_test import run_ab_test
from hsrl_pipeline.serving.ab.assignment import Arm
from hsrl_pipeline.serving.ab.catalogue_moves import CatalogueMove, read_moves
from hsrl_pipeline.serving.ab.page import findings, write_report
from hsrl_pipeline.serving.ab.results import session_table, summarise
from hsrl_pipeline.serving.served_model import ServedModel
from hsrl_pipeline.simulator.response.recorded import RecordedResponse


def compare_models(project: Path, a: str, b: str, options: Mapping[str, Any]) -> Iterator[str]:
    """Run a simulated A/B test and write its report.

    Args:
        project: The project's root.
        a: Agent of a finished run, with ``:SEED`` where it is another one than the run's and
            ``@serving`` or ``@training`` for its policy of a moving catalogue; or the address of a
            registered model.
        b: The same for the other arm.
        options: As ``kedro ab`` takes them; ``env`` is the dataset.

    Yields:
        What to tell the user.

    Raises:
        UserError: A model or file is missing or does not fit; says what to do.
    """
    if options["moving"] and options["changes"]:
        raise UserError(
            "--moving and --changes are given at once",
            where="kedro ab",
            remedy="Name one of them: the project's schedule or a file.",
        )
    artifacts = ProjectArtifacts(project, options["env"])
    models: dict[Arm, ServedModel] = {
        "A": _model(project, options["env"], a),
        "B": _model(project, options["env"], b),
    }
    visitors = simulated_visitors(artifacts, options["seed"], options["sessions"])
    moves: dict[Arm, tuple[CatalogueMove, ...]] | None = None
    if options["moving"]:
        moves = {arm: scheduled_moves(artifacts, model) for arm, model in models.items()}
    elif options["changes"]:
        moves = dict.fromkeys(models, read_moves(Path(options["changes"])))
    yield f"A: {models['A'].name}, B: {models['B'].name}, {options['sessions']} sessions"
    records = run_ab_test(
        models,
        visitors,
        n_sessions=options["sessions"],
        n_clients=options["clients"],
        moves=moves,
        explore=options["explore"],
        events=Path(options["events"]) if options["events"] else None,
    )
    sessions = session_table(records, visitors.setting.slate_size)
    dataset = artifacts.load("dataset_info")["dataset"]
    settings = {
        "dataset": dataset,
        "regime": visitors.setting.candidates.regime,
        "users": "recorded answers"
        if isinstance(visitors.judge, RecordedResponse)
        else "evaluation simulator",
        "sessions": options["sessions"],
        "sessions at a time": options["clients"],
        "seed": visitors.seed,
        "explore": options["explore"],
        "changes of the catalogue": len(moves["A"]) if moves else 0,
    }
    document = summarise(
        records, sessions, {arm: model.name for arm, model in models.items()}, settings
    )
    folder = project / "data/08_reporting" / dataset / "ab" / f"{_plain(a)}-{_plain(b)}"
    path = write_report(Path(options["output"] or folder), document, sessions)
    yield from findings(document)
    yield f"Report: {path}"


def _model(project: Path, dataset: str, name: str) -> ServedModel:
    """Return a registered model, or that of a finished run."""
    if name.startswith(("models:/", "runs:/")):
        from hsrl_pipeline.tracking.registry import load_served_model

        return load_served_model(project, name)
    found = re.fullmatch(r"([^:@]+)(?::(\d+))?(?:@(serving|training))?", name)
    if found is None:
        raise UserError(
            f"{name!r} names no model",
            where="kedro ab",
            remedy="Give an agent such as hsrl, with its seed as in hsrl:1, with @serving or "
            "@training for its policy of a moving catalogue, or the address of a registered model "
            "such as models:/NAME@champion.",
        )
    agent, seed, mode = found.groups()
    asked: dict[str, Any] = {"agent": {"name": agent}} | ({"seed": int(seed)} if seed else {})
    artifacts = ProjectArtifacts(project, dataset, asked)
    try:
        return moving_model(artifacts, mode) if mode else served_model(artifacts)
    except UserError as error:
        if "_training" not in (error.remedy or ""):
            raise
        overrides = f"agent.name={agent}" + (f",seed={seed}" if seed else "")
        overrides += ",catalogue.schedule=moving" if mode else ""
        remedy = f"{error.remedy} --params {overrides}"
        raise UserError(error.what, where=error.where, remedy=remedy) from error


def _plain(name: str) -> str:
    """Return a name as part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("_")
