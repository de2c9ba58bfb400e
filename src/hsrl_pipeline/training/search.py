"""Search for an agent's settings on the training simulator, with the same budget for each agent.

References:
    Akiba et al. 2019, "Optuna: A Next-generation Hyperparameter Optimization Framework"; the
    sampler is the tree-structured Parzen estimator of Bergstra et al. 2011.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
import pandas as pd

from hsrl_pipeline.config.agents.search_space import Choice, Interval, SearchSpace
from hsrl_pipeline.config.agents.shared import AgentSettings
from hsrl_pipeline.config.search import SearchConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.progress import Progress
from hsrl_pipeline.seeding import derive_seed

logger = logging.getLogger(__name__)

TRIALS_BEFORE_MODEL = 5
"""Trials drawn at random before the sampler's model guides the rest."""

EDGE_SHARE = 0.02
"""Share of a range at either end that counts as its edge."""


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        trials: One row per trial: ``trial`` int64, ``total_reward`` float64 (training simulator,
            mean over regimes, NaN where training broke down), ``total_reward_<regime>`` where
            there are several, ``seconds`` float64, and the settings tried.
        settings: The best settings; the agent's present ones if no trial was better.
        total_reward: Reward of the best settings.
        at_edges: Searched fields whose best value lies at the edge of its space: a wider one may
            hold a better value.
    """

    trials: pd.DataFrame
    settings: AgentSettings
    total_reward: float
    at_edges: tuple[str, ...]


def search_settings(
    agent_name: str,
    settings: AgentSettings,
    *,
    rewards_of: Callable[[AgentSettings], Mapping[str, float]],
    config: SearchConfig,
    seed: int,
) -> SearchResult:
    """Try settings and keep the best.

    Args:
        agent_name: Registered name of the agent.
        settings: The present settings; they are the first trial and hold what is not searched.
        rewards_of: Trains an agent with the given settings and returns its Total Reward on the
            training simulator by regime.
        config: Budget.
        seed: Seed of the run; fixes which settings are tried.

    Raises:
        UserError: Training broke down in every trial.
    """
    space = settings.search_space
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(
        seed=derive_seed(seed, "training.search") % 2**32, n_startup_trials=TRIALS_BEFORE_MODEL
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.enqueue_trial(_present_values(space, settings))
    rows: list[dict[str, Any]] = []
    best, best_reward = settings, -math.inf
    with Progress(f"Searching {agent_name}", config.n_trials, unit="trials") as progress:
        for number in range(config.n_trials):
            trial = study.ask()
            tried = _with_values(settings, {name: _suggest(trial, name, space) for name in space})
            started = time.perf_counter()
            rewards = _attempt(tried, rewards_of)
            reward = sum(rewards.values()) / len(rewards) if rewards else math.nan
            study.tell(
                trial,
                None if math.isnan(reward) else reward,
                state=optuna.trial.TrialState.FAIL if math.isnan(reward) else None,
            )
            if reward > best_reward:
                best, best_reward = tried, reward
            seconds = time.perf_counter() - started
            values = {name: getattr(tried, name) for name in space}
            each = {f"total_reward_{regime}": value for regime, value in rewards.items()}
            row = {"trial": number, "total_reward": reward, **(each if len(each) > 1 else {})}
            rows.append({**row, "seconds": seconds, **values})
            progress.advance(1, reward=reward, best=best_reward)
    if best_reward == -math.inf:
        raise UserError(
            f"Training {agent_name} broke down in each of {config.n_trials} trials",
            where=f"agents.{agent_name}",
            remedy="Lower its learning_rate or raise search.n_trials.",
        )
    edges = tuple(name for name in space if _at_edge(space[name], getattr(best, name)))
    if edges:
        logger.warning(
            "The best %s of %s lies at the edge of its search space; a wider space in its "
            "settings model may hold a better one",
            ", ".join(edges),
            agent_name,
        )
    return SearchResult(pd.DataFrame(rows), best, best_reward, edges)


def proposed_parameters(agent_name: str, result: SearchResult) -> dict[str, Any]:
    """Return the searched settings in the form of ``conf``: ``{"agents": {name: {...}}}``."""
    values = {name: getattr(result.settings, name) for name in result.settings.search_space}
    return {"agents": {agent_name: values}}


def _attempt(
    settings: AgentSettings, rewards_of: Callable[[AgentSettings], Mapping[str, float]]
) -> Mapping[str, float]:
    """Return the rewards of settings, none when training with them breaks down."""
    try:
        return rewards_of(settings)
    except UserError as error:
        logger.warning("A trial was given up: %s", error)
        return {}


def _at_edge(part: Interval | Choice, value: Any) -> bool:
    """Whether a value lies at the edge of its space; an unordered choice has none."""
    if isinstance(part, Choice):
        return False
    scale = math.log if part.log else float
    low, high = scale(part.low), scale(part.high)
    share = (scale(value) - low) / (high - low)
    return not EDGE_SHARE <= share <= 1.0 - EDGE_SHARE


def _present_values(space: SearchSpace, settings: AgentSettings) -> dict[str, Any]:
    """Return the present values, moved into the space where they lie outside."""
    present = {}
    for name, part in space.items():
        value = getattr(settings, name)
        if isinstance(part, Interval):
            present[name] = min(max(value, part.low), part.high)
        elif value in part.values:
            present[name] = value
    return present


def _suggest(trial: optuna.Trial, name: str, space: SearchSpace) -> Any:
    part = space[name]
    if isinstance(part, Interval):
        return trial.suggest_float(name, part.low, part.high, log=part.log)
    return trial.suggest_categorical(name, part.values)


def _with_values(settings: AgentSettings, values: dict[str, Any]) -> AgentSettings:
    return type(settings).model_validate(settings.model_dump() | values)
