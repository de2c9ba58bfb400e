"""From the file of a grid to its trials."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hsrl_pipeline.config.agent import AGENT_NAMES, LABEL, REFERENCE_NAMES
from hsrl_pipeline.config.dotted_names import flat
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.experiments.grid_file import Axes, GridFile, Part, Size, Variant, read_grid_file
from hsrl_pipeline.experiments.trial import Grid, PartInfo, Trial

OWN_KEYS = {
    "seed": "seeds",
    "agent.name": "agents",
    "agent.label": "variants",
    "candidates.exclude_shown": "regimes",
    "evaluation.policy_regime": "regimes",
}
"""Parameters that a key of the file sets."""

WHOLE = "all"
"""Name of the only part of a grid without parts."""


def read_grid(path: Path, size: Size, dataset: str | None = None) -> Grid:
    """Return the grid of a file.

    Args:
        path: A file of ``conf/experiments``.
        size: Which of its sizes.
        dataset: Takes the place of the file's datasets.

    Raises:
        UserError: A key is wrong, or two trials would have one name; names file and key.
    """
    content = read_grid_file(path)
    parts = content.parts or [Part(name=WHOLE)]
    trials: list[Trial] = []
    for number, part in enumerate(parts):
        place = f"parts[{number}]" if content.parts else ""
        sources = _sources(content, part, place, size)
        trials += _trials(path, part.name, sources, dataset)
    _refuse_twins(path, trials)
    return Grid(
        name=path.stem,
        size=size,
        title=content.title,
        question=content.question,
        parts={part.name: _info(part, content) for part in parts},
        trials=trials,
    )


def _info(part: Part, content: GridFile) -> PartInfo:
    drawn = content.level_weights if part.level_weights is None else part.level_weights
    return PartInfo(part.title, part.baseline or content.baseline, drawn)


def _sources(content: GridFile, part: Part, place: str, size: Size) -> list[tuple[str, Axes]]:
    """Return where a part's keys may stand, the decisive one last."""
    sources: list[tuple[str, Axes]] = [("", content)]
    if size in content.sizes:
        sources.append((f"sizes.{size}", content.sizes[size]))
    if place:
        sources.append((place, part))
        if size in part.sizes:
            sources.append((f"{place}.sizes.{size}", part.sizes[size]))
    return sources


def _trials(
    path: Path, part: str, sources: Sequence[tuple[str, Axes]], dataset: str | None
) -> Iterator[Trial]:
    """Yield the trials of a part, so ordered that neighbours differ in their regime."""
    variants = _variants(path, sources)
    common, origins = _parameters(path, sources)
    grid, grid_origins = _grid(path, sources)
    values = [dict(zip(grid, chosen, strict=True)) for chosen in itertools.product(*grid.values())]
    datasets = [dataset] if dataset else _asked(path, sources, "datasets")
    crossed = itertools.product(
        datasets,
        _asked(path, sources, "seeds"),
        values,
        variants,
        _asked(path, sources, "regimes", default=["repeats"]),
    )
    for where, seed, chosen, (variant, own, own_place), regime in crossed:
        label = "+".join([variant.label, *(_short(name, chosen[name]) for name in chosen)])
        if not LABEL.fullmatch(label):
            raise UserError(
                f"the name '{label}' of a trial is too long",
                where=f"{path}, key grid",
                remedy="Give the values as variants with labels of their own.",
            )
        yield Trial(
            part=part,
            label=label,
            agent=variant.agent,
            seed=seed,
            dataset=where,
            regime=regime,
            variant=variant.label,
            axes=chosen,
            parameters={**common, **own, **chosen},
            origins={**origins, **dict.fromkeys(own, own_place), **grid_origins},
        )


def _variants(
    path: Path, sources: Sequence[tuple[str, Axes]]
) -> list[tuple[Variant, dict[str, Any], str]]:
    """Return the agents and variants of a part with their parameters and where these stand."""
    agents = _decisive(sources, "agents")[1] or []
    place, own = _decisive(sources, "variants")
    found: list[tuple[Variant, dict[str, Any], str]] = [
        (Variant(label=agent, agent=agent), {}, "agents") for agent in agents
    ]
    for number, variant in enumerate(own or []):
        key = f"{place}[{number}]"
        parameters = _checked(path, f"{key}.parameters", variant.parameters)
        if variant.label in {*AGENT_NAMES, *REFERENCE_NAMES} - {variant.agent}:
            raise UserError(
                f"the label '{variant.label}' is the name of another policy",
                where=f"{path}, key {key}.label",
            )
        found.append((variant, parameters, f"{key}.parameters"))
    labels = Counter(variant.label for variant, _, _ in found)
    twice = [label for label, count in labels.items() if count > 1]
    if twice:
        raise UserError(
            f"the label '{twice[0]}' is there twice",
            where=f"{path}, key {place or 'agents'}",
            remedy="Every agent and variant needs a name of its own.",
        )
    if not found:
        raise UserError("there is no agent and no variant", where=f"{path}, key agents")
    return found


def _parameters(
    path: Path, sources: Sequence[tuple[str, Axes]]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what is set for all trials of a part, and where."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for place, axes in sources:
        key = f"{place}.parameters" if place else "parameters"
        own = _checked(path, key, axes.parameters)
        values |= own
        origins |= dict.fromkeys(own, key)
    return values, origins


def _grid(
    path: Path, sources: Sequence[tuple[str, Axes]]
) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Return the crossed parameters of a part with their values, and where they stand."""
    values: dict[str, list[Any]] = {}
    origins: dict[str, str] = {}
    for place, axes in sources:
        key = f"{place}.grid" if place else "grid"
        _checked(path, key, dict(axes.grid))
        for name, listed in axes.grid.items():
            if not listed:
                raise UserError(f"'{name}' has no values", where=f"{path}, key {key}.{name}")
            values[name] = listed
            origins[name] = key
    return values, origins


def _checked(path: Path, key: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters flat; refuse those that the file sets by keys of their own."""
    pairs = {name: value for name, value in flat(parameters).items() if value != {}}
    for name, own in OWN_KEYS.items():
        if name in pairs:
            raise UserError(
                f"'{name}' is set by the key '{own}'", where=f"{path}, key {key}.{name}"
            )
    return pairs


def _decisive(sources: Sequence[tuple[str, Axes]], name: str) -> tuple[str, Any]:
    """Return the last value given for a key, and where it stands."""
    place, value = "", None
    for source, axes in sources:
        own = getattr(axes, name)
        if own is not None:
            place, value = f"{source}.{name}" if source else name, own
    return place, value


def _asked(
    path: Path, sources: Sequence[tuple[str, Axes]], name: str, default: list[Any] | None = None
) -> list[Any]:
    """Return the list of a key, which must hold something and nothing twice."""
    place, value = _decisive(sources, name)
    if value is None and default is not None:
        return default
    if not value:
        raise UserError(f"the key '{name}' is missing", where=f"{path}, key {name}")
    twice = [entry for entry, count in Counter(value).items() if count > 1]
    if twice:
        raise UserError(f"{twice[0]} is there twice", where=f"{path}, key {place}")
    return list(value)


def _short(name: str, value: Any) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", f"{name.rpartition('.')[2]}{value}")


def _refuse_twins(path: Path, trials: Sequence[Trial]) -> None:
    """Refuse trials that nothing tells apart in a table."""
    names = Counter((trial.part, trial.name) for trial in trials)
    for (part, name), count in names.items():
        if count > 1:
            raise UserError(
                f"two trials are named '{name}'",
                where=f"{path}, part {part}",
                remedy="Give the names of parts, variants and crossed parameters once each.",
            )
