"""How the catalogue moves during a test: changes in the user's own ids, and when each comes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hsrl_pipeline.catalogue.changes import refuse_shortage
from hsrl_pipeline.catalogue.schedule import CatalogueSchedule
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.serving.schemas import OwnIdField
from hsrl_pipeline.serving.served_model import ServedModel

EXAMPLE = '[{"at": 0.5, "add": ["7"], "release": ["12", "93"]}]'


@dataclass(frozen=True)
class CatalogueMove:
    """One change of the catalogue.

    Attributes:
        at: Share of the sessions after which it comes; 0 for before the first.
        add: Own ids of items that arrive or return.
        release: Own ids of items that leave.
    """

    at: float
    add: tuple[str, ...]
    release: tuple[str, ...]


class _MoveEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    at: float = Field(gt=0.0, lt=1.0)
    add: list[OwnIdField] = Field(default_factory=list)
    release: list[OwnIdField] = Field(default_factory=list)


def read_moves(path: Path) -> tuple[CatalogueMove, ...]:
    """Return the changes of a JSON file, in the order in which they come.

    Args:
        path: A list such as ``EXAMPLE``.

    Raises:
        UserError: It can't be read, or is something else.
    """
    try:
        entries = TypeAdapter(list[_MoveEntry]).validate_python(json.loads(path.read_bytes()))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _refused(path, f"{place}: {first['msg']}" if place else first["msg"]) from None
    except (OSError, ValueError, RecursionError) as error:
        raise _refused(path, str(error)) from error
    moves = [
        CatalogueMove(
            entry.at, tuple(map(str, entry.add)), tuple(str(item) for item in entry.release)
        )
        for entry in entries
    ]
    return tuple(sorted(moves, key=lambda move: move.at))


def moves_of_schedule(
    schedule: CatalogueSchedule, item_ids: Sequence[str], live: NDArray[np.bool_]
) -> tuple[CatalogueMove, ...]:
    """Return the changes of a schedule, evenly over the sessions; the first leads to its launch.

    Args:
        schedule: The schedule of a project.
        item_ids: (item,) Own ids by item index.
        live: (item,) bool. What a model serves first.
    """

    def named(items: NDArray[np.int64]) -> tuple[str, ...]:
        return tuple(item_ids[item] for item in items)

    launched = schedule.launched
    start = CatalogueMove(
        0.0, named(np.flatnonzero(launched & ~live)), named(np.flatnonzero(live & ~launched))
    )
    n_steps = len(schedule.steps)
    return (
        start,
        *(
            CatalogueMove((number + 1) / (n_steps + 1), named(step.added), named(step.released))
            for number, step in enumerate(schedule.steps)
        ),
    )


def refuse_moves(moves: Sequence[CatalogueMove], model: ServedModel, n_needed: int) -> None:
    """Refuse changes that a server of the model would refuse, before anything is started.

    Args:
        moves: In the order in which they come.
        model: What is served.
        n_needed: Live items that sessions need at least; of each shelf, where there are shelves.

    Raises:
        UserError: An item is unknown, named twice, live already or not live, has no vector and
            semantic ID, or too few are left.
    """
    live, index = model.catalogue.live.copy(), model.item_index
    known = model.catalogue.published.copy()
    if model.arrivals is not None:
        known[model.arrivals.items] = True
    for number, move in enumerate(moves):
        where = f"change {number + 1} of the catalogue, model {model.name}"
        named = [*move.add, *move.release]
        unknown = [item for item in named if item not in index]
        if unknown:
            raise UserError(f"There is no item {unknown[0]!r}", where=where)
        if len(set(named)) < len(named):
            twice = next(item for item in named if named.count(item) > 1)
            raise UserError(f"Item {twice!r} is named twice", where=where)
        for item in named:
            if bool(live[index[item]]) == (item in move.add):
                state = "is live already" if item in move.add else "is not live"
                raise UserError(f"Item {item!r} {state} when this change comes", where=where)
        blind = [item for item in move.add if not known[index[item]]]
        if blind:
            raise UserError(f"Item {blind[0]!r} has no vector and semantic ID", where=where)
        live[[index[item] for item in move.add]] = True
        live[[index[item] for item in move.release]] = False
        refuse_shortage(live, n_needed, model.shelves, where)


def _refused(path: Path, why: str) -> UserError:
    return UserError(
        f"The changes of the catalogue can't be read: {why}",
        where=str(path),
        remedy=f"Give a list such as {EXAMPLE}; `at` is the share of the sessions.",
    )
