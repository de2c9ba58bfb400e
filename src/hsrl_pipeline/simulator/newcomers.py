"""Users whom a simulator was not fitted on, met with what they answered before their sessions.

Nothing of a session's future is used: of a log, the slates before the one that the session starts
from; of people whose recorded answers judge, what the log holds of them, which recorded answers are
no part of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.shapes import PAD_ID, check_shape
from hsrl_pipeline.simulator.response.base import Newcomers, UserResponseModel
from hsrl_pipeline.simulator.response.recorded import RecordedResponse
from hsrl_pipeline.simulator.response.taste import Feedback
from hsrl_pipeline.simulator.user_pool import UserPool


@dataclass(frozen=True)
class AnswersBefore:
    """How many slates of the log each start of a session has behind it.

    Attributes:
        log: The whole log; rows of one user in time order.
        users: (start,) int64. User index of each start.
        n_slates: (start,) int64. So many slates of the user, the earliest ones, lie before.
    """

    log: SlateLog
    users: NDArray[np.int64]
    n_slates: NDArray[np.int64]

    @classmethod
    def of_judge(cls, response: UserResponseModel, split: SlateLog, log: SlateLog) -> AnswersBefore:
        """Return what lies before the sessions that `pool_for_judge` has starts of.

        Args:
            response: The evaluation simulator.
            split: The slates that sessions of a model's users may start from.
            log: The whole log.

        Returns:
            One start per slate of ``split``, with the slates that a policy could be told of there
            (docs/protocol.md#the-history): never the slate itself, a later one, or one that
            interleaves with it. For recorded answers one start per person, with all slates of the
            person.

        Raises:
            ValueError: A model judges and the log has no timeline of shown items.
        """
        if isinstance(response, RecordedResponse):
            people = response.users.cpu().numpy()
            return cls(log, people, np.bincount(log.users, minlength=people.max() + 1)[people])
        if split.shown is None:
            raise ValueError("the log has no timeline of shown items: call with_shown() first")
        return cls(log, split.users.astype(np.int64), split.shown.n_slates)

    def feedback(self, starts: NDArray[np.int64]) -> Feedback:
        """Return the answers before some starts; owners are places in ``starts``.

        Positives of the log that belong to no slate do not count: the skips beside them are not
        known, and likes alone would make every user easy to please.
        """
        order = np.argsort(self.log.users, kind="stable")
        first = np.searchsorted(self.log.users[order], self.users[starts])
        counts = self.n_slates[starts]
        owners = np.repeat(np.arange(len(starts)), counts)
        within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = order[first[owners] + within]
        items, clicks = self.log.slates[rows].ravel(), self.log.labels[rows].ravel()
        owners = np.repeat(owners, self.log.slate_size)
        real = items != PAD_ID
        return Feedback.of(owners[real], items[real].astype(np.int64), clicks[real], len(starts))


def introduce(
    responses: Mapping[str, UserResponseModel],
    pool: UserPool,
    before: AnswersBefore,
    starts: torch.Tensor | None = None,
) -> tuple[dict[str, UserResponseModel], UserPool]:
    """Let simulators infer the tastes of users whom they were not fitted on.

    A start counts as a newcomer where a simulator has no row of its user and the log has slates of
    the user before. Each such start gets a number of its own, because a later start of the same
    user has more behind it. Users with rows keep the taste that followed from them, and users
    without earlier slates have the prior.

    Args:
        responses: Simulators of the same sessions, by name.
        pool: Users that sessions start with.
        before: What lies before each row of the pool.
        starts: (start,) int64. Rows of the pool that sessions start from; None for all. No taste
            is inferred for others.

    Returns:
        The simulators, and the pool with the numbers that they know newcomers by; both as given
        where no row of the pool is a newcomer.

    References:
        docs/simulators.md#users-that-a-simulator-was-not-fitted-on.
    """
    check_shape("before.users", before.users, len(pool))
    users = pool.users.to(torch.int64)
    is_new = torch.zeros(len(pool), dtype=torch.bool, device=users.device)
    for response in responses.values():
        is_new |= ~response.knows(users).to(users.device)
    is_new &= torch.from_numpy(before.n_slates > 0).to(users.device)
    if not bool(is_new.any()):
        return dict(responses), pool
    drawn = is_new.clone()
    if starts is not None:
        drawn.fill_(False)[starts.to(users.device)] = True
        drawn &= is_new
    rows = drawn.nonzero().squeeze(1)
    newcomers = Newcomers(
        len(pool.user_categories), users[rows], before.feedback(rows.cpu().numpy())
    )
    numbers = users.clone()
    numbers[rows] = newcomers.first + torch.arange(len(rows), device=users.device)
    introduced = {name: response.introduced(newcomers) for name, response in responses.items()}
    return introduced, replace(pool, numbers=numbers)
