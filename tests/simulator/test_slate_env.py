import copy
import math
import pickle

import numpy as np
import pytest
import torch

from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.data.slate_log import SlateLog, UserTable
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.response.constant import ConstantResponse
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.simulator.user_pool import UserPool

N_ITEMS = 30
SLATE = 3


class ItemAppeal:
    """A response that depends on the item alone."""

    def __init__(self, probabilities):
        self.table = torch.as_tensor(probabilities, dtype=torch.float32)

    def probabilities(self, observation, slates):
        return self.table[slates]


class HistoryAppeal:
    """A response that depends on user and history, as the learned one does."""

    def probabilities(self, observation, slates):
        state = observation.history.sum(dim=1, keepdim=True) + observation.user_categories
        return ((state + 7 * slates) % 11).float() / 11


def make_pool(rows=40, history_size=6):
    generator = torch.Generator().manual_seed(3)
    histories = torch.randint(1, N_ITEMS + 1, (rows, history_size), generator=generator)
    histories[: rows // 2, : history_size // 2] = 0
    return UserPool.from_rows(torch.arange(1, rows + 1)[:, None], torch.zeros(rows, 1), histories)


def make_sessions(response=None, *, batch_size=8, seed=0, **options):
    measured = {"measure_disagreement": options.pop("measure_disagreement", False)}
    sessions = {"horizon": options.pop("horizon", 20), "history_size": 6}
    return SlateSessions(
        response or HistoryAppeal(),
        make_pool(),
        SessionSetting(
            session=SessionConfig(**sessions),
            reward=RewardConfig(),
            candidates=CandidatesConfig(
                exclude_shown=options.pop("exclude_shown", False),
                frequency_cap=options.pop("frequency_cap", None),
                enforce_shelves="shelves" in options,
            ),
            slate_size=SLATE,
            n_items=N_ITEMS,
            **options,
        ),
        batch_size=batch_size,
        seed=seed,
        **measured,
    )


def random_slates(generator, batch_size=8):
    return torch.rand(batch_size, N_ITEMS, generator=generator).argsort(dim=1)[:, :SLATE] + 1


def play(sessions, steps, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [sessions.step(random_slates(generator, sessions.batch_size)) for _ in range(steps)]


def assert_same_steps(left, right):
    for one, other in zip(left, right, strict=True):
        for a, b in zip(one, other, strict=True):
            if isinstance(a, Observation):
                assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
            elif a is None:
                assert b is None
            else:
                assert torch.equal(a, b)


def test_equal_seeds_give_equal_sessions_and_others_do_not():
    assert_same_steps(play(make_sessions(seed=5), 30), play(make_sessions(seed=5), 30))
    one, other = play(make_sessions(seed=5), 5), play(make_sessions(seed=6), 5)
    assert any(not torch.equal(a.clicks, b.clicks) for a, b in zip(one, other, strict=True))


def test_reset_with_a_seed_restarts_and_without_goes_on():
    sessions = make_sessions(seed=5)
    first = play(sessions, 10)
    sessions.reset(seed=5)
    assert_same_steps(first, play(sessions, 10))
    again = sessions.reset()
    assert int(again.step.sum()) == 0
    assert not torch.equal(again.history, make_sessions(seed=5).observation.history)


def make_ensemble():
    """Two members that differ in what they say of odd and of even items."""
    members = [ConstantResponse(0.5, n_items=N_ITEMS, history_size=6) for _ in range(2)]
    for member, (odd, even) in zip(members, ((0.2, 0.5), (0.8, 0.6)), strict=True):
        member.log_odds[1::2] = math.log(odd / (1 - odd))
        member.log_odds[2::2] = math.log(even / (1 - even))
    return EnsembleResponse(members).freeze()


def test_measured_disagreement_leaves_the_sessions_as_they_are():
    plain = make_sessions(make_ensemble(), seed=5)
    measured = make_sessions(make_ensemble(), seed=5, measure_disagreement=True)
    assert (plain.measures_disagreement, measured.measures_disagreement) == (False, True)
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        slates = random_slates(generator)
        one, other = plain.step(slates), measured.step(slates)
        assert one.disagreement is None
        assert_same_steps([one], [other._replace(disagreement=None)])
        wanted = torch.where(slates % 2 == 1, 0.3, 0.05)
        torch.testing.assert_close(other.disagreement, wanted)


def test_one_model_cannot_disagree():
    with pytest.raises(ValueError, match="no members that could disagree"):
        make_sessions(measure_disagreement=True)


def test_state_dict_pickle_and_deepcopy_continue_bit_identically():
    sessions = make_sessions(seed=5)
    play(sessions, 7)
    pickled = pickle.loads(pickle.dumps(sessions))
    copied = copy.deepcopy(sessions)
    restored = make_sessions(seed=99)
    restored.load_state_dict(sessions.state_dict())
    expected = play(sessions, 20)
    for other in (pickled, copied, restored):
        assert_same_steps(expected, play(other, 20))


def test_the_global_random_state_is_neither_read_nor_written():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = play(make_sessions(seed=5), 5)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(1)
    assert_same_steps(first, play(make_sessions(seed=5), 5))


def test_the_successor_of_a_finished_row_is_its_own_user_and_never_the_next():
    sessions = make_sessions(batch_size=64)
    previous = sessions.observation
    finished_rows = 0
    for result in play(sessions, 25):
        finished = result.terminated | result.truncated
        assert torch.equal(result.next_observation.user_categories, previous.user_categories)
        assert torch.equal(result.next_observation.step, previous.step + 1)
        fresh = result.observation.rows(finished)
        assert int(fresh.step.sum()) == 0
        for field, kept in zip(result.observation, result.next_observation, strict=True):
            assert torch.equal(field[~finished], kept[~finished])
        finished_rows += int(finished.sum())
        previous = result.observation
    assert finished_rows > 100


def test_the_successor_history_ends_with_the_clicks_of_the_step():
    sessions = make_sessions(batch_size=1)
    before = sessions.observation
    generator = torch.Generator().manual_seed(1)
    slates = random_slates(generator, 1)
    result = sessions.step(slates)
    clicked = slates[0][result.clicks[0] > 0].tolist()
    assert (
        result.next_observation.history[0].tolist() == (before.history[0].tolist() + clicked)[-6:]
    )


def test_refills_start_with_full_patience_and_a_user_of_the_pool():
    pool = make_pool()
    sessions = make_sessions(ItemAppeal(torch.zeros(N_ITEMS + 1)), batch_size=5)
    # Nothing is clicked: each step costs 3 * 1.2 + 1 = 4.6, so 20 lasts for 5 steps.
    slates = torch.tensor([[1, 2, 3]] * 5)
    results = [sessions.step(slates) for _ in range(5)]
    assert [bool(r.terminated.all()) for r in results] == [False] * 4 + [True]
    assert sessions.patience.tolist() == [20.0] * 5
    starts = {
        (*categories, *history)
        for categories, history in zip(
            pool.user_categories[pool.users].tolist(),
            pool.histories(torch.arange(len(pool))).tolist(),
            strict=True,
        )
    }
    observation = results[-1].observation
    for row in range(5):
        start = (*observation.user_categories[row].tolist(), *observation.history[row].tolist())
        assert start in starts
        assert int(sessions.users[row]) == int(observation.user_categories[row, 0])


def test_the_pool_is_drawn_from_as_a_whole():
    sessions = make_sessions(batch_size=512)
    assert set(sessions.users.tolist()) == set(range(1, 41))


def test_clicks_follow_their_probabilities():
    table = torch.linspace(0, 1, N_ITEMS + 1)
    sessions = make_sessions(ItemAppeal(table), batch_size=20_000)
    slates = torch.tensor([[3, 15, 30]]).expand(20_000, 3).contiguous()
    rates = sessions.step(slates).clicks.mean(dim=0)
    assert rates.tolist() == pytest.approx([0.1, 0.5, 1.0], abs=0.012)


def test_handed_out_tensors_are_never_written_to_again():
    sessions = make_sessions(batch_size=64)
    results = play(sessions, 6)
    copies = [[f.clone() for f in (*r.observation, *r.next_observation)] for r in results]
    play(sessions, 10, seed=2)
    for result, kept in zip(results, copies, strict=True):
        fields = (*result.observation, *result.next_observation)
        assert all(torch.equal(a, b) for a, b in zip(fields, kept, strict=True))


def test_horizon_truncates_and_ends_at_once():
    sessions = make_sessions(ItemAppeal(torch.ones(N_ITEMS + 1)), horizon=3, batch_size=2)
    results = play(sessions, 3)
    assert results[-1].truncated.all()
    assert not results[-1].terminated.any()
    assert not results[1].truncated.any()


def test_excluded_items_are_forgotten_with_the_user():
    sessions = make_sessions(exclude_shown=True, horizon=2, batch_size=1)
    first, second = torch.tensor([[1, 2, 3]]), torch.tensor([[4, 5, 6]])
    sessions.step(first)
    with pytest.raises(ValueError, match=r"slates\[0, 2\] is 1, which was already shown"):
        sessions.step(torch.tensor([[9, 8, 1]]))
    result = sessions.step(second)
    assert result.next_observation.shown.tolist() == [[1, 2, 3, 4, 5, 6]]
    assert result.observation.shown.tolist() == [[0] * 6]
    sessions.step(first)


def test_showings_are_counted_by_session_and_survive_a_restart():
    sessions = make_sessions(frequency_cap=2, horizon=3, batch_size=1)
    slates = torch.tensor([[1, 2, 3]])
    sessions.step(slates)
    restored = make_sessions(frequency_cap=2, horizon=3, batch_size=1, seed=4)
    restored.load_state_dict(sessions.state_dict())
    for world in (sessions, restored):
        world.step(torch.tensor([[4, 5, 1]]))
        with pytest.raises(ValueError, match=r"slates\[0, 1\] is 1, which was already shown 2"):
            world.step(torch.tensor([[2, 1, 3]]))
        result = world.step(torch.tensor([[2, 4, 6]]))
        assert result.next_observation.shown[0].unique().tolist() == [0, 1, 2, 4]
        # the next user has seen nothing
        assert not result.observation.shown.any()
        for _ in range(2):
            world.step(slates)
        with pytest.raises(ValueError, match="already shown 2 times"):
            world.step(slates)


def test_shelves_are_enforced():
    shelves = np.array([0] + [1] * 10 + [2] * 10 + [3] * 10)
    sessions = make_sessions(shelves=shelves, batch_size=1)
    sessions.step(torch.tensor([[10, 20, 30]]))
    with pytest.raises(ValueError, match="not of the slot's shelf"):
        sessions.step(torch.tensor([[20, 10, 30]]))


def test_a_refused_step_changes_nothing():
    sessions = make_sessions(seed=5)
    twin = make_sessions(seed=5)
    with pytest.raises(ValueError, match="padding"):
        sessions.step(torch.zeros(8, 3, dtype=torch.int64))
    assert_same_steps(play(twin, 3), play(sessions, 3))


def test_a_response_model_in_training_mode_is_refused():
    class Module(torch.nn.Module, HistoryAppeal):
        pass

    with pytest.raises(ValueError, match="training mode"):
        make_sessions(Module())
    make_sessions(Module().eval())


def test_slates_are_judged_where_sessions_are_and_nothing_moves():
    sessions, untouched = (make_sessions(exclude_shown=True, horizon=5) for _ in range(2))
    for one in (sessions, untouched):
        one.step(torch.arange(1, 25).view(8, 3))
    before = sessions.observation
    others = torch.stack([torch.arange(25, 28).repeat(8, 1), torch.arange(28, 31).repeat(8, 1)])
    judged, disagreement = sessions.judge(others)
    assert disagreement is None
    for slates, probabilities in zip(others, judged, strict=True):
        assert torch.equal(probabilities, HistoryAppeal().probabilities(before, slates))
    assert judged.shape == (2, 8, 3)
    assert judged.unique().numel() > 3
    assert sessions.observation is before
    assert_same_steps([sessions.step(others[0])], [untouched.step(others[0])])


def test_a_slate_that_could_not_be_shown_is_not_judged():
    sessions = make_sessions(exclude_shown=True, horizon=5)
    shown = torch.arange(1, 25).view(8, 3)
    sessions.step(shown)
    free = torch.arange(25, 28).repeat(8, 1)
    row = int((sessions.observation.step > 0).nonzero()[0])
    with pytest.raises(ValueError, match=rf"slates\[{row}, 0\] is .* already shown"):
        sessions.judge(torch.stack([free, shown]))
    with pytest.raises(ValueError, match="earlier in the same slate"):
        sessions.judge(torch.ones(1, 8, 3, dtype=torch.int64))
    broken = make_sessions(ItemAppeal([float("nan")] * (N_ITEMS + 1)))
    with pytest.raises(ValueError, match="click probability"):
        broken.judge(free[None])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"n_items": 10}, r"timeline\[\d+\] is \d+, items are numbered 1 to 10"),
        ({"session": SessionConfig(history_size=7)}, "cuts histories of 6"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options, message):
    settings = {
        "session": SessionConfig(history_size=6),
        "reward": RewardConfig(),
        "candidates": CandidatesConfig(),
        "slate_size": SLATE,
        "n_items": N_ITEMS,
        "batch_size": 1,
    } | options
    batch_size = settings.pop("batch_size")
    with pytest.raises(ValueError, match=message):
        SlateSessions(
            HistoryAppeal(), make_pool(), SessionSetting(**settings), batch_size=batch_size, seed=0
        )


