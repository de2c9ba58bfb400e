"""What a policy is told of a history, and the responses that are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hsrl_pipeline.config.session import HistoryForm
from hsrl_pipeline.serving import Recommender, RecommendRequest, RequestError
from hsrl_pipeline.serving.requests import observe, read_request

from .small_model import IDS, small_model

SHOWN = [IDS[1], IDS[2], "unknown", IDS[3], IDS[4], IDS[5]]
ANSWERS = [1, 1, 0, 0, 1, 0]


@pytest.mark.parametrize(
    ("reads", "responses", "history", "answers"),
    [
        ("clicks", ANSWERS, [0, 1, 2, 4], None),
        ("clicks", None, [2, 3, 4, 5], None),
        ("responses", ANSWERS, [2, 3, 4, 5], [1, 0, 1, 0]),
        ("responses", None, [2, 3, 4, 5], [1, 1, 1, 1]),
    ],
)
def test_policies_are_told_what_they_read(
    reads: HistoryForm, responses: list[int] | None, history: list[int], answers: list[int] | None
) -> None:
    model = small_model(history=reads)
    request = RecommendRequest(history=SHOWN, responses=responses, n=2)
    read = read_request(request, model, model.catalogue)
    assert read.unknown_history == 1
    seen = observe([read], model.history_size, model.reads_responses)
    assert seen.history.tolist() == [history]
    assert seen.responses.tolist() == [answers or []]


def test_skips_change_what_a_policy_that_reads_them_answers() -> None:
    recommender = Recommender(small_model(history="responses"))
    scores = [
        recommender.recommend(RecommendRequest(history=SHOWN, responses=told, n=12)).scores
        for told in (None, [1] * 6, [0] * 6)
    ]
    assert scores[0] == scores[1] != scores[2]


def test_what_was_never_published_is_no_history() -> None:
    model = small_model(later=[2, 4])
    read = read_request(RecommendRequest(SHOWN, n=2), model, model.catalogue)
    assert (read.history, read.unknown_history) == ([1, 3, 5], 3)


def test_somebody_who_skipped_everything_is_new_to_a_policy_that_reads_clicks() -> None:
    model = small_model()
    read = read_request(RecommendRequest(SHOWN, responses=[0] * 6, n=2), model, model.catalogue)
    seen = observe([read], model.history_size, model.reads_responses)
    assert torch.equal(seen.history, torch.zeros(1, 4, dtype=torch.int64))


@pytest.mark.parametrize(
    ("history", "responses", "field"),
    [
        (SHOWN, [1], "responses"),
        (None, [1], "responses"),
        ([], [], "history"),
        (SHOWN, [1, 1, 2, 0, 0, 0], "responses.2"),
        (SHOWN, [1, True, 1, 0, 0, 0], "responses.1"),
        (SHOWN, [1, 0.5, 1, 0, 0, 0], "responses.1"),
        (SHOWN, [1, "1", 1, 0, 0, 0], "responses.1"),
    ],
)
def test_bad_responses_are_refused(history: Any, responses: Any, field: str) -> None:
    model = small_model()
    with pytest.raises(RequestError) as caught:
        read_request(RecommendRequest(history, responses=responses), model, model.catalogue)
    assert caught.value.field == field
