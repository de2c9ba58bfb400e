"""Rollouts, references and figures under a catalogue that moves."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hsrl_pipeline.catalogue import LiveCatalogue
from hsrl_pipeline.config.session import CandidatesConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.evaluation.catalogue_metrics import catalogue_metrics
from hsrl_pipeline.evaluation.live_references import (
    live_references,
    live_selector,
    static_slate_of_launch,
)
from hsrl_pipeline.evaluation.moving_policies import ReferencesOfChange
from hsrl_pipeline.evaluation.references import GreedyPolicy, ItemScorePolicy, fit_static_slate
from hsrl_pipeline.evaluation.rollouts import evaluate_policy
from hsrl_pipeline.evaluation.session_records import SessionRecords

from .conftest import N_ITEMS, SLATE, FixedPolicy, TableResponse, make_setting, taste_table

ROWS = np.arange(N_ITEMS + 1)


def make_catalogue(live: list[int], published: list[int] | None = None) -> LiveCatalogue:
    known = np.isin(ROWS, published or live)
    codes = np.where(known[:, None], 0, -1)
    return LiveCatalogue(np.isin(ROWS, live), np.zeros((N_ITEMS + 1, 2), np.float32), codes)


EVERYTHING = make_catalogue(list(range(1, N_ITEMS + 1)))
LAUNCH = make_catalogue([1, 2, 3, 4, 5, 6, 7, 8])
NOW = make_catalogue([2, 3, 5, 7, 8, 9, 10, 11], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
APPEAL = [0.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.95, 0.85, 0.99]


def appeal() -> TableResponse:
    """Item 12 is best and never published; then 10, 1, 11, 2, 3, ..."""
    return TableResponse(torch.tensor(APPEAL).logit().expand(3, -1))


def top_of(policy: ItemScorePolicy) -> list[int]:
    observation = make_setting().pool.observation(torch.tensor([0]))
    return policy.act(observation, explore=False).slates[0].tolist()


def test_a_slate_that_is_not_live_is_refused() -> None:
    setting = make_setting(10, catalogue=NOW)
    with pytest.raises(ValueError, match=r"slates\[0, 2\] is 4, which is not live"):
        evaluate_policy(FixedPolicy([2, 3, 4]), appeal(), setting)
    few = make_setting(10, catalogue=make_catalogue([1, 2]))
    with pytest.raises(UserError, match="A slate takes 3 different items from a set of 2 live"):
        evaluate_policy(FixedPolicy([1, 2, 3]), appeal(), few)


def test_a_catalogue_of_all_items_changes_no_figure() -> None:
    records = [
        evaluate_policy(
            FixedPolicy([1, 7, 2]),
            TableResponse(taste_table(), boredom=2.0),
            make_setting(100, catalogue=catalogue),
        )
        for catalogue in (None, EVERYTHING)
    ]
    for name in ("rewards", "exposures", "item_clicks", "users"):
        np.testing.assert_array_equal(*(getattr(one, name) for one in records))


def test_policies_see_published_items_alone_and_users_stay_who_they_are() -> None:
    """Boredom with items clicked before depends on the whole history, whatever policies see."""
    response = TableResponse(taste_table(), boredom=2.0)
    policy, same = FixedPolicy([2, 3, 5]), FixedPolicy([2, 3, 5])
    plain = evaluate_policy(same, response, make_setting(100))
    moving = evaluate_policy(policy, response, make_setting(100, catalogue=NOW))
    np.testing.assert_array_equal(plain.rewards, moving.rewards)
    assert any(bool((seen.history == 12).any()) for seen in same.seen)
    assert not any(bool((seen.history == 12).any()) for seen in policy.seen)
    assert any(bool((seen.history == 4).any()) for seen in policy.seen)


def test_greedy_with_the_knowledge_of_all_goes_by_what_it_may_not_know() -> None:
    setting = make_setting(50, catalogue=NOW)
    seen = {}
    for published_only in (False, True):
        response = appeal()
        policy = GreedyPolicy(
            "greedy", live_selector(setting.sessions, NOW), response, published_only=published_only
        )
        histories = []
        scores_all = response.scores_all
        response.scores_all = lambda o, h=histories, f=scores_all: (h.append(o.history), f(o))[1]
        evaluate_policy(policy, appeal(), setting)
        seen[published_only] = torch.cat([history.flatten() for history in histories])
    assert bool((seen[False] == 12).any()) and not bool((seen[True] == 12).any())


def test_references_show_live_items_and_know_what_they_may() -> None:
    setting = make_setting(60, catalogue=LAUNCH)
    fitted = fit_static_slate(appeal(), live_selector(setting.sessions, LAUNCH), setting)
    now = replace(setting, catalogue=NOW)
    clicks = np.zeros(N_ITEMS + 1, np.int64)
    clicks[[1, 9, 5, 8, 12]] = [9, 8, 7, 6, 9]
    policies = {
        policy.name: policy
        for policy in live_references(
            appeal(), clicks, LAUNCH, fitted, now, same_knowledge=appeal()
        )
    }
    assert list(policies) == [
        "random",
        "popular",
        "static_slate",
        "static_slate_full_knowledge",
        "greedy_same_knowledge",
        "greedy_full_knowledge",
    ]
    new = np.isin(ROWS, [9, 10, 11])
    share = {}
    for name, policy in policies.items():
        records = evaluate_policy(policy, appeal(), now)
        figures = catalogue_metrics(records, NOW, new)
        assert figures["released_item_slots"] == 0.0
        share[name] = figures["new_item_share"]
    assert top_of(policies["popular"]) == [9, 5, 8]
    assert top_of(policies["static_slate"]) == [2, 3, 5]
    assert top_of(policies["static_slate_full_knowledge"]) == [10, 11, 2]
    assert top_of(policies["greedy_full_knowledge"]) == [10, 11, 2]
    assert share["static_slate"] == 0.0 and share["greedy_full_knowledge"] == pytest.approx(2 / 3)
    assert 0.0 < share["random"] < 1.0
    with pytest.raises(ValueError, match="need a setting with a catalogue"):
        live_references(appeal(), clicks, LAUNCH, fitted, make_setting())


def test_unranked_items_come_after_the_ranked_ones_in_the_order_of_launch() -> None:
    sessions = make_setting().sessions
    fitted = ItemScorePolicy("static_slate", live_selector(sessions, LAUNCH), torch.tensor(APPEAL))
    few = make_catalogue([3, 8, 9, 10, 11], list(range(1, 12)))
    order = static_slate_of_launch(fitted, LAUNCH, live_selector(sessions, few))
    assert top_of(order) == [3, 8, 9]
    shown = make_setting().pool.observation(torch.tensor([0]))
    shown = shown._replace(shown=torch.tensor([[3, 9]]))
    assert order.act(shown, explore=False).slates.tolist() == [[8, 10, 11]]


def test_no_repeats_under_a_live_set() -> None:
    candidates = CandidatesConfig(exclude_shown=True)
    setting = make_setting(30, catalogue=NOW, candidates=candidates)
    horizon = setting.sessions.session.model_copy(update={"horizon": 2})
    setting = replace(setting, sessions=replace(setting.sessions, session=horizon))
    policy = GreedyPolicy("greedy", live_selector(setting.sessions, NOW), appeal())
    records = evaluate_policy(policy, appeal(), setting)
    assert records.repeated.sum() == 0 and not records.exposures[~NOW.live].any()


def test_figures_by_hand() -> None:
    records = SessionRecords(
        users=np.array([1]),
        rewards=np.array([[0.4, 1.0]]),
        clicks=np.array([3]),
        exposures=np.array([0, 0, 2, 1, 0, 3, *[0] * 7]),
        item_clicks=np.array([0, 0, 1, 0, 0, 2, *[0] * 7]),
        repeated=np.array([0]),
        similarity=np.array([0.0]),
        slate_size=SLATE,
    )
    assert catalogue_metrics(records, make_catalogue([2, 3, 5]), np.isin(ROWS, [5, 7])) == {
        "new_item_share": 0.5,
        "new_item_click_rate": pytest.approx(2 / 3),
        "old_item_click_rate": pytest.approx(1 / 3),
        "released_item_slots": 0.0,
    }
    figures = catalogue_metrics(records, make_catalogue([2, 3]), np.isin(ROWS, [7]))
    assert np.isnan(figures["new_item_click_rate"]) and figures["released_item_slots"] == 3.0


def test_popular_counts_the_clicks_of_sessions_under_earlier_versions() -> None:
    """Item 10 arrives with the first change: nobody has clicked it then, many have afterwards."""
    versions = (LAUNCH, make_catalogue([1, 2, 3, 4, 10], list(range(1, 11))), NOW)
    clicks = np.zeros(N_ITEMS + 1, np.int64)
    clicks[[1, 2, 3]] = [3, 2, 1]
    setting = make_setting(200)

    def references() -> ReferencesOfChange:
        world = SimpleNamespace(versions=versions)
        return ReferencesOfChange(world, appeal(), None, setting, clicks, fit_best_now=False)

    made = references()
    orders = [made.get(change, "popular").scores.argsort(descending=True) for change in (0, 1, 2)]
    assert orders[0][:3].tolist() == [1, 2, 3]
    # at launch items 1 to 8 are shown alike, and clicked the more the lower their number
    assert orders[1][:3].tolist() == [1, 2, 3] and int((orders[1] == 10).nonzero()) > 7
    assert int((orders[2] == 10).nonzero()) < 4
    assert int((orders[2] == 11).nonzero()) > 8
    # whatever was asked for before
    assert torch.equal(references().get(2, "popular").scores, made.get(2, "popular").scores)
