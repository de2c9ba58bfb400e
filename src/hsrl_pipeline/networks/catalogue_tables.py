"""What networks take over of a new version of the catalogue, and what new items start with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.config.agents.shared import NewItemRule

PENALTIES = 10.0 ** torch.arange(-6, 5, dtype=torch.float64)
"""Ridge penalties tried, as shares of the mean eigenvalue; the mean alone is tried too."""


class WrittenRows(NamedTuple):
    """Rows of a parameter that a change has set, whose optimiser state must be forgotten.

    Attributes:
        parameter: The parameter.
        rows: (row,) int64. Rows of it.
    """

    parameter: nn.Parameter
    rows: torch.Tensor


@dataclass(frozen=True, eq=False)
class CatalogueTables:
    """A version of the catalogue on the device of the networks, and what came with it.

    Networks keep the very tensors, so that online, target and twin networks share them.

    Attributes:
        catalogue: The new version.
        item_vectors: (item, vector) float32.
        codes: (item, level) int64. Semantic IDs of all published items.
        live: (item,) bool.
        new: (new,) int64. Items that this version publishes.
        known: (known,) int64. Items that were live until now: their weights are trained.
    """

    catalogue: LiveCatalogue
    item_vectors: torch.Tensor
    codes: torch.Tensor
    live: torch.Tensor
    new: torch.Tensor
    known: torch.Tensor

    @classmethod
    def of(
        cls,
        catalogue: LiveCatalogue,
        *,
        published: NDArray[np.bool_],
        live: NDArray[np.bool_],
        device: torch.device,
    ) -> CatalogueTables:
        """Return the tables of a version.

        Args:
            catalogue: The version.
            published: (item,) bool. Items published until now.
            live: (item,) bool. Items live until now.
            device: Where the networks are.
        """
        arrays = (
            catalogue.item_vectors,
            catalogue.codes,
            catalogue.live,
            np.flatnonzero(catalogue.published & ~published),
            np.flatnonzero(live),
        )
        return cls(catalogue, *(torch.from_numpy(array.copy()).to(device) for array in arrays))

    @property
    def live_codes(self) -> NDArray[np.int64]:
        """(item, level) int64. Semantic IDs of live items alone; -1 elsewhere."""
        return np.where(self.catalogue.live[:, None], self.catalogue.codes, -1)

    @torch.no_grad()
    def predict(self, rows: torch.Tensor, rule: NewItemRule) -> torch.Tensor:
        """Return what the rows of new items should be, going by those of known ones.

        Args:
            rows: (item, any) float32. One row of weights per item.
            rule: ``mean`` of the known rows, or what a ridge regression of them on the item
                vectors says of the new vectors.

        Returns:
            (new, any) float32. Zeros where nothing is known.
        """
        known = rows[self.known]
        if not len(known):
            return rows.new_zeros(len(self.new), rows.shape[1])
        if rule == "mean":
            return known.mean(0).expand(len(self.new), -1)
        vectors = self.item_vectors
        return ridge_prediction(vectors[self.known], known, vectors[self.new])


@runtime_checkable
class TakesCatalogue(Protocol):
    """A module with tables or weights of items."""

    def set_catalogue(self, tables: CatalogueTables) -> list[WrittenRows]:
        """Take over the tables, start the weights of new items, and say which rows those are."""
        ...


def ridge_prediction(
    inputs: torch.Tensor, outputs: torch.Tensor, new_inputs: torch.Tensor
) -> torch.Tensor:
    """Return the prediction of a ridge regression with intercept.

    Every output has the penalty with the least generalised cross-validation error, among
    ``PENALTIES`` and the mean alone; nothing has to be chosen by hand.

    Args:
        inputs: (row, vector) float32.
        outputs: (row, any) float32.
        new_inputs: (new, vector) float32.

    Returns:
        (new, any) of the outputs' dtype; computed in float64.

    References:
        Golub, Heath and Wahba 1979, "Generalized Cross-Validation as a Method for Choosing a Good
        Ridge Parameter".
    """
    n_rows = len(inputs)
    x, y = inputs.double(), outputs.double()
    centre, mean = x.mean(0), y.mean(0)
    x, y = x - centre, y - mean
    sizes, axes = torch.linalg.eigh(x.t() @ x)
    sizes = sizes.clamp(min=0.0).unsqueeze(1)
    moments = axes.t() @ (x.t() @ y)
    total = y.square().sum(0)
    best = total * n_rows / max(n_rows - 1, 1) ** 2
    shrunk = torch.zeros_like(moments)
    for penalty in (PENALTIES.to(sizes.device) * sizes.mean().clamp(min=1e-12)).tolist():
        inverse = 1.0 / (sizes + penalty)
        left = n_rows - 1 - float((sizes * inverse).sum())
        if left <= 1.0:
            continue
        explained = (moments.square() * (sizes + 2.0 * penalty) * inverse.square()).sum(0)
        error = n_rows * (total - explained).clamp(min=0.0) / left**2
        better = error < best
        best = torch.where(better, error, best)
        shrunk = torch.where(better, moments * inverse, shrunk)
    prediction = mean + (new_inputs.double() - centre) @ (axes @ shrunk)
    return prediction.to(outputs.dtype)


@torch.no_grad()
def start_rows(
    head: nn.Linear, tables: CatalogueTables, rule: NewItemRule, extra: torch.Tensor | None = None
) -> list[WrittenRows]:
    """Start the weights of new items in a layer with one output per item, from item 1 on.

    Args:
        head: Weight row and bias ``i - 1`` belong to item ``i``.
        tables: Those of the new version.
        rule: How the rows of known items say what new ones are.
        extra: (item,) float32 or None. What known items have on top of their biases; new ones get
            the prediction of the sum as their bias.
    """
    if not len(tables.new):
        return []
    own = head.bias if extra is None else head.bias + extra[1:]
    rows = torch.nn.functional.pad(torch.cat([head.weight, own.unsqueeze(1)], 1), (0, 0, 1, 0))
    predicted = tables.predict(rows, rule)
    places = tables.new - 1
    head.weight[places] = predicted[:, :-1]
    head.bias[places] = predicted[:, -1]
    return [WrittenRows(head.weight, places), WrittenRows(head.bias, places)]  # type: ignore[arg-type]
