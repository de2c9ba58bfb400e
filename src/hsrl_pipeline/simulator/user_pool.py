"""The users a session can start with: one candidate start per logged slate, nothing copied."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from hsrl_pipeline.config.session import HistoryForm, SessionConfig
from hsrl_pipeline.data.slate_log import SlateLog, UserTable
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.shapes import PAD_ID, check_shape
from hsrl_pipeline.simulator.event_histories import ShownHistories, tensor_over


@dataclass(frozen=True)
class UserPool:
    """Possible first states: a user and what that user had liked before a logged slate.

    Rows hold pointers into one timeline shared with the log; history windows are cut out for the
    rows that are drawn, so memory does not grow with the number of rows drawn.

    Attributes:
        user_categories: (user, field) int64. Category codes, row 0 is a user without features.
        user_dense: (user, dense) float32. Standardised numeric features, finite.
        timeline: (event,) int32. Positive items of each user in time order, user after user.
        history_start: (row,) int64. First entry of the row's user in ``timeline``.
        history_end: (row,) int64. End, exclusive, of the history before the slate.
        users: (row,) int32 or int64. User index of each row.
        history_size: Window length H.
        seen: (row, seen) int64 or None. Items that count as shown before a session starts, filled
            up with PAD_ID; None when there are none.
        shown: What policies see as history instead of the clicks; None where they see clicks.
        numbers: (row,) int64 or None. What tells simulators who a row's user is, where that is not
            the user index; see `introduce`.
        told: The clicks that policies see, where these are not all that simulated users go by;
            None where they are, and where policies see ``shown``.

    Raises:
        UserError: The pool has no row, or a numeric user feature is not finite.
    """

    user_categories: torch.Tensor
    user_dense: torch.Tensor
    timeline: torch.Tensor
    history_start: torch.Tensor
    history_end: torch.Tensor
    users: torch.Tensor
    history_size: int
    seen: torch.Tensor | None = None
    shown: ShownHistories | None = None
    told: ShownHistories | None = None
    numbers: torch.Tensor | None = None

    def __post_init__(self) -> None:
        rows = len(self.users)
        if not rows:
            raise UserError(
                "The user pool is empty: no slate was logged to start a session from",
                where="slates",
                remedy="Give a log with at least one complete slate in this split.",
            )
        check_shape("user_categories", self.user_categories, None, None)
        check_shape("user_dense", self.user_dense, len(self.user_categories), None)
        check_shape("history_start", self.history_start, rows)
        check_shape("history_end", self.history_end, rows)
        if self.seen is not None:
            check_shape("seen", self.seen, rows, None)
        if self.shown is not None:
            check_shape("shown.start", self.shown.start, rows)
            check_shape("shown.end", self.shown.end, rows)
        if self.numbers is not None:
            check_shape("numbers", self.numbers, rows)
        _refuse_unknown_users(self.users, len(self.user_categories))
        _refuse_non_finite(self.user_dense)

    @classmethod
    def from_log(
        cls,
        log: SlateLog,
        users: UserTable,
        history_size: int,
        history: HistoryForm = "clicks",
    ) -> UserPool:
        """Return one possible start per slate of a log; the log's arrays are shared.

        Args:
            log: The slates of the split that sessions may start from.
            users: Features of every user of the log.
            history_size: Window length H, at least 1.
            history: What policies see of the past.

        Raises:
            UserError: The log has no slate, or a numeric user feature is not finite.
            ValueError: Responses are asked for and the log has no timeline of shown items.
        """
        if history == "responses" and log.shown is None:
            raise ValueError("the log has no timeline of shown items: call with_shown() first")
        return cls(
            user_categories=tensor_over(users.categories).to(torch.int64),
            user_dense=tensor_over(users.dense).to(torch.float32),
            timeline=tensor_over(log.timeline),
            history_start=tensor_over(log.history_start),
            history_end=tensor_over(log.history_end),
            users=tensor_over(log.users),
            history_size=history_size,
            shown=ShownHistories.from_timeline(log.shown)
            if history == "responses" and log.shown is not None
            else None,
        )

    @classmethod
    def from_rows(
        cls,
        categories: torch.Tensor,
        dense: torch.Tensor,
        histories: torch.Tensor,
        users: torch.Tensor | None = None,
    ) -> UserPool:
        """Return a pool of users given directly, without a log.

        Args:
            categories: (row, field) int64. Category codes of each row's user.
            dense: (row, dense) float32. Numeric features of each row's user.
            histories: (row, history) int64. Left-padded with PAD_ID.
            users: (row,) int64. User indices in ``[1, row]``; counted from 1 when not given. Rows
                of one user must agree in their features.
        """
        rows, history_size = histories.shape
        if users is None:
            users = torch.arange(1, rows + 1)
        kept = histories != PAD_ID
        ends = kept.sum(dim=1).cumsum(dim=0)
        table_size = int(users.max()) + 1 if rows else 1
        by_user = torch.zeros(table_size, categories.shape[1], dtype=torch.int64)
        dense_by_user = torch.zeros(table_size, dense.shape[1])
        by_user[users] = categories
        dense_by_user[users] = dense
        return cls(
            user_categories=by_user,
            user_dense=dense_by_user,
            timeline=histories[kept],
            history_start=ends - kept.sum(dim=1),
            history_end=ends,
            users=users,
            history_size=history_size,
        )

    @property
    def n_seen(self) -> int:
        """Most items that count as shown before a session starts."""
        return 0 if self.seen is None else int(self.seen.shape[1])

    @property
    def parts_views(self) -> bool:
        """Whether policies see other histories than simulated users go by."""
        return self.shown is not None or self.told is not None

    def __len__(self) -> int:
        return len(self.users)

    def to(self, device: torch.device | str) -> UserPool:
        """Return the pool on another device."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: value.to(device) for name, value in values.items() if hasattr(value, "to")}
        return replace(self, **moved)

    def check_history(self, session: SessionConfig) -> None:
        """Refuse sessions that take histories of another size or form.

        Raises:
            ValueError: Names both.
        """
        if self.history_size != session.history_size:
            raise ValueError(
                f"the pool cuts histories of {self.history_size} items, "
                f"session.history_size is {session.history_size}"
            )
        form = "clicks" if self.shown is None else "responses"
        if form != session.history:
            raise ValueError(f"the pool shows {form}, session.history is {session.history}")

    def check_items(self, n_items: int) -> None:
        """Refuse a timeline with items that do not exist.

        Args:
            n_items: Number of real items.

        Raises:
            ValueError: Names the first event whose item is not in ``[1, n_items]``.
        """
        unknown = (self.timeline <= PAD_ID) | (self.timeline > n_items)
        if bool(unknown.any()):
            event = int(unknown.nonzero()[0, 0])
            item = int(self.timeline[event])
            raise ValueError(f"timeline[{event}] is {item}, items are numbered 1 to {n_items}")

    def telling(self, published: torch.Tensor) -> UserPool:
        """Return a pool whose policies see histories of published items alone.

        Simulated users still go by all that they did.

        Args:
            published: (item,) bool, on the pool's device.
        """
        if self.shown is not None:
            return replace(self, shown=self.shown.keep(published))
        return replace(self, told=self._clicks.keep(published))

    def histories(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the latest positives before the slates of the given rows.

        Args:
            rows: (batch,) int64. Row numbers of this pool.

        Returns:
            (batch, history) int64. Left-padded with PAD_ID, newest last.
        """
        return self._clicks.latest(rows, self.history_size)

    def clicked(self, rows: torch.Tensor) -> torch.Tensor:
        """Return what simulated users go by where it is not what policies see.

        Args:
            rows: (batch,) int64. Row numbers of this pool.

        Returns:
            (batch, history) int64 as ``histories``; (batch, 0) where policies see the same.
        """
        if not self.parts_views:
            return rows.new_empty((len(rows), 0))
        return self.histories(rows)

    def user_numbers(self, rows: torch.Tensor) -> torch.Tensor:
        """Return what tells simulators who the users of the given rows are.

        Args:
            rows: (batch,) int64. Row numbers of this pool.

        Returns:
            (batch,) int64. Policies never see it.
        """
        return (self.users if self.numbers is None else self.numbers)[rows].to(torch.int64)

    def observation(self, rows: torch.Tensor) -> Observation:
        """Return the first observation of sessions that start from the given rows.

        Args:
            rows: (batch,) int64. Row numbers of this pool.

        Returns:
            Observation at step 0.
        """
        users = self.users[rows].to(torch.int64)
        responses = None
        if self.shown is None:
            history = (self.told or self._clicks).latest(rows, self.history_size)
        else:
            signed = self.shown.latest(rows, self.history_size)
            history, responses = signed.abs(), (signed > 0).to(torch.int64)
        return Observation(
            self.user_categories[users],
            self.user_dense[users],
            history,
            torch.zeros_like(users),
            None if self.seen is None else self.seen[rows],
            responses,
        )

    @property
    def _clicks(self) -> ShownHistories:
        return ShownHistories(self.timeline, self.history_start, self.history_end)


def _refuse_unknown_users(users: torch.Tensor, table_size: int) -> None:
    unknown = (users < 0) | (users >= table_size)
    if bool(unknown.any()):
        row = int(unknown.nonzero()[0, 0])
        raise ValueError(
            f"users[{row}] is {int(users[row])}, but the user table ends at {table_size - 1}"
        )


def _refuse_non_finite(user_dense: torch.Tensor) -> None:
    finite = user_dense.isfinite()
    if not bool(finite.all()):
        user, field = (~finite).nonzero()[0].tolist()
        raise UserError(
            f"Numeric feature {field} of user {user} is {float(user_dense[user, field])}",
            where=f"users, user_index {user}",
            remedy="User features must be finite; run the ingestion pipeline on a repaired file.",
        )
