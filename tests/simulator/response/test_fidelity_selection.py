import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.simulator.response import fidelity_selection
from hsrl_pipeline.simulator.response.fidelity_selection import (
    JudgedRatings,
    check_selection,
    compare_samples,
    selection_metrics,
)

from .response_world import FAST, HISTORY, N_ITEMS, make_items, make_log, make_users

N_USERS = 60
LOG = make_log(N_USERS)


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(fidelity_selection, "N_RESAMPLES", 40)


def every_pair(propensity=0.3):
    return pd.DataFrame(
        {
            "user_index": np.repeat(np.arange(1, N_USERS + 1), N_ITEMS),
            "item_index": np.tile(np.arange(1, N_ITEMS + 1), N_USERS),
            "propensity": np.float32(propensity),
        }
    )


def check(propensities, config=FAST):
    return check_selection(
        LOG, make_users(N_USERS), make_items(), propensities, config, history_size=HISTORY, seed=0
    )


def ratings(log_odds, labels, chances, users=(1, 1, 2, 2)):
    return JudgedRatings(
        np.array(users), np.array(log_odds), np.array(labels, np.int8), np.array(chances)
    )


def test_samples_by_hand_without_and_with_weights():
    third = np.log(3.0)  # log-odds of 3/4
    chosen = ratings([third, third, -third, -third], [1, 0, 1, 0], [0.5, 0.25, 0.25, 0.5])
    drawn = ratings([third, third, -third, -third], [1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5])
    table = compare_samples(chosen, drawn, 2, seed=0).set_index(["sample", "weighting"])
    plain = table.loc["chosen", "none"]
    assert plain[["n_ratings", "effective_n_ratings"]].tolist() == [4, 4]
    assert plain[["click_rate_log", "click_rate_model", "auc", "ece"]].tolist() == pytest.approx(
        [0.5, 0.5, 0.5, 0.25]
    )
    # Weights 2, 4, 4, 2: at 3/4 a third of the weight is clicked, at 1/4 two thirds.
    weighted = table.loc["chosen", "inverse_propensity"]
    assert weighted["effective_n_ratings"] == pytest.approx(12**2 / (4 + 16 + 16 + 4))
    # Of clicked weight 2 + 4 and unclicked 4 + 2: wins 2 x 2, ties 2 x 4 and 4 x 2, each half.
    assert weighted["auc"] == pytest.approx((4 + 8) / 36)
    assert weighted["ece"] == pytest.approx(3 / 4 - 1 / 3)
    assert weighted["calibration_slope"] == pytest.approx(-np.log(2.0) / third)
    even = table.loc["drawn"]
    assert even.loc["none", "auc"] == even.loc["inverse_propensity", "auc"] == 1.0
    difference = table.loc["drawn_minus_chosen", "inverse_propensity"]
    assert difference["auc"] == pytest.approx(1.0 - 12 / 36)
    assert np.isnan(difference["n_ratings"])


def test_intervals_resample_users_and_not_ratings():
    # Both users answer alike, so whoever is picked, the figures are the same.
    same = ratings([1.0, -1.0, 1.0, -1.0], [1, 0, 1, 0], [0.5] * 4)
    table = compare_samples(same, same, 2, seed=0)
    for figure in ("click_rate_log", "auc", "ece"):
        for end in ("low", "high"):
            assert table[f"{figure}_ci_{end}"].tolist() == pytest.approx(table[figure].tolist())


def test_what_the_fit_has_seen_is_not_judged():
    table = check(every_pair()).set_index(["sample", "weighting"])
    shown = {name: set() for name in ("fitted", "chosen", "drawn")}
    latest = {int(user): np.flatnonzero(LOG.is_train & (LOG.users == user)) for user in LOG.users}
    n_drawn = 0
    for user, rows in latest.items():
        fitted = LOG.slates[rows[:-1]].ravel()  # 4 slates: a third of them, one, is held out
        own = LOG.slates[~LOG.is_train & (LOG.users == user)].ravel()
        n_drawn += (~np.isin(own, fitted)).sum()
        shown["fitted"].update(fitted)
    n_chosen = sum(
        (~np.isin(LOG.slates[rows[-1]], LOG.slates[rows[:-1]])).sum() for rows in latest.values()
    )
    assert table.loc["chosen", "none"]["n_ratings"] == n_chosen
    assert table.loc["drawn", "none"]["n_ratings"] == n_drawn
    # alike propensities weigh alike
    assert table.loc["chosen", "inverse_propensity"]["effective_n_ratings"] == pytest.approx(
        n_chosen
    )
    assert (table["auc"].drop("drawn_minus_chosen") > 0.6).all()
    metrics = selection_metrics(table.reset_index())
    assert metrics["simulator_selection_drawn_none_auc"] == table.loc["drawn", "none"]["auc"]


def test_badly_predicted_drawn_items_are_warned_of(caplog):
    check(every_pair(), FAST.model_copy(update={"calibration_warning": 0.0001}))
    assert "On items drawn at random, Psi_train's fit promises 0." in caplog.text


def test_pairs_without_propensity_are_left_out():
    pairs = every_pair()
    known = pairs[pairs["user_index"] <= 30]
    few, all_of_them = (check(table)["n_ratings"].max() for table in (known, pairs))
    assert 0 < few < 0.7 * all_of_them


@pytest.mark.parametrize(
    ("propensities", "config"),
    [
        (every_pair().iloc[:0], FAST),
        (every_pair(), FAST.model_copy(update={"kind": "constant"})),
    ],
)
def test_without_propensities_or_fit_the_table_is_empty(propensities, config):
    table = check(propensities, config)
    assert table.empty
    assert "auc_ci_high" in table.columns
    assert selection_metrics(table) == {}
