"""The policies that do not learn: random, popular, one static slate, greedy on a simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from hsrl_pipeline.agents.base import Action, Policy
from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.evaluation.kept_rollouts import KEEPS_NOTHING, KeptRollouts
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting, Rollouts
from hsrl_pipeline.evaluation.session_records import SessionRecords, join_batches
from hsrl_pipeline.evaluation.side_by_side import run_side_by_side
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.response.base import UserResponseModel

STATIC_SLATE_ROUNDS = 4
"""Attempts at a better static slate, each from the states that the last one led to."""


class RandomPolicy:
    """Uniformly random distinct items; random by design, also when it does not explore.

    Args:
        selector: Turns scores into slates.
        n_items: Number of real items.
    """

    name = "random"

    def __init__(self, selector: SlateSelector, n_items: int) -> None:
        self._selector = selector
        self._n_items = n_items

    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        """Return a uniformly drawn slate per session."""
        history = observation.history
        scores = torch.rand(
            (len(history), self._n_items + 1), generator=generator, device=history.device
        )
        return _action(self._selector.greedy(observation.mask_shown(scores)))


class ItemScorePolicy:
    """The items of highest score, the same scores for every user.

    Args:
        name: Name of the reference.
        selector: Turns scores into slates.
        scores: (item,) float32. Row 0 is padding.
    """

    def __init__(self, name: str, selector: SlateSelector, scores: torch.Tensor) -> None:
        self.name = name
        self.scores = scores
        self._selector = selector

    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        """Return the best items that may be shown."""
        scores = self.scores.expand(observation.batch_size, -1)
        return _action(self._selector.greedy(observation.mask_shown(scores)))


class GreedyPolicy:
    """The items most likely to be clicked now, according to a response model.

    Args:
        name: Name of the reference.
        selector: Turns scores into slates.
        response: The response model to be greedy on. Greedy on recorded answers or on users with
            a taste of their own is an oracle: it is told who the user is.
        published_only: Whether it goes by published items alone, as all who recommend have to.
    """

    simulates = True

    def __init__(
        self,
        name: str,
        selector: SlateSelector,
        response: UserResponseModel,
        *,
        published_only: bool = False,
    ) -> None:
        self.name = name
        self.published_only = published_only
        self.identified = response.identified
        self._selector = selector
        self._response = response

    @torch.no_grad()
    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        """Return the items with the highest click probability."""
        scores = self._response.scores_all(observation)
        return _action(self._selector.greedy(observation.mask_shown(scores)))


class _Averaging:
    """Acts as another policy and adds up what every item would have got in the states it saw.

    Each batch of sessions has an instance of its own, so that sums do not depend on which batch
    comes first.
    """

    name = "averaging"
    simulates = True

    def __init__(self, policy: Policy, response: UserResponseModel) -> None:
        self.identified = response.identified
        self._policy = policy
        self._response = response
        self.sums: torch.Tensor = torch.zeros(1, dtype=torch.float64)

    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        probabilities = torch.sigmoid(self._response.scores_all(observation))
        self.sums = self.sums.to(probabilities.device) + probabilities.sum(0, dtype=torch.float64)
        return self._policy.act(observation, explore=explore, generator=generator)


def training_clicks(log: SlateLog, n_items: int) -> NDArray[np.int64]:
    """Return how often each item was clicked in the training slates.

    Args:
        log: The whole log or its training split; test rows are not read.
        n_items: Number of real items.

    Returns:
        (item,) int64. Entry 0 is 0.
    """
    train = log.train
    clicked = train.slates[train.labels > 0]
    return np.bincount(clicked, minlength=n_items + 1).astype(np.int64)


def popularity_policy(
    clicks: NDArray[np.int64], selector: SlateSelector, device: torch.device | str = "cpu"
) -> ItemScorePolicy:
    """Return the policy that shows the items with the most training clicks.

    Args:
        clicks: (item,) int64. Training clicks; equal counts go by item number.
        selector: Turns scores into slates.
        device: Torch device of the observations.
    """
    ranking = np.argsort(-clicks, kind="stable")
    scores = np.empty(len(clicks), dtype=np.float32)
    scores[ranking] = -np.arange(len(clicks), dtype=np.float32)
    return ItemScorePolicy("popular", selector, torch.from_numpy(scores).to(device))


def fit_static_slate(
    response: UserResponseModel, selector: SlateSelector, setting: EvaluationSetting
) -> ItemScorePolicy:
    """Return the best slate found that is the same for every user and step.

    The first attempt takes the items of highest mean click probability in first states, each
    later one those of highest mean over the states that the attempt before led to. The attempt
    with the highest total reward in the same sessions wins.

    Args:
        response: The training simulator.
        selector: Turns scores into slates.
        setting: Sessions to try the attempts in; training users.

    Returns:
        The policy ``static_slate``. Its scores rank all items, so that it can go on where shown
        items are excluded.

    References:
        docs/protocol.md#references.
    """
    sessions = setting.sessions
    one_step = sessions.session.model_copy(update={"horizon": 1})
    first_steps = replace(setting, sessions=replace(sessions, session=one_step))
    nothing = torch.zeros(sessions.n_items + 1, device=sessions.device)
    start = ItemScorePolicy("start", selector, nothing)
    sums, _ = _average_over_states(start, response, first_steps)
    attempts: list[tuple[float, ItemScorePolicy]] = []
    for _ in range(STATIC_SLATE_ROUNDS):
        attempt = ItemScorePolicy("static_slate", selector, sums.to(torch.float32))
        sums, records = _average_over_states(attempt, response, setting)
        attempts.append((float(records.total_reward.mean()), attempt))
    return max(attempts, key=lambda scored: scored[0])[1]


def _average_over_states(
    policy: Policy, response: UserResponseModel, setting: EvaluationSetting
) -> tuple[torch.Tensor, SessionRecords]:
    """Return (item,) float64 summed click probabilities over a policy's states, and its records."""
    rollouts = Rollouts(response, setting)
    averages = [_Averaging(policy, response) for _ in rollouts.starts]
    work = [
        partial(rollouts.batch, average, start)
        for average, start in zip(averages, rollouts.starts, strict=True)
    ]
    batches = run_side_by_side(work, setting.sessions.device)
    records = join_batches(batches, setting.sessions.slate_size)
    return torch.stack([average.sums for average in averages]).sum(0), records


