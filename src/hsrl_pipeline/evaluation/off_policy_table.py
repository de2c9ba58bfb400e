"""Off-policy estimates of all policies of an evaluation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hsrl_pipeline.agents.base import Policy
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.evaluation.logged_starts import LoggedStarts
from hsrl_pipeline.evaluation.off_policy import LoggedChoices, estimate_click_rate
from hsrl_pipeline.evaluation.propensity_log import PropensityLog, propensity_logs
from hsrl_pipeline.evaluation.side_by_side import run_side_by_side
from hsrl_pipeline.progress import Progress
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.session_data import SessionData
from hsrl_pipeline.simulator.session_setting import SessionSetting

logger = logging.getLogger(__name__)

KEYS = ("policy", "seed", "regime", "acting", "log_part")
FIGURES = (
    "estimator",
    "value",
    "ci_low",
    "ci_high",
    "effective_sample_size",
    "share_clipped",
    "largest_weight",
    "n_users",
    "n_events",
    "n_agreeing",
)


class _Acting(NamedTuple):
    """A policy and how it acts: ``draws`` slates per round make known what it would show."""

    name: str
    policy: Policy
    explore: bool
    draws: int


class _Answers(NamedTuple):
    """What a target policy does in the rounds of a batch, and what the model says of it."""

    round_values: NDArray[np.float64]
    target: NDArray[np.float64]
    modelled: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of rounds."""
        return len(self.round_values)


def off_policy_table(
    policies: Mapping[str, Callable[[], Policy]],
    agent_name: str,
    model: UserResponseModel,
    propensities: pd.DataFrame | None,
    *,
    data: SessionData,
    sessions: SessionSetting,
    evaluation: EvaluationConfig,
    seed: int,
) -> pd.DataFrame:
    """Estimate the click rate of every policy on the parts of the log that have propensities.

    A policy that does not draw has weight only where it agrees with the log. The agent is judged a
    second time as it acts while it explores. What a policy that draws would show is known from
    ``evaluation.off_policy_draws`` slates per round: estimates are linear in it, so they stay
    unbiased.

    Args:
        policies: What makes each policy, by name.
        agent_name: The policy that can explore.
        model: The training simulator.
        propensities: The canonical table of pairs; None or without rows where there is none.
        data: The log and its users.
        sessions: Rules, sizes and device of the sessions.
        evaluation: Number of rounds, draws, largest weight, resamples, seed.
        seed: Seed of the run; names the rows.

    Returns:
        One row per policy, way of acting, part of the log and estimator, see ``KEYS`` and
        ``FIGURES``; without rows where nothing has propensities.

    References:
        docs/evaluation.md#off-policy-estimates.
    """
    most = evaluation.n_logged_slates
    parts = propensity_logs(data.log, propensities, most=most, seed=evaluation.seed)
    if not parts:
        logger.info(
            "No off-policy estimates: the log of %s has no propensities, neither of its test "
            "slates nor of pairs of user and item.",
            data.info.dataset,
        )
        return pd.DataFrame({name: [] for name in (*KEYS, *FIGURES)})
    many = evaluation.off_policy_draws
    made = {name: make() for name, make in policies.items()}
    actings = [
        _Acting(name, policy, False, many if name == "random" else 1)
        for name, policy in made.items()
    ]
    actings.insert(1, _Acting(agent_name, made[agent_name], True, many))
    tables = []
    total = len(actings) * sum(len(part.rounds) for part in parts)
    with Progress("Off-policy", total, unit="rounds") as progress:
        for part in parts:
            starts = LoggedStarts(
                part.rounds,
                data.users,
                sessions,
                batch_size=evaluation.batch_size,
                seed=evaluation.seed,
            )
            for acting in actings:
                ask = partial(_answers, acting, model, starts, part)
                work = [partial(ask, batch) for batch in starts.batches]
                choices = _joined(part, run_side_by_side(work, sessions.device, progress))
                estimates = estimate_click_rate(
                    choices,
                    largest_weight=evaluation.largest_weight,
                    n_resamples=evaluation.n_resamples,
                    seed=evaluation.seed,
                )
                key = (acting.name, seed, sessions.candidates.regime)
                way = ("exploring" if acting.explore else "greedy", part.name)
                labels: dict[str, Any] = dict(zip(KEYS, key + way, strict=True))
                tables.append(estimates.assign(**labels))
    return pd.concat(tables, ignore_index=True)[[*KEYS, *FIGURES]]


@torch.no_grad()
def _answers(
    acting: _Acting,
    model: UserResponseModel,
    starts: LoggedStarts,
    part: PropensityLog,
    rows: NDArray[np.int64],
) -> _Answers:
    """Ask a policy and the model about a batch of rounds."""
    policy, draws = acting.policy, acting.draws
    state = starts.state(rows)
    told, asked = starts.told(policy, state, rows), starts.told(model, state, rows)
    generator = starts.generator("off_policy", rows)
    device = told.history.device
    first, last = np.searchsorted(part.events, (rows[0], rows[-1] + 1))
    places = torch.as_tensor(part.events[first:last] - rows[0], device=device)
    items = torch.as_tensor(part.items[first:last], device=device)
    share = torch.zeros(len(items), dtype=torch.float64, device=device)
    value = torch.zeros(len(rows), dtype=torch.float64, device=device)
    for _ in range(draws):
        slates = policy.act(told, explore=acting.explore, generator=generator).slates
        share += (slates[places] == items[:, None]).to(torch.float64).mean(dim=1)
        value += model.probabilities(asked, slates).to(torch.float64).mean(dim=1)
    modelled = torch.sigmoid(model.scores_all(asked)[places, items]).to(torch.float64)
    columns = (value / draws, share / draws, modelled)
    return _Answers(*(column.cpu().numpy() for column in columns))


def _joined(part: PropensityLog, answers: list[_Answers]) -> LoggedChoices:
    """Return all rounds of a part with what was answered, batch by batch."""
    value, target, modelled = (np.concatenate(column) for column in zip(*answers, strict=True))
    return LoggedChoices(
        round_users=part.rounds.users.astype(np.int64),
        round_values=value,
        slots=part.slots,
        events=part.events,
        clicks=part.clicks,
        propensities=part.propensities,
        target=target,
        modelled=modelled,
    )
