import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.shapes import PAD_ID
from hsrl_pipeline.simulator.dynamics import (
    SessionRules,
    append_clicks,
    append_shown,
    session_end,
    spend_patience,
)


def make_rules(
    slate_size, *, horizon=20, penalty=0.2, sweet_point=None, exclude_shown=False, cap=None
):
    return SessionRules(
        SessionConfig(horizon=horizon, history_size=5),
        RewardConfig(miss_penalty=penalty, sweet_point=sweet_point),
        CandidatesConfig(exclude_shown=exclude_shown, frequency_cap=cap),
        slate_size,
    )


def new_user(batch=1, history_size=5):
    return Observation(
        torch.zeros(batch, 1, dtype=torch.int64),
        torch.zeros(batch, 0),
        torch.zeros(batch, history_size, dtype=torch.int64),
        torch.zeros(batch, dtype=torch.int64),
    )


def play(rules, n_clicks):
    """Return (total reward, steps, last outcome) of one user who clicks so often every step."""
    state = rules.start(new_user())
    slates = torch.arange(1, rules.slate_size + 1)[None]
    clicks = (torch.arange(rules.slate_size) < n_clicks).float()[None]
    total = 0.0
    for steps in range(1, 1000):
        outcome = rules.advance(state, slates, clicks)
        total += float(outcome.reward)
        state = outcome.state
        if bool(outcome.terminated | outcome.truncated):
            return total, steps, outcome
    raise AssertionError("the session never ends")


def test_clicked_items_follow_the_history_in_slate_order():
    history = torch.tensor([[0, 0, 7, 8], [1, 2, 3, 4], [0, 0, 0, 0]])
    slates = torch.tensor([[11, 12, 13], [11, 12, 13], [11, 12, 13]])
    clicks = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    assert append_clicks(history, slates, clicks).tolist() == [
        [7, 8, 11, 13],
        [1, 2, 3, 4],
        [0, 11, 12, 13],
    ]


def test_a_slate_longer_than_the_window_keeps_the_last_clicks():
    history = torch.tensor([[5, 6]])
    slates = torch.tensor([[11, 12, 13, 14]])
    assert append_clicks(history, slates, torch.ones(1, 4)).tolist() == [[13, 14]]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_history_rule_equals_list_concatenation(data):
    size = data.draw(st.integers(1, 7))
    past = data.draw(st.lists(st.integers(1, 50), max_size=size))
    slate = data.draw(st.lists(st.integers(1, 50), min_size=1, max_size=6, unique=True))
    clicks = data.draw(st.lists(st.booleans(), min_size=len(slate), max_size=len(slate)))
    expected = (past + [item for item, hit in zip(slate, clicks, strict=True) if hit])[-size:]
    history = torch.tensor([[PAD_ID] * (size - len(past)) + past])
    updated = append_clicks(history, torch.tensor([slate]), torch.tensor([clicks]))
    assert updated.tolist() == [[PAD_ID] * (size - len(expected)) + expected]


def test_patience_pays_for_misses_and_one_per_step():
    patience = torch.tensor([20.0, 20.0], dtype=torch.float64)
    reward = torch.tensor([1.0, -0.2], dtype=torch.float64)
    assert spend_patience(patience, reward, 10).tolist() == pytest.approx([19.0, 7.0])


def test_a_user_leaves_below_one_and_not_at_one():
    patience = torch.tensor([1.0, 0.999, -3.0, 5.0], dtype=torch.float64)
    terminated, truncated = session_end(patience, torch.tensor([3, 3, 20, 20]), horizon=20)
    assert terminated.tolist() == [False, True, True, False]
    assert truncated.tolist() == [False, False, False, True]


def test_rounding_does_not_throw_out_a_user_with_exactly_one_left():
    # 5 misses in 13 steps cost 5 * 1.2 + 13 = 19 of 20, whatever the order of the sum.
    rules = make_rules(10)
    for missing in range(8):
        state = rules.start(new_user())
        for step in range(13):
            n_misses = 1 if missing <= step < missing + 5 else 0
            clicks = (torch.arange(10) >= n_misses).float()[None]
            outcome = rules.advance(state, torch.arange(1, 11)[None], clicks)
            state = outcome.state
        assert float(state.patience) == pytest.approx(1.0)
        assert not bool(outcome.terminated)


def test_all_clicks_reach_the_ceiling_of_twenty():
    total, steps, outcome = play(make_rules(10), 10)
    assert (total, steps) == (pytest.approx(20.0), 20)
    assert bool(outcome.terminated)
    assert not bool(outcome.truncated)


def test_no_click_ends_after_two_steps():
    # 20 - 13 = 7, 7 - 13 = -6
    total, steps, _ = play(make_rules(10), 0)
    assert (total, steps) == (pytest.approx(-0.4), 2)


def test_rl4rs_sweet_point_ceiling():
    rules = make_rules(9, penalty=0.1, sweet_point=0.9)
    results = [play(rules, n_clicks)[:2] for n_clicks in range(10)]
    best = max(results)
    assert results.index(best) == 8
    assert best == (pytest.approx(15.644, abs=5e-4), 16)


def test_a_patient_user_is_truncated_by_the_horizon():
    total, steps, outcome = play(make_rules(10, horizon=4), 10)
    assert (total, steps) == (pytest.approx(4.0), 4)
    assert bool(outcome.truncated)
    assert not bool(outcome.terminated)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12),
    st.floats(0.0, 1.0),
    st.lists(st.floats(0.0, 1.0), min_size=20, max_size=20),
)
def test_reward_and_depth_account_for_the_patience_spent(slate_size, penalty, rates):
    """K(T - G) + T = T0 - tau_end, whatever was clicked (docs/protocol.md)."""
    rules = make_rules(slate_size, penalty=penalty)
    state = rules.start(new_user())
    slates = torch.arange(1, slate_size + 1)[None]
    total = 0.0
    steps = 0
    for rate in rates:
        steps += 1
        clicks = (torch.arange(slate_size) < round(rate * slate_size)).float()[None]
        outcome = rules.advance(state, slates, clicks)
        total += float(outcome.reward)
        state = outcome.state
        if bool(outcome.terminated | outcome.truncated):
            break
    spent = 20.0 - float(state.patience)
    assert slate_size * (steps - total) + steps == pytest.approx(spent, abs=1e-9)