def make_form(history, *, seed=0):
    """Sessions of users who were shown three slates of three, in either form of the history."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, (12, SLATE)).astype(np.int8)
    slates = rng.permuted(np.tile(np.arange(1, N_ITEMS + 1), (12, 1)), axis=1)[:, :SLATE]
    total = labels.sum(axis=1)
    ends = total.cumsum() - total
    starts = np.repeat(ends[::3], 3)
    log = SlateLog(
        slates=slates.astype(np.int32),
        labels=labels,
        users=np.repeat(np.arange(1, 5), 3).astype(np.int32),
        timestamps=np.arange(12),
        is_train=np.ones(12, bool),
        history_start=starts,
        history_end=ends,
        timeline=slates[labels > 0].astype(np.int32),
    ).with_shown()
    users = UserTable(np.arange(5)[:, None], np.zeros((5, 1), np.float32), (5,))
    session = SessionConfig(history_size=6, history=history)
    return SlateSessions(
        HistoryAppeal(),
        UserPool.from_log(log, users, 6, history),
        SessionSetting(
            session=session,
            reward=RewardConfig(),
            candidates=CandidatesConfig(),
            slate_size=SLATE,
            n_items=N_ITEMS,
        ),
        batch_size=8,
        seed=seed,
    )


def test_users_answer_alike_whatever_policies_see():
    clicks, responses = (play(make_form(form), 30) for form in ("clicks", "responses"))
    for one, other in zip(clicks, responses, strict=True):
        assert torch.equal(one.clicks, other.clicks) and torch.equal(one.reward, other.reward)
        assert torch.equal(one.terminated, other.terminated)
        seen = other.observation
        liked = [
            [item for item, y in zip(*row, strict=True) if y]
            for row in zip(seen.history.tolist(), seen.responses.tolist(), strict=True)
        ]
        newest = [row[len(row) - len(own) :] for row, own in
                  zip(one.observation.history.tolist(), liked, strict=True)]  # fmt: skip
        assert liked == newest
    assert any(bool((step.terminated | step.truncated).any()) for step in responses)


def test_sessions_with_responses_continue_bit_identically():
    unbroken = make_form("responses")
    play(unbroken, 7)
    resumed = make_form("responses", seed=9)
    resumed.load_state_dict(copy.deepcopy(unbroken.state_dict()))
    assert_same_steps(play(unbroken, 20, seed=2), play(resumed, 20, seed=2))
    assert "clicked" not in make_form("clicks").state_dict()


def test_a_state_of_a_version_without_responses_is_read():
    sessions = make_form("clicks")
    state = sessions.state_dict()
    state["observation"] = state["observation"][:5]
    sessions.load_state_dict(state)
    assert sessions.observation.responses.shape == (8, 0)
