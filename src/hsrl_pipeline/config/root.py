"""The whole parameter tree of a run and the message for a value it refuses."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError

from hsrl_pipeline.config.agent import AgentConfig, AgentsConfig
from hsrl_pipeline.config.base import FrozenConfig
from hsrl_pipeline.config.catalogue import CatalogueConfig
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.config.search import SearchConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.config.sid import SidConfig
from hsrl_pipeline.config.simulator import SimulatorConfig
from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.errors import UserError


class Parameters(FrozenConfig):
    """Everything that conf/*/parameters*.yml and ``--params`` may set."""

    seed: int = Field(ge=0, lt=2**31, description="Seed of the run; all random streams follow it.")
    ingestion: IngestionConfig
    sid: SidConfig
    simulator: SimulatorConfig
    session: SessionConfig
    reward: RewardConfig
    candidates: CandidatesConfig
    catalogue: CatalogueConfig = Field(default_factory=CatalogueConfig)
    agent: AgentConfig
    agents: AgentsConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    search: SearchConfig = Field(default_factory=SearchConfig)


def validate_parameters(parameters: Mapping[str, Any]) -> Parameters:
    """Return the typed tree.

    Args:
        parameters: Nested parameters as Kedro loads them.

    Raises:
        UserError: A name is unknown, a value is not allowed or of another type than its parameter
            (all such are named at once), or an override does not apply to the chosen agent.
    """
    try:
        tree = Parameters.model_validate(dict(parameters))
    except ValidationError as error:
        raise _refusal([_describe(p["loc"], p) for p in error.errors()]) from None
    converted = _converted(parameters, tree)
    if converted:
        raise _refusal(converted)
    if tree.training.disagreement_penalty and not tree.simulator.has_members:
        raise _refusal([_no_members(tree)])
    settings = tree.agents.settings_of(tree.agent, tree.training.learning_rate)
    tree.training.check_agent(tree.agent.name, settings)
    return tree


def _no_members(tree: Parameters) -> str:
    """Return one sentence on a penalty on a disagreement that there cannot be."""
    simulator = tree.simulator
    kind = "parameter 'simulator.kind' is constant"
    alone = f"parameter 'simulator.n_members' is {simulator.n_members}"
    return (
        f"parameter 'training.disagreement_penalty' is {tree.training.disagreement_penalty}, but "
        f"{kind if simulator.kind == 'constant' else alone}: it needs a learned training simulator "
        "of at least 2 members, for example simulator.n_members=5"
    )


def _refusal(problems: Sequence[str]) -> UserError:
    return UserError(
        "; ".join(problems),
        where="conf/ or --params",
        remedy="Nothing was run. conf/base/parameters*.yml lists every parameter.",
    )


def _converted(given: Any, checked: Any, name: str = "") -> list[str]:
    """Return one sentence on each value that was checked as another type than it was given in.

    Nodes and file names may see the value as it was given, so it has to be what was checked.

    Args:
        given: A value of the tree as Kedro loads it.
        checked: The same after validation.
        name: Dotted name of the value.
    """
    if isinstance(given, Mapping):
        parts = checked if isinstance(checked, Mapping) else vars(checked)
        return [
            problem
            for part, value in given.items()
            for problem in _converted(value, parts[part], f"{name}.{part}".strip("."))
        ]
    if isinstance(given, list | tuple):
        pairs = enumerate(zip(given, checked, strict=True))
        return [problem for i, pair in pairs for problem in _converted(*pair, f"{name}[{i}]")]
    for kind, (accepted, wanted) in KINDS.items():
        if type(checked) is kind:
            right = type(given) in accepted
            return [] if right else [f"parameter '{name}' is {given!r}: {wanted}"]
    return []


KINDS: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "write true or false"),
    int: ((int,), "write a whole number, without decimal point, exponent or quotes"),
    float: ((int, float), "write a number, without quotes"),
}
"""Types a value may be given in by the type it is checked as, and what to write otherwise."""


def _describe(location: Sequence[int | str], problem: Mapping[str, Any]) -> str:
    """Return one sentence on one refused parameter, with what is allowed instead."""
    name = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        allowed = _names_beside(location)
        close = difflib.get_close_matches(str(location[-1]), allowed, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"unknown parameter '{name}': {hint}allowed here: {', '.join(allowed)}"
    if problem["type"] == "missing":
        return f"parameter '{name}' is missing"
    reason = problem["msg"].lower()
    if problem["type"] == "value_error":
        # ours, about how parameters go together; pydantic would put a title before it
        reason = str(problem["ctx"]["error"])
    if isinstance(problem["input"], Mapping | BaseModel):
        return f"parameters under '{name}': {reason}"
    return f"parameter '{name}' is {problem['input']!r}: {reason}"


def _names_beside(location: Sequence[int | str]) -> list[str]:
    """Return the field names allowed where the last part of ``location`` stands."""
    model: type[BaseModel] = Parameters
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None:
            continue  # a union's tag in the location names no field
        options = [field.annotation, *get_args(field.annotation)]
        models = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        if not models:
            return []
        model = models[0]
    return sorted(model.model_fields)
