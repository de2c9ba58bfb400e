from dataclasses import replace

import numpy as np
import pytest

from hsrl_pipeline.config.simulator import UserTasteConfig
from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.simulator.response.taste_fitting import (
    TasteFit,
    hold_out_latest,
    hold_out_visits,
)

from .response_world import N_ITEMS, make_log

N_USERS = 200


def make_fit(**settings):
    return TasteFit(UserTasteConfig(size=2, **settings), N_USERS + 1, N_ITEMS, 0)


def noise(seed=0):
    """Return a log whose users answer by the toss of a coin."""
    log = make_log(slates_each=12)
    labels = np.random.default_rng(seed).integers(0, 2, log.labels.shape)
    return replace(log, labels=labels.astype(np.int8))


def tiny_log(users, times):
    rows = len(users)
    zeros = np.zeros(rows, np.int64)
    return SlateLog(
        np.ones((rows, 1), np.int32),
        np.ones((rows, 1), np.int8),
        np.array(users, np.int32),
        np.array(times, np.int64),
        np.ones(rows, bool),
        zeros,
        zeros,
        np.zeros(0, np.int32),
    )


@pytest.fixture(scope="module")
def camps():
    log = make_log(slates_each=12)
    fit = make_fit()
    report = fit.choose(log)
    return log, fit, report


def test_the_last_of_several_visits_is_held_out():
    log = tiny_log([2, 1, 1, 1, 2, 3, 1], [5, 0, 1, 50, 6, 9, 90])
    assert hold_out_visits(log, 10.0).tolist() == [False] * 6 + [True]
    assert hold_out_visits(log, 45.0).tolist() == [False, False, False, True, False, False, True]
    assert not hold_out_visits(log, 100.0).any()


def test_the_latest_rows_are_held_out_but_never_all():
    log = tiny_log([1, 1, 1, 2, 3, 3], [3, 1, 2, 7, 9, 8])
    assert hold_out_latest(log, 0.1).tolist() == [True, False, False, False, True, False]
    assert hold_out_latest(log, 0.9).tolist() == [True, False, True, False, True, False]


def test_real_tastes_are_found_and_count_in_full(camps):
    _, _, report = camps
    assert report.held_out == "latest"
    assert report.log_loss < report.log_loss_without - 0.15
    assert 0.8 < report.vector_scale < 1.6


def test_noise_is_no_taste_although_it_can_be_learned_by_heart():
    log = noise()
    report = make_fit().choose(log)
    assert report.log_loss > report.log_loss_without - 0.003
    # In sample the same tastes look like knowledge.
    assert report.log_loss_in_sample < report.log_loss


def test_a_row_is_not_explained_by_itself():
    log = noise(1)
    fit = make_fit()
    free = make_fit().choose(log)._replace(precision=3.0, vector_scale=1.0, bias_scale=1.0)
    surprise = (log.labels - log.labels.mean()).ravel()
    in_sample = fit.fit(log, free).log_odds(log).ravel()
    crossed = fit.cross_fit(log, free).ravel()
    assert np.corrcoef(in_sample, surprise)[0, 1] > 0.2
    assert np.corrcoef(crossed, surprise)[0, 1] < 0.03


def test_a_users_only_row_has_no_taste_beside_it(camps):
    log, fit, report = camps
    first = make_log(slates_each=12).select(np.arange(N_USERS))
    both = log.select(np.arange(len(log)) % N_USERS != 0)
    alone = replace(first.select(np.array([0])), timestamps=np.array([10**6]))
    mixed = both.select(np.r_[np.arange(len(both)), 0])
    mixed.slates[-1], mixed.labels[-1] = alone.slates[0], alone.labels[0]
    mixed.users[-1] = alone.users[0]
    free = report._replace(precision=3.0, vector_scale=1.0, bias_scale=1.0)
    personal = fit.cross_fit(mixed, free)
    assert np.abs(personal[-1]).max() == 0.0
    assert np.abs(personal[:-1]).max(axis=1).min() > 0.0


def test_tastes_of_users_without_rows_are_the_prior(camps):
    log, fit, report = camps
    tastes = fit.fit(log.select(log.users > 3), report)
    assert not tastes.tastes[:4].any()
    assert tastes.tastes[4:].any(axis=1).all()
    again = tastes.inferred_from(log)
    assert again.tastes[1:].any(axis=1).all()
    assert again.items is tastes.items


def test_a_log_without_a_second_row_of_anybody_knows_no_taste():
    log = make_log(slates_each=1)
    report = make_fit().choose(log)
    assert report.held_out == "none"
    assert (report.vector_scale, report.bias_scale) == (0.0, 0.0)
    assert not make_fit().fit(log, report).log_odds(log).any()
