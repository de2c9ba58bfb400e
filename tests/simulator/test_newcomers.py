"""Users that a simulator was not fitted on: what is inferred of them, from what, and for whom."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.config.simulator import UserTasteConfig
from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.simulator.judge_pool import pool_for_judge
from hsrl_pipeline.simulator.newcomers import AnswersBefore, introduce
from hsrl_pipeline.simulator.response.checkpoint import build_response_model
from hsrl_pipeline.simulator.response.constant import ConstantResponse
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse
from hsrl_pipeline.simulator.response.personal import PersonalResponse
from hsrl_pipeline.simulator.response.recorded import RecordedResponse, with_user_numbers
from hsrl_pipeline.simulator.response.simulators import fit_simulator
from hsrl_pipeline.simulator.response.taste import Feedback, infer_tastes
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.simulator.user_pool import UserPool

from .response.response_world import (
    FAST,
    HISTORY,
    N_ITEMS,
    SLATE,
    make_items,
    make_log,
    make_users,
)

USERS = make_users(80, known_camp=False)
LOG = make_log(80).with_shown()
NEW = (7, 8)
"""Users whose tastes the simulator is made to forget; each has five slates, four for training."""


@pytest.fixture(scope="module")
def everybody():
    """A simulator that knows all users."""
    checkpoint = fit_simulator(
        "train",
        LOG,
        USERS,
        make_items(content=False),
        FAST.model_copy(
            update={"max_epochs": 2, "user_taste": True, "taste": UserTasteConfig(size=2)}
        ),
        history_size=HISTORY,
        seed=3,
        on_metrics=lambda epoch, figures: None,
    )
    return build_response_model(checkpoint)


@pytest.fixture(scope="module")
def model(everybody):
    """The same simulator without rows of the new users."""
    return forget(everybody, *NEW)


def forget(model, *users):
    tables = dict(model.tables())
    tables["tastes"] = tables["tastes"].clone()
    tables["tastes"][list(users)] = 0.0
    return PersonalResponse(model.base, **tables).freeze()


def meet(model, split, log=LOG, others=(), starts=None):
    pool = UserPool.from_log(split, USERS, HISTORY)
    before = AnswersBefore.of_judge(model, split, log)
    responses = {"judge": model, **dict(others)}
    introduced, pool = introduce(responses, pool, before, starts)
    return introduced, pool


def rows_of(pool, user):
    return (pool.users == user).nonzero().squeeze(1)


def asked(model, pool, rows):
    seen = with_user_numbers(pool.observation(rows), pool.user_numbers(rows))
    return model.scores_all(seen)


def tiny_log():
    """User 1: three slates, then one that interleaves with the third; user 2: one slate."""
    return SlateLog(
        slates=np.array([[1, 2], [3, 4], [9, 9], [5, 6], [7, 8]], np.int32),
        labels=np.array([[1, 0], [0, 1], [1, 1], [1, 1], [0, 0]], np.int8),
        users=np.array([1, 1, 2, 1, 1], np.int32),
        timestamps=np.arange(5, dtype=np.int64),
        is_train=np.array([True, False, True, False, False]),
        history_start=np.array([0, 0, 5, 0, 0]),
        # 20 was liked in no slate; the last slate begins before the clicks of the third
        history_end=np.array([0, 1, 5, 3, 3]),
        timeline=np.array([1, 4, 20, 5, 6, 9, 9], np.int32),
    ).with_shown()


def test_answers_before_are_those_of_earlier_slates_by_hand():
    log = tiny_log()
    before = AnswersBefore.of_judge(ConstantResponse(0.5, 20, 3), log, log)
    assert before.n_slates.tolist() == [0, 1, 0, 2, 2]
    known = before.feedback(np.array([4, 0, 1, 3]))
    events = list(zip(known.owners, known.items, known.clicks, strict=True))
    first, second = [(1, 1), (2, 0)], [(3, 0), (4, 1)]
    assert events == [
        *((0, *event) for event in first + second),
        *((2, *event) for event in first),
        *((3, *event) for event in first + second),
    ]
    assert known.n_owners == 4


def test_starts_of_the_test_split_know_the_training_slates():
    log = tiny_log()
    before = AnswersBefore.of_judge(ConstantResponse(0.5, 20, 3), log.test, log)
    assert before.users.tolist() == [1, 1, 1]
    assert before.feedback(np.array([0])).items.tolist() == [1, 2]


def test_withheld_items_tell_nothing():
    log = tiny_log()
    hidden = replace(log, slates=np.where(log.slates == 3, 0, log.slates).astype(np.int32))
    before = AnswersBefore.of_judge(ConstantResponse(0.5, 20, 3), hidden, hidden)
    assert before.feedback(np.array([3])).items.tolist() == [1, 2, 4]


def test_all_answers_of_a_user_give_the_taste_of_one_who_was_fitted(everybody, model):
    """Both users have four training slates before their fifth: the rows they were fitted on."""
    introduced, pool = meet(model, LOG.test)
    for user in NEW:
        (row,) = rows_of(pool, user)
        number = pool.user_numbers(row[None])
        assert int(number) > len(USERS.categories) - 1
        # inference stops at steps of LARGEST_STEP, and single precision rounds the items
        taste = introduced["judge"].tastes[number]
        torch.testing.assert_close(taste[0], everybody.tastes[user], atol=5e-3, rtol=0.0)
        torch.testing.assert_close(
            asked(introduced["judge"], pool, row[None])[:, 1:],
            asked(everybody, UserPool.from_log(LOG.test, USERS, HISTORY), row[None])[:, 1:],
            atol=0.02,
            rtol=0.0,
        )


def test_each_start_knows_what_lies_before_it(model):
    introduced, pool = meet(model, LOG)
    rows = rows_of(pool, NEW[0])
    numbers = pool.user_numbers(rows)
    assert len(rows) == 5
    assert numbers[0] == NEW[0]  # nothing lies before the first: the prior
    assert numbers[1:].unique().numel() == 4
    for count, number in enumerate(numbers.tolist()):
        own = LOG.select(rows[:count].numpy())
        feedback = Feedback.of(
            np.zeros(own.slates.size, np.int64), own.slates.ravel(), own.labels.ravel(), 1
        )
        wanted = infer_tastes(model.item_tastes(), feedback, apart=True)
        torch.testing.assert_close(
            introduced["judge"].tastes[number], torch.from_numpy(wanted[0]).float()
        )


@pytest.mark.parametrize("place", range(5))
def test_nothing_from_the_start_on_is_used(model, place):
    """Turning over all answers from a start on, of everybody, leaves its scores bit for bit."""
    (introduced, pool), user = meet(model, LOG), NEW[0]
    row = rows_of(pool, user)[place : place + 1]
    later = np.arange(len(LOG)) >= int(row)
    slates = np.where(later[:, None], LOG.slates[:, ::-1] % N_ITEMS + 1, LOG.slates)
    other = replace(
        LOG,
        slates=slates.astype(np.int32),
        labels=np.where(later[:, None], 1 - LOG.labels, LOG.labels).astype(np.int8),
    )
    again, changed = meet(model, other, other)
    assert torch.equal(asked(introduced["judge"], pool, row), asked(again["judge"], changed, row))


def test_users_with_rows_keep_their_taste_bit_for_bit(model):
    introduced, pool = meet(model, LOG.test)
    known = (~torch.isin(pool.users, torch.tensor(NEW))).nonzero().squeeze(1)
    assert torch.equal(pool.user_numbers(known), pool.users[known].long())
    assert torch.equal(asked(introduced["judge"], pool, known), asked(model, pool, known))


def test_nothing_changes_where_all_users_are_known(everybody):
    introduced, pool = meet(everybody, LOG)
    assert introduced["judge"] is everybody
    assert pool.numbers is None


def test_nothing_changes_where_users_have_no_tastes(model):
    introduced, pool = meet(model.base, LOG)
    assert introduced["judge"] is model.base
    assert pool.numbers is None


def test_another_simulator_of_the_same_sessions_answers_to_the_same_numbers(everybody, model):
    both = EnsembleResponse([everybody, model])
    others = {"train": everybody, "both": both, "plain": model.base}
    introduced, pool = meet(model, LOG.test, others=others)
    rows = torch.cat([rows_of(pool, user) for user in NEW])
    plain = UserPool.from_log(LOG.test, USERS, HISTORY)
    assert torch.equal(asked(introduced["train"], pool, rows), asked(everybody, plain, rows))
    assert not torch.allclose(asked(introduced["both"], pool, rows), asked(both, plain, rows))
    assert introduced["plain"] is model.base


def test_each_simulator_infers_those_alone_whom_it_does_not_know(everybody):
    first, second = forget(everybody, NEW[0]), forget(everybody, NEW[1])
    introduced, pool = meet(first, LOG, others={"second": second})
    plain = UserPool.from_log(LOG, USERS, HISTORY)
    for name, model, known, new in (("judge", first, *NEW[::-1]), ("second", second, *NEW)):
        rows = rows_of(pool, known)
        assert torch.equal(asked(introduced[name], pool, rows), asked(model, plain, rows))
        rows = rows_of(pool, new)[1:]
        assert not torch.allclose(asked(introduced[name], pool, rows), asked(model, plain, rows))


def test_only_starts_that_are_drawn_are_inferred(model):
    rows = rows_of(UserPool.from_log(LOG.test, USERS, HISTORY), NEW[1])
    some, pool = meet(model, LOG.test, starts=rows)
    everything, other = meet(model, LOG.test)
    assert len(some["judge"].tastes) == len(everything["judge"].tastes) - 1
    assert torch.equal(asked(some["judge"], pool, rows), asked(everything["judge"], other, rows))
    known = rows_of(UserPool.from_log(LOG.test, USERS, HISTORY), NEW[1] + 1)
    with_known, pool = meet(model, LOG.test, starts=torch.cat([rows, known]))
    assert torch.equal(with_known["judge"].tastes, some["judge"].tastes)
    assert torch.equal(pool.user_numbers(known), pool.users[known].long())
    none, pool = meet(model, LOG.test, starts=rows[:0])
    assert pool.numbers is not None  # which sessions there are does not depend on their number
    assert len(none["judge"].tastes) == len(model.tastes)


def test_people_who_judge_are_known_by_all_that_the_log_holds(model):
    answers = torch.zeros((2, N_ITEMS + 1), dtype=torch.int8)
    answers[0, 1::2] = 1
    judge = RecordedResponse(answers, torch.tensor(NEW), HISTORY).freeze()
    session = SessionConfig(history_size=HISTORY)
    pool = pool_for_judge(judge, LOG.test, LOG, USERS, session)
    before = AnswersBefore.of_judge(judge, LOG.test, LOG)
    assert before.n_slates.tolist() == [5, 5]
    introduced, met = introduce({"train": model, "eval": judge}, pool, before)
    rows = torch.arange(2)
    assert torch.equal(asked(introduced["eval"], met, rows), asked(judge, pool, rows))
    own = LOG.select(np.flatnonzero(LOG.users == NEW[1]))
    feedback = Feedback.of(np.zeros(25, int), own.slates.ravel(), own.labels.ravel(), 1)
    wanted = infer_tastes(model.item_tastes(), feedback, apart=True)
    torch.testing.assert_close(
        introduced["train"].tastes[met.user_numbers(rows)[1]], torch.from_numpy(wanted[0]).float()
    )


def test_people_beyond_the_last_user_of_the_log_have_no_slates_before():
    answers = torch.zeros((2, N_ITEMS + 1), dtype=torch.int8)
    people = torch.tensor([NEW[0], int(LOG.users.max()) + 5])
    before = AnswersBefore.of_judge(RecordedResponse(answers, people, HISTORY), LOG.test, LOG)
    assert before.n_slates.tolist() == [5, 0]


def test_the_judge_may_be_asked_of_nobody_else(model):
    answers = torch.zeros((1, N_ITEMS + 1), dtype=torch.int8)
    judge = RecordedResponse(answers, torch.tensor(NEW[:1]), HISTORY)
    pool = pool_for_judge(judge, LOG, LOG, USERS, SessionConfig(history_size=HISTORY))
    before = AnswersBefore.of_judge(judge, LOG, LOG)
    introduced, met = introduce({"train": model, "eval": judge}, pool, before)
    stranger = met.user_numbers(torch.tensor([0])) + 1
    with pytest.raises(ValueError, match="are not recorded"):
        introduced["eval"].scores_all(
            with_user_numbers(met.observation(torch.tensor([0])), stranger)
        )


def test_sessions_go_by_the_inferred_taste_and_resume(everybody, model):
    """Sessions of one start, on a simulator that forgot the user and on one that did not."""
    setting = SessionSetting(
        session=SessionConfig(history_size=HISTORY),
        reward=RewardConfig(),
        candidates=CandidatesConfig(),
        slate_size=SLATE,
        n_items=N_ITEMS,
    )
    one = LOG.select(np.flatnonzero((LOG.users == NEW[0]) & ~LOG.is_train))
    introduced, pool = meet(model, one)

    def play(response, pool, state=None):
        sessions = SlateSessions(response, pool, setting, batch_size=3, seed=0)
        if state is not None:
            sessions.load_state_dict(state)
        result = sessions.step(torch.arange(1, SLATE + 1).expand(3, -1))
        return sessions, result

    sessions, inferred = play(introduced["judge"], pool)
    _, known = play(everybody, UserPool.from_log(one, USERS, HISTORY))
    _, forgotten = play(model, UserPool.from_log(one, USERS, HISTORY))
    assert sessions.users.tolist() == [NEW[0]] * 3
    assert inferred.observation.user_dense.shape == (3, 0)
    torch.testing.assert_close(inferred.probabilities, known.probabilities, atol=0.01, rtol=0.0)
    assert (inferred.probabilities - forgotten.probabilities).abs().max() > 0.05
    state = sessions.state_dict()
    expected = sessions.step(torch.arange(1, SLATE + 1).expand(3, -1))
    _, resumed = play(introduced["judge"], pool, state)
    assert torch.equal(resumed.probabilities, expected.probabilities)


def test_a_log_without_what_was_shown_is_refused():
    bare = replace(LOG, shown=None)
    with pytest.raises(ValueError, match="with_shown"):
        AnswersBefore.of_judge(ConstantResponse(0.5, N_ITEMS, HISTORY), bare, bare)
