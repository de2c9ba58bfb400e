"""How personal a simulator is: agreement of two on tastes, what taste is worth, what is learnable.

What taste is worth is told in expected clicks per slot over the first steps of sessions whose
history stands still, so that nothing but the choice of items differs. Shelves are not minded.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.shapes import PAD_ID
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse
from hsrl_pipeline.simulator.response.log_batches import ResponseRows
from hsrl_pipeline.simulator.response.personal import PersonalResponse
from hsrl_pipeline.simulator.response.taste import Feedback, infer_tastes

N_USERS = 512
"""Users sampled for agreement and gains."""

N_STEPS = 5
"""Steps of a session over which gains are taken; fewer where the catalogue is too small."""

GAINS = ("static", "without_taste", "inferred_in_session", "inferred", "known")
"""Policies in the table of gains, by what they know."""

REGIMES = ("repeats", "no_repeats")


def personal_members(model: UserResponseModel) -> list[PersonalResponse]:
    """Return the members of a simulator whose users have tastes; none of a simulator without."""
    members = model.members if isinstance(model, EnsembleResponse) else [model]
    return [member for member in members if isinstance(member, PersonalResponse)]


def known_rows(model: UserResponseModel, log: SlateLog) -> NDArray[np.bool_]:
    """Return (row,) bool: whether the row's user is one whose taste the simulator knows.

    True everywhere for a simulator without tastes: it knows all that there is to know.
    """
    members = personal_members(model)
    if not members:
        return np.ones(len(log), dtype=bool)
    return np.asarray(members[0].knows(torch.from_numpy(log.users.astype(np.int64))).numpy())


def personal_log_odds(model: UserResponseModel, log: SlateLog) -> NDArray[np.float64] | None:
    """Return (row, slate) float64: what tastes add to a log's log-odds; None without tastes."""
    members = personal_members(model)
    if not members:
        return None
    users = torch.from_numpy(log.users.astype(np.int64))
    slates = torch.from_numpy(log.slates.astype(np.int64))
    with torch.inference_mode():
        parts = [member.personal_part(users, slates).double() for member in members]
    return np.asarray(torch.stack(parts).mean(dim=0).numpy())


def taste_agreement(first: UserResponseModel, second: UserResponseModel, seed: int = 0) -> float:
    """Return the correlation of two simulators' personal parts of the log-odds.

    Taken over all items for up to ``N_USERS`` users whom both know.

    Returns:
        In [-1, 1]; NaN where one has no tastes or no user is known to both.
    """
    pair = personal_members(first)[:1] + personal_members(second)[:1]
    if len(pair) < 2:
        return float("nan")
    users = torch.arange(min(len(model.tastes) for model in pair))
    known = users[pair[0].knows(users) & pair[1].knows(users)].numpy()
    if not len(known):
        return float("nan")
    drawn = np.random.default_rng(seed).permutation(known)[:N_USERS]
    chosen = torch.from_numpy(drawn)
    parts = [model.personal_part(chosen)[:, PAD_ID + 1 :].flatten() for model in pair]
    if min(float(part.std()) for part in parts) < 1e-9:
        return float("nan")
    return float(torch.corrcoef(torch.stack(parts))[0, 1])


class _Starts(NamedTuple):
    """States that sessions start from.

    Attributes:
        observation: (batch, ...) users as the simulator reads them, the user's number included.
        feedback: What the log holds of each user before; owners are rows of the batch.
    """

    observation: Observation
    feedback: Feedback


