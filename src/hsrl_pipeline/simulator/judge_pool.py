"""First states of sessions that people with recorded answers judge."""

from __future__ import annotations

from dataclasses import replace

import torch

from hsrl_pipeline.config.session import SessionConfig
from hsrl_pipeline.data.slate_log import SlateLog, UserTable
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.response.recorded import KnownBefore, RecordedResponse
from hsrl_pipeline.simulator.user_pool import UserPool


def pool_for_judge(
    response: UserResponseModel,
    split: SlateLog,
    log: SlateLog,
    users: UserTable,
    session: SessionConfig,
) -> UserPool:
    """Return the users that an evaluation simulator can judge sessions of.

    Args:
        response: The evaluation simulator.
        split: The slates that sessions of a model's users may start from.
        log: The whole log.
        users: Features of every user.
        session: Length and form of the history.

    Returns:
        One start per slate of ``split``; for recorded answers one start per person, with all that
        the log holds of the person as history, and what it shows as shown.

    Raises:
        UserError: The split has no slate, or a numeric user feature is not finite.
    """
    if not isinstance(response, RecordedResponse):
        return UserPool.from_log(split, users, session.history_size, session.history)
    people = response.users.cpu().numpy()
    known = KnownBefore.from_log(log, people)
    pool = UserPool.from_log(log, users, session.history_size, session.history)
    shown = pool.shown
    if shown is not None:
        shown = replace(
            shown,
            start=torch.from_numpy(known.shown_start),
            end=torch.from_numpy(known.shown_end),
        )
    return replace(
        pool,
        history_start=torch.from_numpy(known.history_start),
        history_end=torch.from_numpy(known.history_end),
        users=torch.from_numpy(people),
        seen=torch.from_numpy(known.seen),
        shown=shown,
    )
