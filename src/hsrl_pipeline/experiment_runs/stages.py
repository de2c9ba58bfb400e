"""The project's pipelines as stages of a trial: what each reads and which parameters decide it."""

from __future__ import annotations

from dataclasses import dataclass

from kedro.pipeline import Pipeline

from hsrl_pipeline.pipeline_registry import MAKERS

TRIAL = "trial"
"""The stage of training and judging one agent."""

MOVING_TRIAL = "moving_trial"
"""The same through a catalogue that moves."""

PIPELINES_OF = {
    "ingestion": ("ingestion",),
    "sid_tokenization": ("sid_tokenization",),
    "simulator_training": ("simulator_training",),
    "moving_catalogue": ("moving_catalogue",),
    TRIAL: ("agent_training", "offline_eval"),
    MOVING_TRIAL: ("moving_training", "moving_evaluation"),
}
"""Stages in an order that runs: all but those of trials are made once and shared by trials."""

TRIALS = (TRIAL, MOVING_TRIAL)

PREFIX = "params:"


@dataclass(frozen=True)
class Stage:
    """Pipelines that run in one session.

    Attributes:
        name: Its name.
        pipelines: Names of the pipelines.
        parameters: Top-level parameters that they read.
        reads: Stages whose datasets they read.
    """

    name: str
    pipelines: tuple[str, ...]
    parameters: frozenset[str]
    reads: tuple[str, ...]


def project_stages() -> dict[str, Stage]:
    """Return the stages by name, in an order that runs."""
    parts = {name: pipeline_of(pipelines) for name, pipelines in PIPELINES_OF.items()}
    return {
        name: Stage(
            name=name,
            pipelines=PIPELINES_OF[name],
            parameters=frozenset(
                entry.removeprefix(PREFIX).split(".")[0]
                for entry in part.inputs()
                if entry.startswith(PREFIX)
            ),
            reads=tuple(
                other
                for other, maker in parts.items()
                if other != name and part.inputs() & maker.all_outputs()
            ),
        )
        for name, part in parts.items()
    }


def pipeline_of(names: tuple[str, ...]) -> Pipeline:
    """Return several pipelines as one."""
    return Pipeline([MAKERS[name]() for name in names])
