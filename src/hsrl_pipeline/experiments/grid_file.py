"""The file of a grid: its keys, and the message for one that is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from hsrl_pipeline.config.agent import LABEL, AgentName
from hsrl_pipeline.config.base import FrozenConfig
from hsrl_pipeline.config.session import Regime
from hsrl_pipeline.errors import UserError

Size = Literal["quick", "full"]
SIZES: tuple[str, ...] = get_args(Size)


def _check_label(label: str) -> str:
    if not LABEL.fullmatch(label):
        raise ValueError("a label has up to 63 letters, digits and _ . + -")
    return label


Label = Annotated[str, AfterValidator(_check_label)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Variant(FrozenConfig):
    """An agent with parameters of its own, under a name of its own."""

    label: Label = Field(description="Name in tables, rows and runs")
    agent: AgentName = Field(description="The agent behind it")
    parameters: dict[str, Any] = Field(default_factory=dict, description="What it changes")


class Axes(FrozenConfig):
    """What is crossed with what; a key that is left out is taken from further up in the file."""

    agents: list[AgentName] | None = Field(None, description="Agents as they are configured")
    variants: list[Variant] | None = Field(None, description="Agents with changed parameters")
    seeds: list[Seed] | None = Field(None, min_length=1, description="Seeds of the runs")
    datasets: list[str] | None = Field(None, min_length=1, description="Environments of conf/")
    regimes: list[Regime] | None = Field(None, min_length=1, description="With repeats or without")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Set for every trial")
    grid: dict[str, list[Any]] = Field(
        default_factory=dict, description="Parameters with the values to cross"
    )


class Part(Axes):
    """A part of a grid with a table or a curve of its own in the report."""

    name: Label = Field(description="Name of the part")
    title: str = Field("", description="Heading in the report")
    baseline: str | None = Field(None, description="Policy that the others are compared with")
    level_weights: bool | None = Field(None, description="Draw the weights of critics' levels")
    sizes: dict[Size, Axes] = Field(default_factory=dict, description="What a size changes")


class GridFile(Axes):
    """One file of ``conf/experiments``."""

    title: str = Field(description="Heading in the report")
    question: str = Field("", description="What the experiment is to answer")
    baseline: str = Field("hac", description="Policy that the others are compared with")
    level_weights: bool = Field(False, description="Draw the weights of critics' levels")
    sizes: dict[Size, Axes] = Field(default_factory=dict, description="What a size changes")
    parts: list[Part] = Field(default_factory=list, description="None: the file is one part")


def read_grid_file(path: Path) -> GridFile:
    """Return the content of a grid's file.

    Args:
        path: A YAML file.

    Raises:
        UserError: The file can't be read or a key is wrong; names file and key.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (YAMLError, OmegaConfBaseException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the grid can't be read: {reason}", where=str(path)) from None
    if not isinstance(content, Mapping):
        raise UserError("the grid is no mapping of keys to values", where=str(path))
    try:
        return GridFile.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        raise UserError(
            _describe(problem["loc"], problem),
            where=f"{path}, key {key_name(problem['loc'])}",
            remedy="Nothing was run. docs/experiments.md lists the keys of a grid.",
        ) from None


def key_name(location: Sequence[int | str]) -> str:
    """Return a place in the file as ``variants[0].parameters``."""
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name


def _describe(location: Sequence[int | str], problem: Mapping[str, Any]) -> str:
    if problem["type"] == "extra_forbidden":
        allowed = _keys_beside(location)
        close = difflib.get_close_matches(str(location[-1]), allowed, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"unknown key '{location[-1]}': {hint}allowed here: {', '.join(allowed)}"
    if problem["type"] == "missing":
        return f"the key '{location[-1]}' is missing"
    if problem["type"] == "too_short":
        return f"'{key_name(location)}' is empty"
    if problem["type"] == "value_error":
        return f"'{problem['input']}' is refused: {problem['ctx']['error']}"
    return f"'{problem['input']}' is refused: {problem['msg'].lower()}"


def _keys_beside(location: Sequence[int | str]) -> list[str]:
    """Return the keys allowed where the last part of a location stands."""
    model: type[BaseModel] = GridFile
    for part in location[:-1]:
        if part == "parts":
            model = Part
        elif part == "variants":
            model = Variant
        elif part == "sizes":
            model = Axes
    return sorted(model.model_fields)
