"""The benchmark of rare items on a small catalogue: what it draws, judges and finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from benchmarks.bench_rare_items import (
    Task,
    accuracy_lines,
    best_items,
    learn,
    make_task,
    nearest_scores,
    shape_lines,
)
from benchmarks.synthetic_catalogue import SyntheticCatalogue

from benchmarks import bench_rare_items
from hsrl_pipeline.seeding import torch_generator

SHAPE = (2, 16)


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task(3000, 16)


@pytest.fixture(scope="module")
def codes(task: Task) -> np.ndarray:
    return shape_lines(task, SHAPE)[1]


def test_bands_part_the_catalogue_by_popularity(task: Task) -> None:
    assert task.bands == ((1, 1000), (1001, 3000))
    assert make_task(1000, 4).bands == ((1, 1000),)
    for (first, last), (_, wanted, users) in zip(task.bands, task.judged(), strict=True):
        assert first <= int(wanted.min()) < first + 20 and last - 20 < int(wanted.max()) <= last
        torch.testing.assert_close(users.norm(dim=1), torch.ones(len(users)))


def test_the_accuracy_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Padding never wins; of equal scores the more popular item does."""
    table = torch.tensor([[9.0, 1.0, 3.0, 2.0], [9.0, 5.0, 4.0, 0.0], [9.0, 0.0, 1.0, 1.0]])
    users = torch.tensor([[0.0], [1.0], [2.0]])

    def scores(rows: torch.Tensor, items: torch.Tensor | None) -> torch.Tensor:
        return table[rows[:, 0].long()]

    assert best_items(scores, users).tolist() == [2, 1, 2]
    task = Task(SyntheticCatalogue(np.zeros((3, 1), np.float32), np.zeros(3)), ((1, 1), (2, 3)), 0)
    judged = [("first", torch.tensor([2, 1, 3]), users), ("other", torch.tensor([2, 3, 1]), users)]
    monkeypatch.setattr(Task, "judged", lambda self: judged)
    codes = np.array([[-1], [0], [1], [1]])
    lines = list(accuracy_lines("toy", task, scores, codes))
    assert [line.value for line in lines] == pytest.approx([200 / 3, 100 / 3])
    assert [line.ratio for line in lines] == pytest.approx([1.0, 0.5])
    assert lines[0].reference == "66.7 % of the most popular; its codes 100 %"
    assert lines[1].reference == "66.7 % of the most popular; its codes 33.3 %"


def test_drawn_items_are_corrected_for_how_often_they_are_drawn() -> None:
    """Items 1 and 2 share a first code, 3 to 8 have another."""
    codes = np.array([[-1, -1], *[[0, item] for item in (0, 1)], *[[1, item] for item in range(6)]])
    negatives = bench_rare_items._Negatives(codes, 2, torch_generator(0, "test"))
    wanted = torch.tensor([1, 8]).repeat(50)
    items, log_odds = negatives.beside(wanted)
    half = bench_rare_items.N_NEGATIVES // 2
    assert items.shape == log_odds.shape == (100, 1 + 2 * half)
    assert torch.equal(items[:, 0], wanted) and not log_odds[:, 0].any()
    near = items[:, 1 + half :]
    assert set(near[::2].unique().tolist()) == {1, 2}
    assert set(near[1::2].unique().tolist()) == {3, 4, 5, 6, 7, 8}
    expected = {(0, 0): half / 8 + half / 2, (0, 1): half / 8, (1, 1): half / 8 + half / 6}
    for row, item, value in ((0, 1, (0, 0)), (0, 3, (0, 1)), (1, 8, (1, 1))):
        drawn = log_odds[row, 1:][items[row, 1:] == item]
        torch.testing.assert_close(drawn, torch.full_like(drawn, math.log(expected[value])))
        # as often as said, over all rows alike
        share = (items[row::2, 1:] == item).float().sum(1).mean().item()
        assert share == pytest.approx(expected[value], rel=0.15)


def test_heads_learn_and_only_those_that_know_content_find_what_was_never_wanted(
    task: Task, codes: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_rare_items, "LEARNING_RATE", 5e-3)
    found = {}
    for head, n_steps in (("look_up", 0), ("look_up", 100), ("codes", 100), ("rows", 100)):
        scores = learn(task, head, codes, (SHAPE[1],) * SHAPE[0], n_steps=n_steps)
        found[head, n_steps] = [line.value for line in accuracy_lines(head, task, scores)]
    bound = [line.value for line in accuracy_lines("nearest", task, nearest_scores(task))]
    assert min(bound) > 70
    assert found["look_up", 100][0] > found["look_up", 0][0] + 10
    assert found["look_up", 100][1] > found["rows", 100][1] + 10
    assert found["codes", 100][0] > 5


@pytest.mark.parametrize("head", ["codes", "look_up"])
def test_scores_of_given_items_are_those_among_all(
    task: Task, codes: np.ndarray, head: str
) -> None:
    scores = learn(task, head, codes, (SHAPE[1],) * SHAPE[0], n_steps=5)
    _, wanted, users = next(task.judged())
    items = torch.stack([wanted, wanted.flip(0)], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(scores(users, items), scores(users, None).gather(1, items))


def test_a_shape_is_described(task: Task) -> None:
    lines, codes = shape_lines(task, SHAPE)
    assert [line.name for line in lines] == [
        "rare_items.2x16.unique_share",
        "rare_items.2x16.reconstruction_error",
    ]
    _, counts = np.unique(codes[1:], axis=0, return_counts=True)
    assert lines[0].value == pytest.approx(100 * (counts == 1).sum() / 3000)
    assert f"largest group {counts.max()}" in lines[0].reference
    assert (codes[0] == -1).all() and len(codes) == 3001
