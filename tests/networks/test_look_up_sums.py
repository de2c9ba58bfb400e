"""Scores of a catalogue as matrix products: values by the formula, gradients by differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hsrl_pipeline.networks import look_up_sums
from hsrl_pipeline.networks.look_up_sums import ContextRows, sum_look_ups

FIRST, FURTHER, ITEMS, BATCH, CONTEXT, VECTOR = 3, 5, 7, 2, 4, 3
FIRST_CODES = torch.tensor([0, 2, 1, 1, 0, 2, 2])
FURTHER_CODES = torch.tensor([[0, 3], [1, 4], [2, 3], [2, 4], [0, 3], [1, 3], [2, 4]])
HAS_SCORE = torch.tensor([False, True, True, True, True, False, True])


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64).requires_grad_()


def make_inputs() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "first": draw(FIRST, BATCH),
        "numbers": draw(ITEMS),
        "query": draw(BATCH, VECTOR),
        "projected": draw(BATCH, CONTEXT),
        "gates": draw(FIRST, CONTEXT),
        "rows": draw(FURTHER, CONTEXT),
        "offsets": draw(ITEMS),
        "scales": draw(FIRST, BATCH),
    }


VECTORS = torch.randn(
    ITEMS, VECTOR, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
)


def fast(**parts: torch.Tensor) -> torch.Tensor:
    names = ("projected", "gates", "rows", "offsets", "scales")
    contexts = None
    if "rows" in parts:
        contexts = ContextRows(*(parts[name] for name in names), FURTHER_CODES)
    return sum_look_ups(
        FIRST_CODES,
        parts["first"],
        parts["numbers"],
        HAS_SCORE,
        contexts=contexts,
        query=parts.get("query"),
        item_vectors=VECTORS if "query" in parts else None,
    )


def plain(**parts: torch.Tensor) -> torch.Tensor:
    """Item by item and state by state, as the formula says."""
    scores = []
    for state in range(BATCH):
        for item in range(ITEMS):
            z = FIRST_CODES[item]
            score = parts["first"][z, state] + parts["numbers"][item]
            if "rows" in parts:
                row = parts["rows"][FURTHER_CODES[item]].sum(0) * parts["gates"][z]
                product = parts["offsets"][item] + parts["projected"][state] @ row
                score = score + parts["scales"][z, state] * product
            if "query" in parts:
                score = score + VECTORS[item] @ parts["query"][state]
            scores.append(score)
    return torch.stack(scores).view(BATCH, ITEMS).masked_fill(~HAS_SCORE, -torch.inf)


@pytest.mark.parametrize("block", [3, 2**10])
@pytest.mark.parametrize("without", [(), ("query",), ("rows",), ("query", "rows")])
def test_scores_and_gradients_are_those_of_the_formula(
    monkeypatch: pytest.MonkeyPatch, without: tuple[str, ...], block: int
) -> None:
    monkeypatch.setattr(look_up_sums, "ITEMS_AT_A_TIME", block)
    weight = torch.randn(BATCH, int(HAS_SCORE.sum()), dtype=torch.float64)
    results: list[Any] = []
    for form in (fast, plain):
        parts = make_inputs()
        if "rows" in without:
            for name in ("projected", "gates", "offsets", "scales"):
                del parts[name]
        for name in without:
            del parts[name]
        scores = form(**parts)
        (scores[:, HAS_SCORE] * weight).sum().backward()
        results.append((scores.detach(), {name: part.grad for name, part in parts.items()}))
    torch.testing.assert_close(results[0], results[1])
    assert (results[0][0][:, ~HAS_SCORE] == -torch.inf).all()


def test_no_gradient_comes_from_items_without_a_score() -> None:
    parts = make_inputs()
    fast(**parts).backward(torch.ones(BATCH, ITEMS, dtype=torch.float64))
    assert not parts["numbers"].grad[~HAS_SCORE].any()
    assert (parts["numbers"].grad[HAS_SCORE] == BATCH).all()
