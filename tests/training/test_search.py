from __future__ import annotations

import math

import pytest

from hsrl_pipeline.config.agent import AGENT_NAMES, AgentsConfig
from hsrl_pipeline.config.agents.search_space import Choice, Interval
from hsrl_pipeline.config.agents.td3 import TD3Settings
from hsrl_pipeline.config.search import SearchConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.training.search import proposed_parameters, search_settings

SETTINGS = TD3Settings(learning_rate=1e-3, tau=0.03)


def distance(settings: TD3Settings) -> float:
    """Best at a learning rate of 3e-4 and 16 dimensions."""
    return -abs(math.log(settings.learning_rate / 3e-4)) - abs(settings.latent_size - 16) / 8


def search(rewards_of=lambda settings: {"repeats": distance(settings)}, n_trials=15, seed=0):
    config = SearchConfig(n_trials=n_trials)
    return search_settings("td3", SETTINGS, rewards_of=rewards_of, config=config, seed=seed)


def test_the_best_trial_is_kept_and_no_worse_than_the_present_settings() -> None:
    result = search()
    assert result.total_reward == result.trials["total_reward"].max()
    assert result.total_reward > distance(SETTINGS)
    best = result.trials.loc[result.trials["total_reward"].idxmax()]
    assert result.settings.learning_rate == best["learning_rate"]
    # what is not searched stays
    assert result.settings.tau == 0.03
    assert proposed_parameters("td3", result)["agents"]["td3"] == {
        name: getattr(result.settings, name) for name in TD3Settings.search_space
    }


def test_the_first_trial_has_the_present_settings() -> None:
    first = search(n_trials=1)
    assert first.trials["learning_rate"].tolist() == [1e-3]
    assert first.settings == SETTINGS


def test_a_seed_fixes_what_is_tried() -> None:
    tried = [search(seed=seed).trials["learning_rate"].tolist() for seed in (0, 0, 1)]
    assert tried[0] == tried[1] != tried[2]


def test_a_broken_trial_is_passed_over_and_only_broken_ones_are_refused() -> None:
    def break_down(settings: TD3Settings) -> dict[str, float]:
        if settings.latent_size != 16:
            raise UserError("Training td3 broke down")
        return {"repeats": distance(settings)}

    result = search(break_down)
    assert result.trials["total_reward"].isna().any()
    assert result.settings.latent_size == 16

    def always(settings: TD3Settings) -> dict[str, float]:
        raise UserError("Training td3 broke down")

    with pytest.raises(UserError, match="each of 2 trials"):
        search(always, n_trials=2)


def test_a_trial_counts_by_its_mean_over_regimes() -> None:
    def rewards_of(settings: TD3Settings) -> dict[str, float]:
        return {"repeats": 4.0 * distance(settings), "no_repeats": 2.0 * distance(settings)}

    result = search(rewards_of, n_trials=3)
    trials = result.trials
    assert (
        trials["total_reward_repeats"].tolist()
        == (2.0 * trials["total_reward_no_repeats"]).tolist()
    )
    assert trials["total_reward"].tolist() == pytest.approx(
        (1.5 * trials["total_reward_no_repeats"]).tolist()
    )
    assert "total_reward_repeats" not in search(n_trials=1).trials


def test_a_best_value_at_the_edge_of_its_space_is_named(caplog) -> None:
    assert search().at_edges == ()
    edge = TD3Settings.search_space["learning_rate"].high

    def rises(settings: TD3Settings) -> dict[str, float]:
        return {"repeats": -abs(math.log(settings.learning_rate / edge))}

    settings = TD3Settings(learning_rate=edge, exploration_noise_std=0.5)
    result = search_settings(
        "td3", settings, rewards_of=rises, config=SearchConfig(n_trials=2), seed=0
    )
    assert result.at_edges == ("learning_rate",)
    assert "learning_rate of td3 lies at the edge" in caplog.text


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_every_agent_has_a_space_of_valid_settings(name: str) -> None:
    settings = getattr(AgentsConfig(), name)
    space = settings.search_space
    assert 3 <= len(space) <= 4
    for field, part in space.items():
        assert isinstance(part, Interval | Choice)
        ends = (part.low, part.high) if isinstance(part, Interval) else part.values
        for value in ends:
            changed = type(settings).model_validate(settings.model_dump() | {field: value})
            assert getattr(changed, field) == value