def measure_gains(
    model: UserResponseModel, rows: ResponseRows, log: SlateLog, seed: int = 0
) -> pd.DataFrame:
    """Return what policies get that know more and more about the users of a simulator.

    Args:
        model: The simulator.
        rows: Slates that sessions may start from, with users as the simulator reads them.
        log: The whole log; what it holds of a user before a start is known to the policies.
        seed: Seed of the starts and clicks.

    Returns:
        One row per regime: ``regime``, and expected clicks per slot of ``static`` (the best items
        for all users together), ``without_taste`` (greedy, taste unknown), ``inferred`` (greedy,
        taste inferred from the answers in log and session: what is learnable) and ``known``
        (greedy, taste known: the myopic ceiling).
    """
    generator = np.random.default_rng(seed)
    members = personal_members(model)
    drawn = generator.permutation(len(rows))[:N_USERS]
    starts = _starts(model, rows, log, drawn)
    size = rows.log.slate_size
    steps = max(1, min(N_STEPS, model.n_items // size))
    with torch.inference_mode():
        scores = model.scores_all(starts.observation)
        truth = torch.sigmoid(scores)
        blind = _without_taste(members[0], starts.observation) if members else scores
        table = []
        for regime in REGIMES:
            count = size * (steps if regime == "no_repeats" else 1)
            everyone = truth.mean(dim=0, keepdim=True).expand_as(truth)
            in_session = inferred = known = _expected(truth, scores, count)
            if members:
                nothing = starts.feedback.without_events()
                in_session, inferred = (
                    _clicks_while_learning(
                        members[0],
                        before,
                        blind,
                        truth,
                        slate_size=size,
                        n_steps=steps,
                        repeats=regime == "repeats",
                        generator=generator,
                    )
                    for before in (nothing, starts.feedback)
                )
            table.append(
                {
                    "regime": regime,
                    "static": _expected(truth, everyone, count),
                    "without_taste": _expected(truth, blind, count),
                    "inferred_in_session": in_session,
                    "inferred": inferred,
                    "known": known,
                }
            )
    return pd.DataFrame(table)


def _starts(
    model: UserResponseModel, rows: ResponseRows, log: SlateLog, drawn: NDArray[np.int64]
) -> _Starts:
    """Return the observations of some rows, and what the log holds of their users before."""
    batch = rows.batch(drawn, identified=model.identified)
    observation = Observation(*batch[:3], torch.zeros(len(drawn), dtype=torch.int64))
    order = np.lexsort((log.timestamps, log.users))
    users, times = log.users[order], log.timestamps[order]
    first = np.searchsorted(users, rows.log.users[drawn])
    # A user's rows are in order of time, so that the earlier ones follow the first.
    key = np.array(list(zip(users, times, strict=True)), dtype=[("user", "i8"), ("time", "i8")])
    own = list(zip(rows.log.users[drawn], rows.log.timestamps[drawn], strict=True))
    counts = np.searchsorted(key, np.array(own, dtype=key.dtype)) - first
    owners = np.repeat(np.arange(len(drawn)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    earlier = order[np.repeat(first, counts) + within]
    return _Starts(
        observation,
        Feedback.of(
            np.repeat(owners, log.slate_size),
            log.slates[earlier].ravel().astype(np.int64),
            log.labels[earlier].ravel(),
            len(drawn),
        ),
    )


def _without_taste(model: PersonalResponse, observation: Observation) -> torch.Tensor:
    """Return (batch, item) float32: scores of users whose taste is not known."""
    anonymous = observation._replace(user_dense=observation.user_dense[:, :-1])
    return model.base.scores_all(anonymous)


def _expected(truth: torch.Tensor, scores: torch.Tensor, count: int) -> float:
    """Return the mean click probability of each row's best items by some scores."""
    best = scores[:, PAD_ID + 1 :].topk(count, dim=1).indices + PAD_ID + 1
    return float(truth.gather(1, best).mean())


def _clicks_while_learning(
    model: PersonalResponse,
    known: Feedback,
    blind: torch.Tensor,
    truth: torch.Tensor,
    *,
    slate_size: int,
    n_steps: int,
    repeats: bool,
    generator: np.random.Generator,
) -> float:
    """Return expected clicks per slot of a greedy policy that infers tastes as it goes."""
    items = model.item_tastes()
    owners, shown, clicks = known.owners, known.items, known.clicks
    allowed = torch.ones_like(blind, dtype=torch.bool)
    allowed[:, PAD_ID] = False
    tastes = None
    total = 0.0
    for _ in range(n_steps):
        feedback = Feedback.of(owners, shown, clicks, len(blind))
        tastes = infer_tastes(items, feedback, start=tastes)
        scaled = tastes * model.scales.numpy()
        personal = torch.from_numpy(scaled @ items.features.T).to(blind.dtype)
        slates = (
            (blind + personal).masked_fill(~allowed, -torch.inf).topk(slate_size, dim=1).indices
        )
        probabilities = truth.gather(1, slates)
        total += float(probabilities.mean())
        drawn = generator.random(slates.shape) < probabilities.numpy()
        owners = np.concatenate([owners, np.repeat(np.arange(len(blind)), slate_size)])
        shown = np.concatenate([shown, slates.numpy().ravel()])
        clicks = np.concatenate([clicks, drawn.ravel().astype(np.float64)])
        if not repeats:
            allowed.scatter_(1, slates, False)
    return total / n_steps
