"""Roll policies out on a simulator: frozen, greedy, every session from its start to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from hsrl_pipeline.agents.base import Policy
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.evaluation.session_draws import SessionDraws
from hsrl_pipeline.evaluation.session_records import (
    BatchRecords,
    SessionRecorder,
    SessionRecords,
    join_batches,
)
from hsrl_pipeline.evaluation.side_by_side import run_side_by_side
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.progress import Progress
from hsrl_pipeline.seeding import torch_generator
from hsrl_pipeline.shapes import check_shape
from hsrl_pipeline.simulator.click_draws import draw_clicks
from hsrl_pipeline.simulator.event_histories import drop_unpublished
from hsrl_pipeline.simulator.response.protocol import Response, refuse_training_mode
from hsrl_pipeline.simulator.response.recorded import with_user_numbers
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.user_pool import UserPool


@dataclass(frozen=True)
class EvaluationSetting:
    """All that the policies of a comparison share.

    Attributes:
        pool: Users that sessions start with.
        sessions: Rules, sizes and device of the sessions.
        item_vectors: (item, embed) float32. For the diversity inside a slate; row 0 is padding.
        n_episodes: Sessions per policy.
        seed: Seed of the users and of the click draws.
        batch_size: Sessions rolled out at once.
        catalogue: Version of a moving catalogue that all sessions take place under: slates hold
            live items, and policies see published items alone in histories. None lets all items
            be shown. Policies are told of it by the caller.
    """

    pool: UserPool
    sessions: SessionSetting
    item_vectors: NDArray[np.float32]
    n_episodes: int
    seed: int = 0
    batch_size: int = 1024
    catalogue: LiveCatalogue | None = None


class Rollouts:
    """The sessions of an evaluation on one simulator, batch by batch.

    Batches depend on nothing but their first episode, so they may be rolled out in any order and
    at the same time.

    Args:
        response: Gives click probabilities, in evaluation mode.
        setting: What all policies of a comparison share.

    Raises:
        UserError: The candidate rules cannot be met with these items.
        ValueError: The response model is in training mode, or the pool's histories are of another
            size or form than the sessions'.
    """

    def __init__(self, response: Response, setting: EvaluationSetting) -> None:
        sessions, n_items = setting.sessions, setting.sessions.n_items
        check_shape("item_vectors", setting.item_vectors, n_items + 1, None)
        refuse_training_mode(response)
        setting.pool.check_items(n_items)
        setting.pool.check_history(sessions.session)
        self.setting = setting
        self.starts: Sequence[int] = range(0, setting.n_episodes, setting.batch_size)
        self._response = response
        self._rules = sessions.session_rules()
        self._candidates = sessions.candidate_rules(setting.pool.n_seen)
        self._pool = setting.pool.to(str(sessions.device))
        self._published: torch.Tensor | None = None
        if setting.catalogue is not None:
            self._candidates.set_live(setting.catalogue.live)
            published = torch.from_numpy(setting.catalogue.published).to(sessions.device)
            if not bool(published[1:].all()):
                self._published, self._pool = published, self._pool.telling(published)
        self._directions = _directions(setting.item_vectors, str(sessions.device))
        self._draws = SessionDraws(
            setting.seed, len(self._pool), sessions.session.horizon, sessions.slate_size
        )

    @torch.no_grad()
    def batch(self, policy: Policy, start: int) -> BatchRecords:
        """Roll a policy out in the sessions of one batch.

        Args:
            policy: Acts greedily (``explore=False``); nothing about it is changed.
            start: Number of the batch's first episode, one of ``starts``.

        Raises:
            ValueError: The policy broke a rule of the slates; names row and slot.
        """
        setting, rules, pool = self.setting, self._rules, self._pool
        sessions, response = setting.sessions, self._response
        horizon, device = sessions.session.horizon, str(sessions.device)
        policy_simulates = getattr(policy, "simulates", False)
        published_only = getattr(policy, "published_only", False)
        stop = min(start + setting.batch_size, setting.n_episodes)
        rows, uniforms = (part.to(device) for part in self._draws.episodes(start, stop))
        generator = torch_generator(setting.seed, f"evaluation.policy.{start}", device)
        record = SessionRecorder(stop - start, horizon, sessions.slate_size, device)
        state = rules.start(pool.observation(rows), pool.clicked(rows))
        playing = torch.arange(stop - start, device=device)
        numbers = pool.user_numbers(rows)
        for step in range(horizon):
            told = state.simulator_view if policy_simulates else state.observation
            if self._published is not None and published_only:
                history, _ = drop_unpublished(told.history, told.responses, self._published)
                told = told._replace(history=history)
            told = as_known_to(policy, told, numbers[playing])
            asked = as_known_to(response, state.simulator_view, numbers[playing])
            slates = policy.act(told, explore=False, generator=generator).slates
            self._candidates.check(slates, state.observation.shown)
            probabilities = response.probabilities(asked, slates)
            clicks = draw_clicks(probabilities, uniforms[playing, step])
            outcome = rules.advance(state, slates, clicks)
            record.write(
                step,
                playing,
                slates,
                clicks,
                reward=outcome.reward,
                similarity=_pair_similarity(self._directions[slates]),
            )
            staying = (~(outcome.terminated | outcome.truncated)).nonzero().squeeze(1)
            if not len(staying):
                break
            state, playing = outcome.state.rows(staying), playing[staying]
        return record.records(pool.users[rows].to(torch.int64), sessions.n_items)


def evaluate_policy(
    policy: Policy,
    response: Response,
    setting: EvaluationSetting,
    progress: Progress | None = None,
) -> SessionRecords:
    """Roll a policy out and keep what happened in every session.

    Sessions are followed from their first to their last step and each is counted once: none is
    refilled or cut short, so short sessions weigh no more than long ones. Episode by episode, all
    policies meet the same users and the same uniform draws.

    Args:
        policy: Acts greedily (``explore=False``); nothing about it is changed.
        response: Gives click probabilities, in evaluation mode.
        setting: What all policies of a comparison share.
        progress: Told of every finished batch of sessions.

    Returns:
        The records of ``setting.n_episodes`` sessions.

    Raises:
        UserError: The candidate rules cannot be met with these items.
        ValueError: The policy broke a rule of the slates (names row and slot), or the response
            model is in training mode.
    """
    rollouts = Rollouts(response, setting)
    work = [partial(rollouts.batch, policy, start) for start in rollouts.starts]
    batches = run_side_by_side(work, setting.sessions.device, progress)
    return join_batches(batches, setting.sessions.slate_size)


def as_known_to(
    reader: Policy | Response, observation: Observation, users: torch.Tensor
) -> Observation:
    """Return the observation, with the number of the user for a reader that is told it."""
    if getattr(reader, "identified", False):
        return with_user_numbers(observation, users)
    return observation


def _directions(item_vectors: NDArray[np.float32], device: str) -> torch.Tensor:
    """Return the item vectors at unit length; zero vectors stay zero."""
    vectors = torch.as_tensor(item_vectors, dtype=torch.float32, device=device)
    return torch.nn.functional.normalize(vectors, dim=1)


def _pair_similarity(directions: torch.Tensor) -> torch.Tensor:
    """Return the mean cosine similarity over all pairs of a slate.

    Args:
        directions: (batch, slate, embed) float32. Unit or zero vectors.

    Returns:
        (batch,) float64. NaN for slates of one item.
    """
    slate_size = directions.shape[1]
    # The squared norm of the sum holds every pair twice and every vector with itself once.
    both = directions.sum(dim=1).square().sum(dim=1) - directions.square().sum(dim=(1, 2))
    n_pairs = slate_size * (slate_size - 1)
    return both.to(torch.float64) / (n_pairs if n_pairs else torch.nan)
