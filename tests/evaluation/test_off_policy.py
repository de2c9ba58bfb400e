"""Off-policy estimates against values by hand and against known click probabilities."""

import numpy as np
import pytest

from hsrl_pipeline.evaluation.off_policy import LoggedChoices, estimate_click_rate

N_ITEMS = 5
RESAMPLES = {"largest_weight": None, "n_resamples": 200, "seed": 0}


def by_hand():
    """Two users: one with two rounds of two draws each, the other with one."""
    return LoggedChoices(
        round_users=np.array([4, 9, 4]),
        round_values=np.array([0.5, 0.2, 0.3]),
        slots=2,
        events=np.array([0, 0, 1, 1, 2, 2]),
        clicks=np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0]),
        propensities=np.array([0.5, 0.25, 0.1, 0.5, 0.5, 0.2]),
        target=np.array([0.5, 0.0, 0.5, 0.0, 0.5, 0.5]),
        modelled=np.array([0.8, 0.1, 0.4, 0.5, 0.2, 0.6]),
    )


def test_estimates_by_hand():
    # weights 1, 0, 5, 0, 1, 2.5; six draws
    table = estimate_click_rate(by_hand(), **RESAMPLES).set_index("estimator")
    assert table.value["direct"] == pytest.approx((0.5 + 0.2 + 0.3) / 3)
    assert table.value["ips"] == pytest.approx((1 + 5 + 2.5) / 6)
    assert table.value["snips"] == pytest.approx((1 + 5 + 2.5) / 9.5)
    residual = 1 * 0.2 + 5 * 0.6 - 1 * 0.2 + 2.5 * 0.4
    assert table.value["doubly_robust"] == pytest.approx(1 / 3 + residual / 6)
    assert table.effective_sample_size["ips"] == pytest.approx(9.5**2 / (1 + 25 + 1 + 6.25))
    assert table.largest_weight["ips"] == 5.0
    assert table.share_clipped["ips"] == 0.0
    assert (table.n_users["ips"], table.n_events["ips"], table.n_agreeing["ips"]) == (2, 6, 4)


def test_clipped_weights_by_hand():
    table = estimate_click_rate(by_hand(), **(RESAMPLES | {"largest_weight": 2.0}))
    table = table.set_index("estimator")
    assert table.value["ips"] == pytest.approx((1 + 2 + 2) / 6)
    assert table.share_clipped["ips"] == pytest.approx(2 / 4)
    assert table.largest_weight["ips"] == 5.0


def test_users_are_resampled_whole():
    # with two users a resample has one, the other or both: nothing lies in between
    table = estimate_click_rate(by_hand(), **RESAMPLES).set_index("estimator")
    assert table.ci_low["snips"] == pytest.approx(3.5 / 4.5)
    assert table.ci_high["snips"] == pytest.approx(1.0)


def test_a_policy_that_never_agrees_with_the_log_has_no_self_normalised_estimate():
    choices = by_hand()
    nowhere = LoggedChoices(**{**vars(choices), "target": np.zeros(6)})
    table = estimate_click_rate(nowhere, **RESAMPLES).set_index("estimator")
    assert table.value["ips"] == 0.0
    assert table.loc["snips", ["value", "ci_low", "ci_high"]].isna().all()
    assert table.value["doubly_robust"] == table.value["direct"]
    assert table.effective_sample_size["ips"] == 0.0
    assert table.n_agreeing["ips"] == 0


def made_log(seed, clicks_known=0.7, n_rounds=4000):
    """Return one draw per round from known propensities, and the target's true click rate."""
    rng = np.random.default_rng(seed)
    truth = np.array([0.1, 0.3, 0.5, 0.2, 0.7])
    target = np.array([0.1, 0.1, 0.2, 0.1, 0.5])
    chances = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    shown = rng.choice(N_ITEMS, n_rounds, p=chances)
    model = clicks_known * truth + (1 - clicks_known) * 0.3  # right in order, wrong in size
    return LoggedChoices(
        round_users=np.arange(n_rounds) // 4,
        round_values=np.full(n_rounds, target @ model),
        slots=1,
        events=np.arange(n_rounds),
        clicks=(rng.random(n_rounds) < truth[shown]).astype(float),
        propensities=chances[shown],
        target=target[shown],
        modelled=model[shown],
    ), float(target @ truth)


def test_all_but_the_direct_estimate_are_unbiased_and_the_doubly_robust_one_varies_least():
    found = []
    for seed in range(40):
        choices, truth = made_log(seed)
        table = estimate_click_rate(choices, **(RESAMPLES | {"n_resamples": 100}))
        found.append(table.set_index("estimator"))
    values = {name: np.array([t.value[name] for t in found]) for name in found[0].index}
    for name in ("ips", "snips", "doubly_robust"):
        error = values[name].std(ddof=1) / np.sqrt(len(found))
        assert abs(values[name].mean() - truth) < 3 * error
        covered = [t.ci_low[name] <= truth <= t.ci_high[name] for t in found]
        assert np.mean(covered) >= 0.8
    assert abs(values["direct"].mean() - truth) > 0.03
    assert values["doubly_robust"].std() < 0.8 * values["ips"].std()


def test_the_log_is_worth_fewer_events_the_further_the_target_is_from_it():
    choices, _ = made_log(0)
    sizes = estimate_click_rate(choices, **RESAMPLES).effective_sample_size
    same = LoggedChoices(**{**vars(choices), "target": choices.propensities})
    assert sizes[1] < 0.5 * len(choices.events)
    own = estimate_click_rate(same, **RESAMPLES).set_index("estimator")
    assert own.effective_sample_size["ips"] == pytest.approx(len(choices.events))
    assert own.value["ips"] == pytest.approx(choices.clicks.mean())
