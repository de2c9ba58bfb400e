import pytest
from pydantic import ValidationError

from hsrl_pipeline.config.agent import REFERENCE_NAMES, AgentsConfig
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig


def test_defaults_are_those_of_the_protocol():
    session, reward, candidates = SessionConfig(), RewardConfig(), CandidatesConfig()
    assert (session.horizon, session.initial_patience, session.history_size) == (20, 20.0, 50)
    assert (reward.miss_penalty, reward.sweet_point) == (0.2, None)
    assert not (candidates.exclude_shown or candidates.enforce_shelves)
    assert candidates.frequency_cap is None
    assert session.history == "clicks"


def test_what_is_kept_of_a_session_names_a_history_of_responses_alone():
    """Checkpoints of versions without the choice must go on being those of the same run."""
    assert "history" not in SessionConfig().as_recorded()
    assert SessionConfig(history="responses").as_recorded()["history"] == "responses"


@pytest.mark.parametrize(
    ("values", "showings"),
    [
        ({}, None),
        ({"exclude_shown": True}, 1),
        ({"frequency_cap": 3}, 3),
        ({"exclude_shown": True, "frequency_cap": 3}, 1),
    ],
)
def test_showings_follow_from_both_rules(values, showings):
    assert CandidatesConfig(**values).showings == showings


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (SessionConfig, {"horizon": 0}),
        (SessionConfig, {"initial_patience": 0.5}),
        (SessionConfig, {"initial_patience": float("inf")}),
        (SessionConfig, {"history": 50}),
        (SessionConfig, {"history": "skips"}),
        (RewardConfig, {"miss_penalty": 1.1}),
        (RewardConfig, {"miss_penalty": float("nan")}),
        (RewardConfig, {"sweet_spot": 0.9}),
        (CandidatesConfig, {"exclude_shown": "perhaps"}),
        (CandidatesConfig, {"frequency_cap": 0}),
        (EvaluationConfig, {"n_episodes": 0}),
        (EvaluationConfig, {"split": "dev"}),
        (EvaluationConfig, {"compare_with": "nobody"}),
        (EvaluationConfig, {"n_resample": 100}),
    ],
)
def test_misspelt_and_impossible_values_are_refused(model, values):
    with pytest.raises(ValidationError):
        model(**values)


@pytest.mark.parametrize("name", [*REFERENCE_NAMES, *AgentsConfig.model_fields])
def test_every_policy_may_be_compared_with(name):
    assert EvaluationConfig(compare_with=name).compare_with == name


@pytest.mark.parametrize("values", [{}, {"exclude_shown": True}, {"frequency_cap": 1}])
@pytest.mark.parametrize("regime", ["repeats", "no_repeats"])
def test_the_same_rules_in_another_regime(values, regime):
    rules = CandidatesConfig(**values, enforce_shelves=True)
    changed = rules.in_regime(regime)
    assert (changed.regime, changed.enforce_shelves) == (regime, True)
    assert (changed is rules) == (rules.regime == regime)
    assert CandidatesConfig(frequency_cap=3).in_regime("repeats").frequency_cap == 3
