"""Recorded answers: certain, complete, and asked of the right person."""

import numpy as np
import pandas as pd
import pytest
import torch

from hsrl_pipeline.data.slate_log import SlateLog
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.response.checkpoint import build_response_model
from hsrl_pipeline.simulator.response.recorded import (
    KnownBefore,
    log_recorded_answers,
    record_answers,
    with_user_numbers,
)

USERS = pd.DataFrame({"user_index": [1, 2, 3, 4], "user_id": ["a", "b", "c", "d"]})
ITEMS = pd.DataFrame({"item_index": [1, 2, 3], "item_id": ["x", "y", "z"]})
ANSWERS = pd.DataFrame(
    {
        "user_index": [2, 2, 2, 4, 4, 4],
        "item_index": [1, 2, 3, 1, 2, 3],
        "label": [1, 0, 1, 0, 0, 1],
    }
)


def record(answers=ANSWERS):
    return record_answers(answers, USERS, ITEMS, history_size=4, provenance={"role": "eval"})


@pytest.fixture
def response():
    return build_response_model(record())


def observation(users):
    rows = len(users)
    nothing = Observation(
        torch.zeros((rows, 1), dtype=torch.int64),
        torch.full((rows, 1), 0.5),
        torch.zeros((rows, 4), dtype=torch.int64),
        torch.zeros(rows, dtype=torch.int64),
    )
    return with_user_numbers(nothing, torch.tensor(users))


def make_log():
    """Two slates of 2 of user 2, who liked items 1 and 3, one slate of user 1, none of user 4."""
    return SlateLog(
        slates=np.array([[1, 2], [3, 1], [1, 3]], np.int32),
        labels=np.array([[1, 0], [1, 0], [1, 0]], np.int8),
        users=np.array([2, 2, 1], np.int32),
        timestamps=np.arange(3, dtype=np.int64),
        is_train=np.array([False, False, True]),
        history_start=np.array([1, 1, 0]),
        history_end=np.array([1, 2, 0]),
        timeline=np.array([1, 1, 3], np.int32),
    )


def test_probabilities_are_exactly_what_was_answered(response):
    slates = torch.tensor([[1, 2, 3], [3, 2, 1], [3, 1, 2]])
    asked = response.probabilities(observation([2, 2, 4]), slates)
    assert asked.tolist() == [[1.0, 0.0, 1.0], [1.0, 0.0, 1.0], [1.0, 0.0, 0.0]]


def test_a_negative_answer_stays_above_what_may_not_be_shown(response):
    scores = response.scores_all(observation([4, 2]))
    assert scores[:, 0].tolist() == [-np.inf, -np.inf]
    assert scores[:, 1:].isfinite().all()
    assert (scores[:, 1:] > 0).tolist() == [[False, False, True], [True, False, True]]


def test_nobody_else_can_be_asked(response):
    for user in (0, 1, 3, 7):
        with pytest.raises(ValueError, match=f"the answers of user {user} are not recorded"):
            response.scores_all(observation([2, user]))


@pytest.mark.parametrize("answers", [ANSWERS.iloc[:0], None], ids=["empty", "no table"])
def test_without_answers_the_judge_is_refused(answers):
    with pytest.raises(UserError, match=r"nobody's answers are recorded.*simulator.eval=model"):
        record(answers)


def test_a_missing_answer_is_named_by_the_ids_of_the_log():
    with pytest.raises(
        UserError, match=r"user 'd' to item 'y' is not recorded; of 2 x 3 answers 1"
    ):
        record(ANSWERS.drop(index=4))


def test_what_is_known_before_is_all_that_the_log_holds():
    known = KnownBefore.from_log(make_log(), np.array([2, 4]))
    assert known.history_start.tolist() == [1, 0]
    assert known.history_end.tolist() == [3, 0]
    assert known.seen.tolist() == [[1, 2, 3], [0, 0, 0]]


def test_recorded_answers_as_slates_leave_out_what_was_shown(response):
    log = log_recorded_answers(make_log(), response, slate_size=2)
    assert log.users.tolist() == [4]  # user 2 was shown everything; item 3 of user 4 is left over
    assert log.slates.tolist() == [[1, 2]]
    assert log.labels.tolist() == [[0, 0]]
    assert not log.is_train.any()
    assert log.histories(np.array([0]), 2).tolist() == [[0, 0]]
