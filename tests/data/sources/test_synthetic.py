"""The synthetic log: reproducible, personal, and with a truth that its clicks follow."""

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.config.ingestion import SyntheticConfig
from hsrl_pipeline.data.sources.synthetic import make_events, make_population
from hsrl_pipeline.data.synthetic_truth import SyntheticTruth, true_click_probabilities
from hsrl_pipeline.errors import UserError

SMALL = SyntheticConfig(
    n_users=300, n_items=200, mean_events=60, taste_size=8, taste_strength=2.0, click_bias=-0.9
)
Population = tuple[SyntheticTruth, pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def population() -> Population:
    return make_population(SMALL, seed=0)


@pytest.fixture(scope="module")
def events(population: Population) -> pd.DataFrame:
    return make_events(SMALL, population[0], slate_size=10, seed=0)


def all_probabilities(truth: SyntheticTruth) -> np.ndarray:
    users = np.arange(len(truth.tastes))
    items = np.tile(np.arange(len(truth.profiles)), (len(users), 1))
    return true_click_probabilities(truth, users, items)


def test_the_same_seed_gives_the_same_log_and_another_seed_does_not(
    population: Population, events: pd.DataFrame
) -> None:
    truth, users, items = make_population(SMALL, seed=0)
    pd.testing.assert_frame_equal(users, population[1])
    pd.testing.assert_frame_equal(items, population[2])
    pd.testing.assert_frame_equal(make_events(SMALL, truth, 10, seed=0), events)
    assert not make_events(SMALL, truth, 10, seed=1).equals(events)


def test_probability_is_the_documented_formula() -> None:
    truth = SyntheticTruth(
        tastes=np.array([[1, 0]], np.float32),
        profiles=np.array([[1, 0], [0, 1]], np.float32),
        quality=np.array([0.5, 0], np.float32),
        mood=np.array([0.25], np.float32),
        bias=-1.0,
        strength=2.0,
    )
    expected = 1 / (1 + np.exp(-np.array([-1 + 2 + 0.5 + 0.25, -1 + 0.25])))
    np.testing.assert_allclose(true_click_probabilities(truth, [0], [[0, 1]])[0], expected, 1e-6)
    with pytest.raises(ValueError, match="items has shape"):
        true_click_probabilities(truth, [0, 0], [[0, 1]])


def test_slates_are_chronological_without_repeats_or_overlap(events: pd.DataFrame) -> None:
    assert events["timestamp"].is_monotonic_increasing
    for _, own in events.groupby("user_id"):
        assert len(own) % 10 == 0
        assert own["timestamp"].diff().dropna().min() >= 30
        for start in range(0, len(own), 10):
            assert own["item_id"].iloc[start : start + 10].is_unique


def test_clicks_follow_the_truth(population: Population, events: pd.DataFrame) -> None:
    p = true_click_probabilities(
        population[0], events["user_id"].to_numpy(), events[["item_id"]].to_numpy()
    )[:, 0]
    for low in np.arange(0, 1, 0.2):
        inside = (p >= low) & (p < low + 0.2)
        if inside.sum() > 300:
            tolerance = 4 * np.sqrt(p[inside].mean() * (1 - p[inside].mean()) / inside.sum())
            assert abs(events["label"][inside].mean() - p[inside].mean()) < tolerance


def test_popularity_is_skewed_and_taste_pays(population: Population, events: pd.DataFrame) -> None:
    shown = np.sort(events["item_id"].value_counts().to_numpy())[::-1]
    assert shown[: len(shown) // 10].sum() / shown.sum() > 0.2
    p = all_probabilities(population[0])
    static = p[:, np.argsort(-p.mean(axis=0))[:10]].mean()
    personal = np.sort(p, axis=1)[:, -10:].mean()
    segments = population[1]["category_segment"].to_numpy()
    by_segment = np.mean(
        [
            p[user][np.argsort(-p[segments == segments[user]].mean(axis=0))[:10]].mean()
            for user in range(len(p))
        ]
    )
    assert p.mean() + 0.15 < static < by_segment - 0.03
    assert by_segment < personal - 0.05


def test_history_tells_taste_beyond_the_segment(
    population: Population, events: pd.DataFrame
) -> None:
    truth, users, _ = population
    liked = events[events["label"] == 1].groupby("user_id")["item_id"].apply(list)
    profile = np.stack(
        [truth.profiles[liked[user]].mean(axis=0) for user in range(SMALL.n_users) if user in liked]
    )
    rows = np.array([user for user in range(SMALL.n_users) if user in liked])
    segment = users["category_segment"].to_numpy()[rows]
    centre = np.stack([truth.tastes[rows][segment == s].mean(axis=0) for s in segment])
    residual_taste = truth.tastes[rows] - centre
    own_centre = np.stack([profile[segment == s].mean(axis=0) for s in segment])
    residual_profile = profile - own_centre
    correlation = np.corrcoef(residual_taste.ravel(), residual_profile.ravel())[0, 1]
    assert correlation > 0.3


def test_truth_is_aligned_with_canonical_indices(population: Population) -> None:
    truth = population[0]
    users = pd.DataFrame({"user_index": [2, 1], "user_id": ["7", "3"]})
    items = pd.DataFrame({"item_index": [1, 2, 3], "item_id": ["5", "0", "9"]})
    aligned = truth.aligned(users, items)
    np.testing.assert_array_equal(
        true_click_probabilities(aligned, [1, 2], [[1, 3], [2, 2]]),
        true_click_probabilities(truth, [3, 7], [[5, 9], [0, 0]]),
    )


def test_truth_survives_a_checkpoint_and_real_logs_have_none(population: Population) -> None:
    truth = population[0]
    again = SyntheticTruth.from_checkpoint(truth.to_checkpoint())
    np.testing.assert_array_equal(again.tastes, truth.tastes)
    assert (again.bias, again.strength) == (truth.bias, truth.strength)
    with pytest.raises(UserError, match="true click probabilities of this dataset are unknown"):
        SyntheticTruth.from_checkpoint({"config": {}, "state": {}})
