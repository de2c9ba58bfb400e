"""Seeded ring buffer of transitions in preallocated, packed tensors."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch


class _Widths(NamedTuple):
    """Columns of each field in a packed row."""

    fields: int
    dense: int
    history: int
    shown: int
    slate: int
    latent: int
    responses: int = 0


class ReplayBuffer:
    """Ring of the newest transitions, drawn from uniformly with replacement.

    A transition is one row of an int32 table and one row of a float32 table, so that storing and
    drawing a batch are two copies each. User features are kept once for both observations, and
    responses in the sign of the history's items.
    Memory is taken when the first batch shows the widths.

    Args:
        capacity: Largest number of transitions kept.
        generator: Random stream of the draws.
        device: Where the tables live and batches are returned.

    Raises:
        ValueError: The capacity is below 1.
    """

    def __init__(
        self, capacity: int, generator: torch.Generator, device: torch.device | str = "cpu"
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}, expected at least 1")
        self.capacity = capacity
        self._generator = generator
        self._device = torch.device(device)
        self._widths: _Widths | None = None
        self._integers = torch.empty(0, 0, dtype=torch.int32)
        self._floats = torch.empty(0, 0)
        self._n_added = 0

    def __len__(self) -> int:
        return min(self._n_added, self.capacity)

    def add(self, batch: TransitionBatch) -> None:
        """Store a batch, the oldest transitions making room.

        Args:
            batch: Transitions; every row must have the widths of the first batch stored.

        Raises:
            ValueError: The batch is larger than the buffer, has other widths or has judged
                slates, which are not kept.
        """
        if batch.judged is not None:
            raise ValueError("judged slates are not kept in a replay buffer")
        widths = _widths_of(batch)
        rows = batch.reward.shape[0]
        if rows > self.capacity:
            raise ValueError(f"batch of {rows} transitions, the buffer holds {self.capacity}")
        if self._widths is None:
            self._allocate(widths)
        if widths != self._widths:
            raise ValueError(f"batch has {widths}, the buffer was filled with {self._widths}")
        integers, floats = _pack(batch)
        start = self._n_added % self.capacity
        head = min(rows, self.capacity - start)
        for table, packed in ((self._integers, integers), (self._floats, floats)):
            table[start : start + head] = packed[:head]
            table[: rows - head] = packed[head:]
        self._n_added += rows

    def sample(self, batch_size: int) -> TransitionBatch:
        """Draw transitions uniformly with replacement.

        Args:
            batch_size: Number of transitions.

        Raises:
            ValueError: The buffer is empty.
        """
        if not len(self):
            raise ValueError("cannot draw from an empty replay buffer")
        rows = torch.randint(
            len(self), (batch_size,), generator=self._generator, device=self._device
        )
        return self._read(rows)

    def newest(self, batch_size: int) -> TransitionBatch:
        """Return the transitions stored last, oldest of them first.

        Args:
            batch_size: Number of transitions; at most ``len(self)`` come back.
        """
        count = min(batch_size, len(self))
        order = torch.arange(self._n_added - count, self._n_added, device=self._device)
        return self._read(order % self.capacity)

    def state_dict(self) -> dict[str, Any]:
        """Return contents, position and random state, without the unused part of the tables."""
        filled = len(self)
        return {
            "integers": self._integers[:filled].clone(),
            "floats": self._floats[:filled].clone(),
            "widths": None if self._widths is None else list(self._widths),
            "n_added": self._n_added,
            "capacity": self.capacity,
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            ValueError: The state comes from a buffer of another capacity.
        """
        if state["capacity"] != self.capacity:
            raise ValueError(
                f"state of a buffer of {state['capacity']} transitions, this holds {self.capacity}"
            )
        if state["widths"] is not None:
            self._allocate(_Widths(*state["widths"]))
            filled = state["integers"].shape[0]
            self._integers[:filled] = state["integers"]
            self._floats[:filled] = state["floats"]
        self._n_added = int(state["n_added"])
        self._generator.set_state(state["generator"].cpu())

    def _allocate(self, widths: _Widths) -> None:
        n_integers = widths.fields + 2 * widths.history + 2 + 2 * widths.shown + widths.slate + 2
        n_floats = widths.dense + widths.slate + 2 + widths.latent
        self._widths = widths
        self._integers = torch.zeros(
            self.capacity, n_integers, dtype=torch.int32, device=self._device
        )
        self._floats = torch.zeros(self.capacity, n_floats, device=self._device)

    def _read(self, rows: torch.Tensor) -> TransitionBatch:
        if self._widths is None:
            raise ValueError("cannot read from an empty replay buffer")
        fields, dense, history, shown, slate, latent, responses = self._widths
        read = responses > 0
        columns = [fields, history, history, 1, 1, shown, shown, slate, 1, 1]
        (
            categories,
            before,
            after,
            step,
            next_step,
            shown_before,
            shown_after,
            slates,
            terminated,
            truncated,
        ) = torch.split(self._integers.index_select(0, rows).long(), columns, dim=1)
        user_dense, clicks, reward, log_prob, latent_action = torch.split(
            self._floats.index_select(0, rows), [dense, slate, 1, 1, latent], dim=1
        )
        return TransitionBatch(
            _observation(categories, user_dense, before, step, shown_before, has_responses=read),
            slates,
            clicks,
            reward[:, 0],
            _observation(categories, user_dense, after, next_step, shown_after, has_responses=read),
            terminated[:, 0].bool(),
            truncated[:, 0].bool(),
            latent_action,
            log_prob[:, 0],
        )


def _widths_of(batch: TransitionBatch) -> _Widths:
    before = batch.observation
    return _Widths(
        before.user_categories.shape[1],
        before.user_dense.shape[1],
        before.history.shape[1],
        before.shown.shape[1],
        batch.slates.shape[1],
        batch.latent_action.shape[1],
        before.responses.shape[1],
    )


def _signed_history(observation: Observation) -> torch.Tensor:
    """Return the history with skipped items negative, or as it is where it is clicks alone."""
    if not observation.responses.shape[1]:
        return observation.history
    return torch.where(observation.responses > 0, observation.history, -observation.history)


def _observation(
    categories: torch.Tensor,
    dense: torch.Tensor,
    signed_history: torch.Tensor,
    step: torch.Tensor,
    shown: torch.Tensor,
    *,
    has_responses: bool,
) -> Observation:
    if not has_responses:
        return Observation(categories, dense, signed_history, step[:, 0], shown)
    clicked = (signed_history > 0).to(signed_history.dtype)
    return Observation(categories, dense, signed_history.abs(), step[:, 0], shown, clicked)


def _pack(batch: TransitionBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Lay a batch out as rows of the int32 and the float32 table."""
    before, after = batch.observation, batch.next_observation
    integers = torch.cat(
        [
            before.user_categories,
            _signed_history(before),
            _signed_history(after),
            before.step[:, None],
            after.step[:, None],
            before.shown,
            after.shown,
            batch.slates,
            batch.terminated[:, None].long(),
            batch.truncated[:, None].long(),
        ],
        dim=1,
    )
    floats = torch.cat(
        [
            before.user_dense,
            batch.clicks,
            batch.reward[:, None],
            batch.log_prob[:, None],
            batch.latent_action,
        ],
        dim=1,
    )
    return integers, floats
