"""Which items are live at launch, and what each change adds and releases."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.changes import item_indices
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.shapes import PAD_ID

WHERE = "catalogue_schedule"
DRAW_AGAIN = "Run first: kedro run --pipeline moving_catalogue with the same options."

ItemArray = NDArray[np.int64]


class Step(NamedTuple):
    """What one change does.

    Attributes:
        added: (added,) int64. Items that arrive, ascending.
        released: (released,) int64. Live items that leave, ascending.
    """

    added: ItemArray
    released: ItemArray


@dataclass(frozen=True, eq=False)
class CatalogueSchedule:
    """The live items of a run from launch to its last change.

    Attributes:
        n_items: Number of real items of the universe.
        launch: (launch,) int64. Items live at launch, ascending.
        steps: What each change does, in order.
        change_at: When each change comes in training, as a share of the iterations.
        metadata: JSON-able facts on how it was drawn: seed, settings, versions.

    Raises:
        UserError: An item does not exist, arrives while live or leaves while it is not.
    """

    n_items: int
    launch: ItemArray
    steps: tuple[Step, ...]
    change_at: tuple[float, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        named = np.concatenate([self.launch, *(items for step in self.steps for items in step)])
        outside = (named <= PAD_ID) | (named > self.n_items)
        if outside.any():
            raise UserError(
                f"Item {named[outside][0]} does not exist: items are numbered 1 to {self.n_items}",
                where=WHERE,
                remedy=DRAW_AGAIN,
            )
        for number, (step, live) in enumerate(zip(self.steps, self.live_sets(), strict=False)):
            wrong = np.concatenate(
                [step.added[live[step.added]], step.released[~live[step.released]]]
            )
            if len(wrong):
                raise UserError(
                    f"Item {wrong[0]} arrives while it is live or leaves while it is not",
                    where=f"{WHERE}, change {number + 1}",
                    remedy=DRAW_AGAIN,
                )

    @cached_property
    def launched(self) -> NDArray[np.bool_]:
        """(item,) bool. Items live at launch: all that anyone may learn from before a change."""
        mask = np.zeros(self.n_items + 1, bool)
        mask[self.launch] = True
        return mask

    @property
    def arrivals(self) -> ItemArray:
        """(item,) int64. Items that are published at some change, in that order."""
        added = np.concatenate([np.zeros(0, np.int64), *(step.added for step in self.steps)])
        new = added[~self.launched[added]]
        _, first = np.unique(new, return_index=True)
        return np.asarray(new[np.sort(first)])

    def live_sets(self) -> Iterator[NDArray[np.bool_]]:
        """Yield (item,) bool the live items at launch and after each change."""
        live = self.launched
        yield live
        for step in self.steps:
            live = live.copy()
            live[step.added] = True
            live[step.released] = False
            yield live

    def iterations(self, n_iterations: int) -> tuple[int, ...]:
        """Return after how many updates each change comes.

        Args:
            n_iterations: Updates of the training run.

        Raises:
            UserError: The run is too short to tell the changes apart.
        """
        at = tuple(round(share * n_iterations) for share in self.change_at)
        if any(
            later <= earlier for earlier, later in zip((0, *at), (*at, n_iterations), strict=True)
        ):
            raise UserError(
                f"{len(at)} changes do not fit into {n_iterations} iterations: they come at "
                f"{list(at)}",
                where="training.n_iterations, catalogue.change_at",
                remedy="Train longer, or take fewer changes.",
            )
        return at

    @cached_property
    def version(self) -> str:
        """Hash of launch, steps and times: 12 hexadecimal digits; part of a run's identity."""
        content = {name: value for name, value in self.to_dict().items() if name in _CONTENT}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary, without the version."""
        return {
            **self.metadata,
            "n_items": self.n_items,
            "launch": self.launch.tolist(),
            "steps": [
                {name: items.tolist() for name, items in step._asdict().items()}
                for step in self.steps
            ],
            "change_at": list(self.change_at),
        }

    def to_document(self) -> dict[str, Any]:
        """Return the fields and the version, as they are kept on disk."""
        return {**self.to_dict(), "version": self.version}

    @classmethod
    def from_document(cls, values: Mapping[str, Any]) -> CatalogueSchedule:
        """Return the schedule of a document as `to_document` makes it.

        Raises:
            UserError: A field is missing, the items are no items, or the content does not have
                the version it claims.
        """
        missing = sorted({*_CONTENT, "version"} - set(values))
        if missing:
            raise UserError(
                f"The schedule lacks {', '.join(missing)}", where=WHERE, remedy=DRAW_AGAIN
            )
        read = cls(
            n_items=values["n_items"],
            launch=item_indices(values["launch"], f"{WHERE}, launch"),
            steps=tuple(
                Step(
                    item_indices(step["added"], f"{WHERE}, change {number + 1}"),
                    item_indices(step["released"], f"{WHERE}, change {number + 1}"),
                )
                for number, step in enumerate(values["steps"])
            ),
            change_at=tuple(values["change_at"]),
            metadata={k: v for k, v in values.items() if k not in (*_CONTENT, "version")},
        )
        if read.version != values["version"]:
            raise UserError(
                f"The schedule claims version {values['version']} but is {read.version}: "
                "it was changed after it was drawn",
                where=WHERE,
                remedy=DRAW_AGAIN,
            )
        return read


_CONTENT = ("n_items", "launch", "steps", "change_at")
