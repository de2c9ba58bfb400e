"""Commands around serving: ``kedro serve``, ``register``, ``champion`` and ``ab``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

RUN_OPTIONS = (
    click.option("--env", help="Environment of the dataset; by default that of kedro run."),
    click.option("--agent", help="Agent whose policy is meant; by default agent.name."),
    click.option("--seed", type=int, help="Seed of its run; by default the parameter seed."),
    click.option(
        "--moving",
        type=click.Choice(["serving", "training"]),
        help="Its policy of catalogue.schedule=moving: as it was at launch, or trained through all "
        "changes.",
    ),
    click.option("--arm", help="Arm of the changes then; by default catalogue.arm."),
)


def _of_a_run(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that name a finished run."""
    for option in reversed(RUN_OPTIONS):
        command = option(command)
    return command


@click.command()
@_of_a_run
@click.option("--model", help="A registered model instead, such as models:/NAME@champion.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--explore", is_flag=True, help="Draw items by their scores instead of the best.")
@click.option("--events", type=click.Path(file_okay=False), help="Folder for served slates.")
@click.option("--replicas", type=click.IntRange(min=1), help="Processes that answer (Ray Serve).")
@click.option("--cluster", help="Address of their Ray cluster; by default one is started here.")
def serve(**options: Any) -> None:
    """Answer requests for recommendations on 127.0.0.1."""
    import torch

    from hsrl_pipeline.serving.catalogue_calls import TOKEN_VARIABLE
    from hsrl_pipeline.serving.event_log import EventLog
    from hsrl_pipeline.serving.server import refuse_taken_port, run_server

    port, replicas, cluster = options["port"], options["replicas"], options["cluster"]
    if options["events"] and (replicas or cluster):
        raise click.UsageError(
            "--events works with one process alone: feedback may come to another replica than the "
            "one that showed the slate"
        )
    refuse_taken_port(port)
    torch.set_num_threads(options["threads"])
    if options["model"]:
        from hsrl_pipeline.tracking.registry import load_served_model

        served = load_served_model(Path.cwd(), options["model"])
    else:
        served, _ = _finished_model(options)
    click.echo(f"{served.name}, version {served.catalogue.version} of the catalogue")
    click.echo(f"Try it: http://127.0.0.1:{port}/docs (Ctrl+C ends it)")
    given: dict[str, Any] = {
        "port": port,
        "explore": options["explore"],
        "token": os.environ.get(TOKEN_VARIABLE),
    }
    if replicas or cluster:
        from hsrl_pipeline.serving.ray_serve import LOCAL, run_replicas

        run_replicas(
            served,
            replicas=replicas or 1,
            address=cluster or LOCAL,
            threads=options["threads"],
            **given,
        )
        return
    run_server(
        served, events=EventLog(Path(options["events"])) if options["events"] else None, **given
    )


@click.command()
@_of_a_run
def register(**options: Any) -> None:
    """Enter the policy of a finished run into MLflow's registry, as the challenger."""
    import pandas as pd

    from hsrl_pipeline.io.served_project import judged_sessions
    from hsrl_pipeline.tracking.registry import register as enter

    model, artifacts = _finished_model(options)
    config = model.policy["config"]
    known = ("agent", "seed", "regime", "dataset", "dataset_version", "codebook_version")
    tags = {name: str(config[name]) for name in known if name in config}
    moving = options["moving"]
    made = enter(
        Path.cwd(),
        model,
        # a moving catalogue is judged by regret under its versions, not by single sessions
        pd.DataFrame() if moving else judged_sessions(artifacts),
        dataset=config["dataset"] + (f"-moving-{moving}" if moving else ""),
        tags=tags,
    )
    click.echo(f"{made.uri} is the challenger of {made.name}")
    click.echo(f"Serve it:       make serve MODEL={made.uri}")
    click.echo(f"Make it champion: kedro champion {made.name}")


@click.command()
@click.argument("name")
@click.option("--version", help="Number of the version; by default the challenger.")
@click.option("--force", is_flag=True, help="Do not compare with the champion.")
def champion(name: str, version: str | None, force: bool) -> None:
    """Make a version of a registered model the champion, if it is clearly better."""
    from hsrl_pipeline.tracking.registry import promote

    click.echo(promote(Path.cwd(), name, version, force=force))


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--env", help="Environment of the dataset; by default that of kedro run.")
@click.option("--sessions", type=click.IntRange(min=100), default=2000, show_default=True)
@click.option("--clients", type=click.IntRange(1, 64), default=8, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), help="Who comes; by default evaluation.seed.")
@click.option("--moving", is_flag=True, help="Move the catalogue as the project's schedule does.")
@click.option("--changes", type=click.Path(dir_okay=False), help="JSON file of other changes.")
@click.option("--explore", is_flag=True, help="Draw items by their scores instead of the best.")
@click.option("--events", type=click.Path(file_okay=False), help="Folder for served slates.")
@click.option("--output", type=click.Path(file_okay=False), help="Folder of the report.")
def ab(a: str, b: str, **options: Any) -> None:
    """Let simulated users visit two models through the server, and compare them.

    A and B are agents of finished runs (hsrl, sl:1 for the run with seed 1, hsrl@serving or
    hsrl@training for its policies of a moving catalogue), or registered models such as
    models:/NAME@champion.
    """
    from hsrl_pipeline.ab_command import compare_models

    for line in compare_models(Path.cwd(), a, b, options | {"env": _dataset(options["env"])}):
        click.echo(line)


def _finished_model(options: dict[str, Any]) -> tuple[Any, Any]:
    """Return the model of a finished run of this project, and what the run has persisted."""
    from hsrl_pipeline.io.project_artifacts import ProjectArtifacts
    from hsrl_pipeline.io.served_moving import moving_model
    from hsrl_pipeline.io.served_project import served_model

    asked: dict[str, Any] = {}
    if options["agent"]:
        asked["agent"] = {"name": options["agent"]}
    if options["seed"] is not None:
        asked["seed"] = options["seed"]
    moving = options["moving"]
    if options["arm"]:
        if not moving:
            raise click.UsageError("--arm says which moving catalogue is meant: add --moving")
        asked["catalogue"] = {"arm": options["arm"]}
    artifacts = ProjectArtifacts(Path.cwd(), _dataset(options["env"]), asked)
    made = moving_model(artifacts, moving) if moving else served_model(artifacts)
    return made, artifacts


def _dataset(env: str | None) -> str:
    """Return the environment that is meant."""
    from hsrl_pipeline.io.project_artifacts import BASE_DATASET

    return env or os.environ.get("KEDRO_ENV") or BASE_DATASET


SERVING_COMMANDS = (serve, register, champion, ab)
