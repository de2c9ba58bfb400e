"""What networks take over of a new version of the catalogue, and what new items start with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.config.agents.shared import NewItemRule

PENALTIES = 10.0 ** torch.arange(-6, 5, dtype=torch.float64)
"""Ridge penalties tried, as shares of the mean eigenvalue; the mean alone is tried too."""

ROWS_AT_A_TIME = 2**12
"""Known items whose weights are looked at together: about what the cache of a core holds."""


class WrittenRows(NamedTuple):
    """Rows of a parameter that a change has set, whose optimiser state must be forgotten.

    Attributes:
        parameter: The parameter, as optimisers know it.
        rows: (row,) int64. Rows of it.
    """

    parameter: torch.Tensor
    rows: torch.Tensor


def forget_rows(optimizer: torch.optim.Optimizer, written: list[WrittenRows]) -> None:
    """Zero the moments of rows that were set, as if they had never been stepped."""
    for parameter, rows in written:
        if parameter in optimizer.state:
            for moment in ("exp_avg", "exp_avg_sq"):
                optimizer.state[parameter][moment][rows] = 0.0


@dataclass(frozen=True, eq=False)
class CatalogueTables:
    """A version of the catalogue on the device of the networks, and what came with it.

    Networks keep the very tensors, so that online, target and twin networks share them; on a CPU
    they lie over the arrays of the catalogue, which nobody writes to.

    Attributes:
        catalogue: The new version.
        item_vectors: (item, vector) float32.
        live: (item,) bool.
        new: (new,) int64. Items that this version publishes.
        new_codes: (new, level) int64. Semantic IDs of these.
        known: (known,) int64. Items that were live until now: their weights are trained.
    """

    catalogue: LiveCatalogue
    item_vectors: torch.Tensor
    live: torch.Tensor
    new: torch.Tensor
    new_codes: torch.Tensor
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
        new = np.flatnonzero(catalogue.published & ~published)
        arrays = (
            catalogue.item_vectors,
            catalogue.live,
            new,
            catalogue.codes[new],
            np.flatnonzero(live),
        )
        return cls(catalogue, *(_over(array).to(device) for array in arrays))

    @property
    def live_codes(self) -> NDArray[np.int64]:
        """(item, level) int64. Semantic IDs of live items alone; -1 elsewhere."""
        return np.where(self.catalogue.live[:, None], self.catalogue.codes, -1)

    @torch.no_grad()
    def predict(
        self, weights: Sequence[torch.Tensor], rule: NewItemRule, *, first_item: int = 0
    ) -> torch.Tensor:
        """Return what the weights of new items should be, going by those of known ones.

        Args:
            weights: Each (item, any) or (item,) float32. They are predicted together.
            rule: ``mean`` of the known rows, or what a ridge regression of them on the item
                vectors says of the new vectors.
            first_item: Item that row 0 of the weights belongs to.

        Returns:
            (new, all) float32, the weights side by side. Zeros where nothing is known.
        """
        width = sum(weight[0].numel() for weight in weights)
        if not len(self.known):
            return weights[0].new_zeros(len(self.new), width)
        moments = Moments(self.item_vectors.shape[1], width, self.new.device)
        for items in torch.split(self.known, ROWS_AT_A_TIME):
            rows = [weight[items - first_item].reshape(len(items), -1) for weight in weights]
            moments.add(self.item_vectors[items], torch.cat(rows, dim=1))
        if rule == "mean":
            predicted = moments.output_mean.expand(len(self.new), -1)
        else:
            predicted = moments.ridge(self.item_vectors[self.new])
        return predicted.to(weights[0].dtype)


def _over(array: NDArray[Any]) -> torch.Tensor:
    """Return a tensor over an array's memory; torch wants a copy of read-only ones."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())


@runtime_checkable
class TakesCatalogue(Protocol):
    """A module with tables or weights of items."""

    def set_catalogue(self, tables: CatalogueTables) -> list[WrittenRows]:
        """Take over the tables, start the weights of new items, and say which rows those are."""
        ...


class Moments:
    """What a linear regression needs of its rows, added up in float64 a few rows at a time.

    Args:
        input_size: Numbers per input row.
        output_size: Numbers per output row.
        device: Where the rows are.
    """

    def __init__(self, input_size: int, output_size: int, device: torch.device) -> None:
        width = input_size + output_size
        self._n_rows = 0
        self._input_size = input_size
        self._sums = torch.zeros(width, dtype=torch.float64, device=device)
        self._products = torch.zeros(input_size, width, dtype=torch.float64, device=device)
        self._squares = torch.zeros(output_size, dtype=torch.float64, device=device)

    @property
    def output_mean(self) -> torch.Tensor:
        """(output,) float64."""
        return self._sums[self._input_size :] / self._n_rows

    def add(self, inputs: torch.Tensor, outputs: torch.Tensor) -> None:
        """Add rows: (row, input) and (row, output) float32."""
        x, y = inputs.double(), outputs.double()
        both = torch.cat([x, y], dim=1)
        self._n_rows += len(x)
        self._sums += both.sum(0)
        self._products += x.t() @ both
        self._squares += y.square().sum(0)

    def ridge(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the prediction of a ridge regression with intercept, (new, output) float64.

        Every output has the penalty with the least generalised cross-validation error, among
        ``PENALTIES`` and the mean alone; nothing has to be chosen by hand.

        Args:
            inputs: (new, input) float32.

        References:
            Golub, Heath and Wahba 1979, "Generalized Cross-Validation as a Method for Choosing a
            Good Ridge Parameter".
        """
        n_rows, size = self._n_rows, self._input_size
        means = self._sums / n_rows
        products = self._products - n_rows * means[:size, None] * means
        total = (self._squares - n_rows * means[size:].square()).clamp(min=0.0)
        sizes, axes = torch.linalg.eigh(products[:, :size])
        sizes = sizes.clamp(min=0.0).unsqueeze(1)
        moments = axes.t() @ products[:, size:]
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
        predicted: torch.Tensor = means[size:] + (inputs.double() - means[:size]) @ (axes @ shrunk)
        return predicted


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
    biases = head.bias if extra is None else head.bias + extra[1:]
    predicted = tables.predict([head.weight, biases], rule, first_item=1)
    places = tables.new - 1
    head.weight[places] = predicted[:, :-1]
    head.bias[places] = predicted[:, -1]
    return [WrittenRows(head.weight, places), WrittenRows(head.bias, places)]