def build_references(
    responses: Mapping[str, UserResponseModel],
    clicks: NDArray[np.int64],
    selector: SlateSelector,
    training_setting: EvaluationSetting,
    kept: KeptRollouts = KEEPS_NOTHING,
) -> list[Policy]:
    """Return the five policies that do not learn, in the order of ``REFERENCE_NAMES``.

    Args:
        responses: The simulators ``train`` and ``eval``.
        clicks: (item,) int64. Training clicks of each item.
        selector: Turns scores into slates.
        training_setting: Sessions of training users, for fitting the static slate.
        kept: Where the static slate is kept, which takes long to fit.
    """
    sessions = training_setting.sessions

    def fitted_scores() -> NDArray[np.float32]:
        return fit_static_slate(responses["train"], selector, training_setting).scores.cpu().numpy()

    static_scores = torch.from_numpy(kept.array("static_slate_scores", fitted_scores))
    return [
        RandomPolicy(selector, sessions.n_items),
        popularity_policy(clicks, selector, sessions.device),
        ItemScorePolicy("static_slate", selector, static_scores.to(sessions.device)),
        GreedyPolicy("greedy_train_simulator", selector, responses["train"]),
        GreedyPolicy("greedy_eval_simulator", selector, responses["eval"]),
    ]


def _action(slates: torch.Tensor) -> Action:
    batch = len(slates)
    return Action(
        slates, slates.new_empty((batch, 0), dtype=torch.float32), slates.new_zeros(batch).float()
    )
