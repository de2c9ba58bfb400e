"""Sessions that go on at once: their start, new ones in place of finished ones, their state."""

from __future__ import annotations

import torch

from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.simulator.dynamics import SessionRules
from hsrl_pipeline.simulator.running_sessions import RunningSessions
from hsrl_pipeline.simulator.user_pool import UserPool

RULES = SessionRules(
    SessionConfig(history_size=2, initial_patience=6.0),
    RewardConfig(),
    CandidatesConfig(exclude_shown=True),
    slate_size=2,
)
POOL = UserPool.from_rows(
    torch.tensor([[1], [2], [3]]),
    torch.zeros(3, 1),
    torch.tensor([[0, 4], [5, 6], [0, 0]]),
    users=torch.tensor([30, 10, 20]),
)
CPU = torch.device("cpu")


def start(*rows: int) -> RunningSessions:
    return RunningSessions.start(RULES, POOL, torch.tensor(rows))


def after_a_step(sessions: RunningSessions) -> RunningSessions:
    batch = len(sessions.users)
    slates, clicks = torch.tensor([[1, 2]] * batch), torch.tensor([[1.0, 0.0]] * batch)
    return sessions._replace(state=RULES.advance(sessions.state, slates, clicks).state)


def test_a_session_starts_with_its_user_and_full_patience() -> None:
    sessions = start(1, 0)
    assert sessions.users.tolist() == sessions.numbers.tolist() == [10, 30]
    assert sessions.state.observation.history.tolist() == [[5, 6], [0, 4]]
    assert sessions.state.patience.tolist() == [6.0, 6.0]


def test_new_sessions_take_the_places_of_finished_ones_alone() -> None:
    before = after_a_step(start(0, 1, 0))
    after = before.with_new(torch.tensor([1]), start(2))
    assert after.users.tolist() == [30, 20, 30]
    assert after.numbers.tolist() == [30, 20, 30]
    assert after.state.observation.history.tolist() == [[4, 1], [0, 0], [4, 1]]
    assert after.state.observation.step.tolist() == [1, 0, 1]
    assert after.state.observation.shown[:, :2].tolist() == [[1, 2], [0, 0], [1, 2]]
    assert after.state.patience.tolist() == [
        before.state.patience[0].item(), 6.0, before.state.patience[2].item()
    ]  # fmt: skip
    assert before.users.tolist() == [30, 10, 30]  # what was handed out stays as it was
    assert before.state.observation.history.tolist() == [[4, 1], [6, 1], [4, 1]]


def test_a_dictionary_holds_all_and_leaves_empty_tensors_out() -> None:
    sessions = after_a_step(start(0, 1))
    values = sessions.to_dict()
    assert values.keys() == {"observation", "patience", "users", "numbers"}
    again = RunningSessions.from_dict(values, CPU)
    for found, expected in (
        *zip(again.state.observation, sessions.state.observation, strict=True),
        (again.state.patience, sessions.state.patience),
        (again.state.clicked, sessions.state.clicked),
        (again.state.showings, sessions.state.showings),
        (again.users, sessions.users),
        (again.numbers, sessions.numbers),
    ):
        assert torch.equal(found, expected)


def test_without_numbers_users_are_known_by_their_index() -> None:
    values = start(0, 1).to_dict()
    del values["numbers"]
    assert RunningSessions.from_dict(values, CPU).numbers.tolist() == [30, 10]
