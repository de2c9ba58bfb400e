"""Which slates are valid: known and distinct items, shelf by shelf, none shown too often."""

from __future__ import annotations

import numpy as np
import torch

from hsrl_pipeline.config.session import CandidatesConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.shapes import PAD_ID, check_shape


class CandidateRules:
    """Checks the slates of a batch in a few tensor operations.

    A valid step costs one pass and one comparison on the host; only a refused one looks for the
    place and the reason.

    Args:
        config: Which of the optional rules hold.
        n_items: Number of real items.
        slate_size: Items per slate, K.
        horizon: Longest session in steps.
        shelves: (item,) int64. Shelf of each item from 1, row 0 is 0; None without shelves. With
            ``enforce_shelves`` the S shelves take the slots in order, K / S each.
        n_seen: Most items that count as shown before a session starts.
        device: Device of the slates.

    Raises:
        UserError: The rules cannot be met: no shelves are known, the slate does not divide among
            them, or there are too few items.
    """

    def __init__(
        self,
        config: CandidatesConfig,
        *,
        n_items: int,
        slate_size: int,
        horizon: int,
        shelves: np.ndarray | None = None,
        n_seen: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self._n_items = n_items
        self._slate_size = slate_size
        self._showings = config.showings
        self._device = device
        self._exclude_shown = config.exclude_shown
        self._n_seen = n_seen
        self._horizon = horizon
        self._shelves: torch.Tensor | None = None
        self._slot_shelves: torch.Tensor | None = None
        self._live: torch.Tensor | None = None
        self._members = [np.arange(1, n_items + 1)]
        if config.enforce_shelves:
            names, self._members = _members_of_shelves(shelves, n_items, slate_size)
            self._shelves = torch.as_tensor(shelves, dtype=torch.int64, device=device)
            self._slot_shelves = torch.as_tensor(
                np.repeat(names, slate_size // len(names)), device=device
            )
        self._refuse_too_few(min(len(items) for items in self._members), "")

    def set_live(self, live: np.ndarray) -> None:
        """Allow the live items alone from now on.

        Args:
            live: (item,) bool. Row 0 is False.

        Raises:
            UserError: Too few of them, or of those of a shelf, for a session; nothing changes.
            ValueError: There is another number of items.
        """
        check_shape("live", live, self._n_items + 1)
        self._refuse_too_few(min(int(live[items].sum()) for items in self._members), " live")
        self._live = torch.as_tensor(live, device=self._device)

    def _refuse_too_few(self, smallest: int, kind: str) -> None:
        """Refuse a smallest set of items that sessions cannot do with."""
        share = self._slate_size // len(self._members)
        if smallest < share:
            raise UserError(
                f"A slate takes {share} different items from a set of {smallest}{kind}",
                where="ingestion.slate_size, candidates.enforce_shelves",
                remedy="Bring a log with more items, or take smaller slates."
                if not kind
                else "Release fewer items, or take smaller slates.",
            )
        # the last slate must still find items, whichever the slates before have used up
        used_up = share * (self._horizon - 1) // self._showings if self._showings else 0
        available = smallest - (self._n_seen if self._exclude_shown else 0)
        if available < share + used_up:
            raise UserError(
                f"A session can take {share + used_up} different items from a set of "
                f"{available}{kind}",
                where="candidates",
                remedy="Switch candidates.exclude_shown off, raise candidates.frequency_cap or "
                f"lower session.horizon{', or release fewer items' if kind else ''}.",
            )

    def check(self, slates: torch.Tensor, shown: torch.Tensor) -> None:
        """Refuse slates that break a rule.

        Args:
            slates: (batch, slate) int64. Items in ``[1, n_items]``, distinct in a row.
            shown: (batch, shown) int64. Items that may not be shown again in the session, filled
                with PAD_ID; read only when showings are limited.

        Raises:
            ValueError: The shape or dtype is wrong, or a slot breaks a rule; names row, slot and
                item of the first.
        """
        if slates.dtype != torch.int64:
            raise ValueError(f"slates have dtype {slates.dtype}, expected torch.int64")
        check_shape("slates", slates, len(shown), self._slate_size)
        ordered = slates.sort(dim=1).values
        valid = (ordered[:, 1:] != ordered[:, :-1]).all()
        valid &= (ordered[:, 0] > PAD_ID).all() & (ordered[:, -1] <= self._n_items).all()
        # Looking up the shelf of an unknown item would fail, so range and repeats come first.
        if bool(valid) and self._shelves is not None and self._slot_shelves is not None:
            valid &= (self._shelves[slates] == self._slot_shelves).all()
        if bool(valid) and self._live is not None:
            valid &= self._live[slates].all()
        if self._showings:
            valid &= ~(shown[:, :, None] == slates[:, None, :]).any()
        if not bool(valid):
            raise ValueError(self._first_fault(slates.cpu(), shown.cpu()))

    def _first_fault(self, slates: torch.Tensor, shown: torch.Tensor) -> str:
        """Return what is wrong with the first slot that breaks a rule."""
        unknown = (slates <= PAD_ID) | (slates > self._n_items)
        earlier = torch.ones(slates.shape[1], slates.shape[1]).tril(-1).bool()
        repeated = ((slates[:, :, None] == slates[:, None, :]) & earlier).any(dim=2)
        faults = {
            f"is no item: items are numbered 1 to {self._n_items}": unknown,
            "appears earlier in the same slate": repeated,
        }
        if self._shelves is not None and self._slot_shelves is not None:
            shelves = self._shelves.cpu()[slates.clamp(0, self._n_items)]
            faults["is not of the slot's shelf"] = shelves != self._slot_shelves.cpu()
        if self._live is not None:
            live = self._live.cpu()[slates.clamp(0, self._n_items)]
            faults["is not live in this version of the catalogue"] = ~live
        if self._showings:
            seen = (shown[:, :, None] == slates[:, None, :]).any(dim=1)
            often = "" if self._showings == 1 else f" {self._showings} times"
            faults[f"was already shown{often} in this session"] = seen
        for reason, mask in faults.items():
            if bool(mask.any()):
                row, slot = mask.nonzero()[0].tolist()
                item = int(slates[row, slot])
                padding = " (padding)" if item == PAD_ID else ""
                return f"slates[{row}, {slot}] is {item}{padding}, which {reason}"
        raise AssertionError("a refused slate breaks at least one rule")


def _members_of_shelves(
    shelves: np.ndarray | None, n_items: int, slate_size: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the names of the shelves in order and the items of each."""
    if shelves is None:
        raise UserError(
            "Shelves are enforced, but the items have none",
            where="candidates.enforce_shelves",
            remedy="Switch it off; only RL4RS and tables with a shelf column know shelves.",
        )
    check_shape("shelves", shelves, n_items + 1)
    names = np.unique(shelves[1:])
    if slate_size % len(names):
        raise UserError(
            f"A slate of {slate_size} does not divide among {len(names)} shelves",
            where="candidates.enforce_shelves",
            remedy="Switch it off or log slates whose size is a multiple of the shelves.",
        )
    return names, [1 + np.flatnonzero(shelves[1:] == name) for name in names]
