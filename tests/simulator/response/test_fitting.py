from dataclasses import replace

import numpy as np
import pytest
import torch

from hsrl_pipeline.data.slate_log import split_latest
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.simulator.response import fitting
from hsrl_pipeline.simulator.response.fidelity_metrics import area_under_curve, sigmoid
from hsrl_pipeline.simulator.response.fitting import (
    HoldoutReport,
    ResponseProblem,
    fit_response_model,
)

from .response_world import (
    COLD_ITEM,
    FAST,
    HISTORY,
    make_items,
    make_log,
    make_users,
    true_probabilities,
)


def make_problem(*, users=None, items=None, **overrides):
    return ResponseProblem(
        users=users or make_users(),
        items=items or make_items(),
        history_size=HISTORY,
        config=FAST.model_copy(update=overrides),
        seed=0,
    )


def fit(problem, log=None, *, stream="simulator_train", refit=False, on_epoch=None):
    return fit_response_model(
        problem,
        log or make_log().train,
        stream,
        refit=refit,
        on_epoch=on_epoch or (lambda epoch, figures: None),
    )[:2]


@pytest.fixture(scope="module")
def fitted():
    curves = []
    model, report = fit(make_problem(), on_epoch=lambda *point: curves.append(point))
    return model, report, curves


def test_a_fitted_model_knows_the_truth(fitted):
    model, report, _ = fitted
    test = make_log().test
    log_odds = make_problem().rows(test).log_odds(model)
    truth = true_probabilities(test.users, test.slates)
    assert area_under_curve(log_odds, test.labels) > 0.8
    assert np.abs(sigmoid(log_odds) - truth).mean() < 0.06
    assert 0.8 < report.auc < 0.9


def test_a_cold_item_is_judged_by_its_content(fitted):
    test = make_log().test
    cold = test.slates == COLD_ITEM
    predicted = sigmoid(make_problem().rows(test).log_odds(fitted[0]))[cold]
    likes = true_probabilities(test.users, test.slates)[cold] > 0.5
    assert predicted[likes].min() > 0.6
    assert predicted[~likes].max() < 0.4


def test_taste_is_read_from_the_history_alone():
    problem = make_problem(
        users=make_users(known_camp=False),
        items=make_items(content=False),
        max_epochs=12,
        patience=12,
    )
    log = make_log()
    model, _ = fit(problem, log.train)
    later = log.test.select(log.test.history_end - log.test.history_start > 3)
    known = later.slates != COLD_ITEM
    log_odds = problem.rows(later).log_odds(model)
    assert area_under_curve(log_odds[known], later.labels[known]) > 0.75


def test_a_fit_does_not_depend_on_the_number_of_cores(monkeypatch):
    seen = []

    def measure(n_epochs, *_):
        seen.append(torch.get_num_threads())
        return HoldoutReport(n_epochs, 1, 0.5, 0.5, 0.0, 0.5, 0.5, 1.0, 0.0)

    monkeypatch.setattr(fitting.HoldoutReport, "measure", measure)
    before = torch.get_num_threads()
    states = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            states.append(fit(make_problem(max_epochs=1))[0].state_dict())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1]
    one, two = states
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_every_epoch_is_reported_once(fitted):
    _, report, curves = fitted
    assert [epoch for epoch, _ in curves] == list(range(1, len(curves) + 1))
    best = min(curves, key=lambda point: point[1]["holdout_log_loss"])
    assert report.n_epochs == best[0]
    assert report.log_loss == best[1]["holdout_log_loss"]
    assert report.auc == best[1]["holdout_auc"]


def test_fitting_stops_after_patience_and_keeps_the_best_epoch(monkeypatch):
    losses = iter([0.6, 0.5, 0.55, 0.56, 0.1])
    seen = []

    def measure(n_epochs, log_odds, *_):
        seen.append(log_odds)
        return HoldoutReport(n_epochs, 1, next(losses), 0.5, 0.0, 0.5, 0.5, 1.0, 0.0)

    monkeypatch.setattr(fitting.HoldoutReport, "measure", measure)
    problem = make_problem(patience=2, max_epochs=5)
    log = make_log().train
    model, report = fit(problem, log)
    assert len(seen) == 4
    assert report.n_epochs == 2
    _, held_out = split_latest(log, problem.config.holdout_fraction)
    assert (problem.rows(held_out).log_odds(model) == seen[1]).all()


def test_calibration_is_that_of_the_held_out_rows(fitted):
    model, report, _ = fitted
    assert float(model.calibration_scale) == pytest.approx(report.scale)
    assert float(model.calibration_shift) == pytest.approx(report.shift)
    raw, _ = fit(make_problem(calibrate=False))
    assert (float(raw.calibration_scale), float(raw.calibration_shift)) == (1.0, 0.0)


def test_a_refit_sees_all_rows_and_is_not_calibrated(fitted):
    log = make_log().train
    model, report = fit(make_problem(), log, refit=True)
    assert report == fitted[1]  # the first fit is the same
    assert float(model.calibration_scale) == 1.0
    shown = torch.as_tensor(np.unique(log.slates).astype(np.int64))
    assert model.items.seen[shown].all()
    assert not torch.equal(model.items.bias, fitted[0].items.bias)


def test_statistics_come_from_fitting_rows_alone(fitted):
    assert not fitted[0].items.seen[COLD_ITEM]
    assert not fitted[0].items.seen[0]


def test_the_same_seed_gives_the_same_weights_bit_for_bit(fitted):
    torch.manual_seed(99)  # the caller's random state must not matter, nor be changed
    before = torch.random.get_rng_state()
    again, report = fit(make_problem())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert report == fitted[1]
    for name, tensor in fitted[0].state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_another_stream_gives_another_model(fitted):
    other, _ = fit(make_problem(max_epochs=1), stream="simulator_eval")
    assert not torch.equal(other.base_user, fitted[0].base_user)


def test_models_are_handed_over_in_evaluation_mode(fitted):
    assert not fitted[0].training


def test_a_diverging_fit_says_what_to_lower():
    users = make_users()
    huge = replace(users, dense=np.full((len(users.categories), 1), 1e38, np.float32))
    with pytest.raises(UserError, match=r"not finite.*Lower simulator\.learning_rate"):
        fit(make_problem(users=huge))