def test_shown_items_are_remembered_only_when_excluded():
    slates = torch.tensor([[4, 9], [2, 1]])
    rules = make_rules(2, horizon=2, exclude_shown=True)
    state = rules.start(new_user(batch=2))
    assert state.observation.shown.tolist() == [[0, 0, 0, 0]] * 2
    state = rules.advance(state, slates, torch.ones(2, 2)).state
    state = rules.advance(state, slates + 10, torch.ones(2, 2)).state
    assert state.observation.shown.tolist() == [[4, 9, 14, 19], [2, 1, 12, 11]]

    free = make_rules(2)
    state = free.advance(free.start(new_user(batch=2)), slates, torch.ones(2, 2)).state
    assert state.observation.shown.shape == (2, 0)


def test_a_frequency_cap_tells_what_has_been_shown_so_often():
    rules = make_rules(2, horizon=4, cap=2)
    state = rules.start(new_user(batch=2))
    seen = []
    for slates in ([[1, 2], [1, 2]], [[3, 1], [3, 4]], [[2, 4], [4, 5]], [[3, 5], [3, 1]]):
        state = rules.advance(state, torch.tensor(slates), torch.ones(2, 2)).state
        seen.append(sorted(item for item in state.observation.shown[0].tolist() if item))
    # item 1 after the second slate, 2 after the third, 3 after the fourth
    assert seen == [[], [1], [1, 2], [1, 2, 3]]
    assert sorted(state.observation.shown[1].tolist()) == [0] * 5 + [1, 3, 4]
    assert state.rows(torch.tensor([1])).showings.tolist() == [[1, 2, 3, 4, 4, 5, 3, 1]]


def test_a_cap_of_one_is_the_exclusion_of_shown_items():
    states = []
    for options in ({"cap": 1}, {"exclude_shown": True}, {"exclude_shown": True, "cap": 5}):
        rules = make_rules(2, horizon=2, **options)
        state = rules.start(new_user())
        for slates in ([[4, 9]], [[1, 2]]):
            state = rules.advance(state, torch.tensor(slates), torch.ones(1, 2)).state
        states.append((state.observation.shown.tolist(), state.showings.shape[1]))
    assert states == [([[4, 9, 1, 2]], 0)] * 3


@pytest.mark.parametrize("options", [{"exclude_shown": True}, {"cap": 2}])
def test_advance_leaves_its_input_untouched(options):
    rules = make_rules(2, **options)
    state = rules.start(new_user())
    copies = [field.clone() for field in (*state.observation, *state[1:])]
    rules.advance(state, torch.tensor([[1, 2]]), torch.ones(1, 2))
    for field, copy in zip((*state.observation, *state[1:]), copies, strict=True):
        assert torch.equal(field, copy)


def test_with_responses_every_slot_enters_the_history_and_clicks_are_kept_apart():
    rules = make_rules(2)
    first = new_user()._replace(
        history=torch.tensor([[0, 0, 7, 8, 9]]), responses=torch.tensor([[0, 0, 1, 0, 1]])
    )
    state = rules.start(first, torch.tensor([[0, 0, 0, 7, 9]]))
    state = rules.advance(state, torch.tensor([[3, 4]]), torch.tensor([[0.0, 1.0]])).state
    assert state.observation.history.tolist() == [[7, 8, 9, 3, 4]]
    assert state.observation.responses.tolist() == [[1, 0, 1, 0, 1]]
    assert state.clicked.tolist() == [[0, 0, 7, 9, 4]]
    view = state.simulator_view
    assert view.history.tolist() == [[0, 0, 7, 9, 4]] and view.responses.shape == (1, 0)
    assert view.step.tolist() == [1]
    assert state.rows(torch.tensor([0])).clicked.tolist() == [[0, 0, 7, 9, 4]]


def test_a_slate_longer_than_the_window_leaves_its_last_items():
    window = torch.tensor([[1, 2]])
    assert append_shown(window, torch.tensor([[5, 6, 7]])).tolist() == [[6, 7]]


def test_with_clicks_alone_the_simulated_user_goes_by_the_observation_itself():
    state = make_rules(2).start(new_user())
    assert state.simulator_view is state.observation
    assert state.clicked.shape == (1, 0)


@pytest.mark.parametrize(("options", "kept"), [({"cap": 2}, []), ({"exclude_shown": True}, [3])])
def test_what_was_shown_before_counts_where_nothing_is_shown_twice_alone(options, kept):
    rules = make_rules(2, horizon=2, **options)
    start = rules.start(new_user()._replace(shown=torch.tensor([[3]])))
    assert start.observation.shown[0].tolist() == [PAD_ID] * rules.shown_size + kept


def test_a_step_changes_nobodys_features():
    user = new_user(2)._replace(
        user_categories=torch.tensor([[1, 2], [3, 4]]), user_dense=torch.tensor([[0.5], [1.5]])
    )
    rules = make_rules(2)
    after = rules.advance(rules.start(user), torch.tensor([[1, 2]] * 2), torch.ones(2, 2))
    assert torch.equal(after.state.observation.user_categories, user.user_categories)
    assert torch.equal(after.state.observation.user_dense, user.user_dense)
