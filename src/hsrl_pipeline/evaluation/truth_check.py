"""Policies judged by the true users of the synthetic log, beside what the simulators say of them.

The synthetic log's click probabilities are known, so the ranking of policies on a simulator can
be right or wrong. Users are told apart by a number that travels with the observation and that no
policy gets to see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from hsrl_pipeline.agents.base import Action, Policy
from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.data.synthetic_truth import SyntheticTruth
from hsrl_pipeline.evaluation.bootstrap import (
    bootstrap_intervals,
    percentile_ends,
    resampled_means,
)
from hsrl_pipeline.evaluation.kept_rollouts import KeptRollouts, roll_out
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting
from hsrl_pipeline.evaluation.session_records import SessionRecords
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.user_pool import UserPool

ORACLE = "greedy_truth"
"""Name of the policy that is greedy on the true probabilities: the myopic ceiling."""

TRUTH_COLUMNS = (
    "policy",
    "seed",
    "true_total_reward",
    "true_total_reward_ci_low",
    "true_total_reward_ci_high",
    "true_rank",
    "eval_total_reward",
    "eval_rank",
    "train_total_reward",
    "train_rank",
)


class TrueResponse:
    """The synthetic users as a response model.

    Args:
        truth: Rows by canonical index.
        device: Torch device of the observations.
    """

    def __init__(self, truth: SyntheticTruth, device: torch.device | str = "cpu") -> None:
        self._tastes = torch.as_tensor(truth.tastes, device=device) * truth.strength
        self._mood = torch.as_tensor(truth.mood, device=device) + truth.bias
        self._profiles = torch.as_tensor(truth.profiles, device=device)
        self._quality = torch.as_tensor(truth.quality, device=device)

    def probabilities(self, observation: Observation, slates: torch.Tensor) -> torch.Tensor:
        """Return (batch, slate) float32 true click probabilities of identified users."""
        return torch.sigmoid(self.scores_all(observation).gather(1, slates))

    def scores_all(self, observation: Observation) -> torch.Tensor:
        """Return (batch, item) float32 true log-odds of identified users."""
        users = observation.user_dense[:, -1].to(torch.int64)
        return self._tastes[users] @ self._profiles.T + self._quality + self._mood[users][:, None]


class _Oracle:
    """Greedy on the true probabilities of identified users."""

    name = ORACLE

    def __init__(self, response: TrueResponse, selector: SlateSelector) -> None:
        self._response = response
        self._selector = selector

    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        scores = observation.mask_shown(self._response.scores_all(observation))
        slates = self._selector.greedy(scores)
        return Action(slates, scores.new_empty((len(slates), 0)), scores.new_zeros(len(slates)))


class Blindfolded:
    """Shows a policy everything but the number of the user, unless it must know the user."""

    def __init__(self, policy: Policy) -> None:
        self.name = policy.name
        self.simulates = getattr(policy, "simulates", False)
        self.published_only = getattr(policy, "published_only", False)
        self.identified = getattr(policy, "identified", False)
        self._policy = policy

    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        """Act on what the policy may see."""
        dense = observation.user_dense
        # what tells the simulators who a user is comes after the number that true users go by
        hidden = dense.shape[1] - 1 - int(self.identified)
        seen = torch.cat([dense[:, :hidden], dense[:, hidden + 1 :]], dim=1)
        observation = observation._replace(user_dense=seen)
        return self._policy.act(observation, explore=explore, generator=generator)


def identify_users(pool: UserPool) -> UserPool:
    """Return the pool with the user index as one more numeric feature, the last."""
    numbers = torch.arange(len(pool.user_dense), dtype=torch.float32, device=pool.user_dense.device)
    return replace(pool, user_dense=torch.cat([pool.user_dense, numbers[:, None]], dim=1))


def roll_out_on_truth(
    policies: Mapping[str, Callable[[], Policy]],
    truth: SyntheticTruth,
    selector: SlateSelector,
    setting: EvaluationSetting,
    kept: KeptRollouts,
) -> dict[str, SessionRecords]:
    """Roll policies out on the true users, in the same sessions as on the simulators.

    Args:
        policies: What makes each policy, by name; an oracle is added.
        truth: Rows by canonical index.
        selector: Turns scores into slates.
        setting: What all policies share.
        kept: Sessions rolled out earlier.

    Returns:
        Records by policy.
    """
    response = TrueResponse(truth, setting.sessions.device)
    identified = replace(setting, pool=identify_users(setting.pool))
    blindfolded: dict[str, Callable[[], Policy]] = {
        name: lambda make=make: Blindfolded(make())  # type: ignore[misc]
        for name, make in policies.items()
    }
    blindfolded[ORACLE] = lambda: _Oracle(response, selector)
    records = roll_out(blindfolded, {"truth": response}, identified, kept)
    return {policy: record for (policy, _), record in records.items()}


def truth_table(
    true_records: Mapping[str, SessionRecords],
    simulated: Mapping[tuple[str, str], SessionRecords],
    *,
    seed: int,
    n_resamples: int,
    bootstrap_seed: int,
) -> pd.DataFrame:
    """Return what policies earn from the true users and from the simulators, with their ranks.

    Args:
        true_records: Sessions by policy; may be empty when nobody knows the truth.
        simulated: Sessions by (policy, simulator).
        seed: Seed of the run.
        n_resamples: Bootstrap resamples of each interval.
        bootstrap_seed: Seed of the resampling.

    Returns:
        One row per policy with ``TRUTH_COLUMNS``, best in truth first. Rank 1 is best; the oracle
        has neither rank nor simulated rewards.
    """
    rows = []
    for policy, record in true_records.items():
        low, high = bootstrap_intervals(record.total_reward[:, None], n_resamples, bootstrap_seed)[
            0
        ]
        row = {
            "policy": policy,
            "seed": seed,
            "true_total_reward": float(record.total_reward.mean()),
            "true_total_reward_ci_low": float(low),
            "true_total_reward_ci_high": float(high),
        }
        for simulator in ("eval", "train"):
            own = simulated.get((policy, simulator))
            earned = np.nan if own is None else float(own.total_reward.mean())
            row[f"{simulator}_total_reward"] = earned
        rows.append(row)
    table = pd.DataFrame(rows, columns=[name for name in TRUTH_COLUMNS if "rank" not in name])
    competing = table["policy"] != ORACLE
    for source in ("true", "eval", "train"):
        rewards = table[f"{source}_total_reward"].where(competing)
        table[f"{source}_rank"] = rewards.rank(ascending=False)
    ordered = table[list(TRUTH_COLUMNS)].sort_values("true_total_reward", ascending=False)
    return ordered.reset_index(drop=True)


def share_found(
    records: Mapping[str, SessionRecords], start: str, policy: str, n_resamples: int, seed: int
) -> tuple[float, float, float]:
    """Return how far a policy comes from another one to the oracle, judged by the true users.

    Args:
        records: As ``roll_out_on_truth`` returns them: the same sessions for all policies.
        start: Policy whose total reward counts as 0; ``static_slate`` knows nothing of the person.
        policy: Policy to place; ``greedy_train_simulator`` shows what a simulator has found.
        n_resamples: Bootstrap resamples of the sessions.
        seed: Seed of the resampling.

    Returns:
        The share, 1 for the total reward of the oracle, and the ends of its 95 % interval. NaN
        where a resample has an oracle that earns no more than ``start``.
    """
    columns = [records[name].total_reward for name in (start, policy, ORACLE)]
    rewards = np.column_stack(columns)
    resampled = resampled_means(rewards, n_resamples, seed)
    means = np.concatenate([rewards.mean(axis=0, keepdims=True), resampled])
    way = means[:, 2] - means[:, 0]
    if way.min() <= 0:
        return float("nan"), float("nan"), float("nan")
    shares = (means[:, 1] - means[:, 0]) / way
    low, high = percentile_ends(shares[1:, None])[0]
    return float(shares[0]), float(low), float(high)


def rank_agreement(table: pd.DataFrame) -> float:
    """Return Kendall's tau between the ranks in truth and on the evaluation simulator.

    Args:
        table: As ``truth_table`` returns it.

    Returns:
        1 for the same order, -1 for the reverse; NaN for fewer than two policies.
    """
    ranks = table[["true_rank", "eval_rank"]].dropna().to_numpy()
    if len(ranks) < 2:
        return float("nan")
    above = np.sign(ranks[:, None] - ranks[None, :])
    pairs = np.triu_indices(len(ranks), 1)
    return float((above[..., 0] * above[..., 1])[pairs].mean())
