"""Item scores by look-ups: by hand, against brute force, and whoever else is in the catalogue."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hsrl_pipeline.networks.code_scores import INITIAL_SCORE_SHARE, CodeScores
from hsrl_pipeline.networks.code_tables import EMBEDDING_GAIN, GATE_GAIN

VOCABS = (3, 4, 2)
# items 1 to 8; 5 has no semantic ID, 7 and 8 share one
CODES = np.array(
    [
        [-1, -1, -1],
        [0, 0, 0],
        [0, 3, 1],
        [1, 0, 0],
        [1, 2, 1],
        [-1, -1, -1],
        [2, 3, 0],
        [2, 1, 1],
        [2, 1, 1],
    ]
)
N_ITEMS, WIDTH = len(CODES) - 1, 6
CODED = [item for item in range(1, N_ITEMS + 1) if CODES[item, 0] >= 0]
VECTORS = torch.from_numpy(np.random.default_rng(0).normal(size=(N_ITEMS + 1, 5))).float()
STATES = torch.randn(7, WIDTH, generator=torch.Generator().manual_seed(1))


def make_scores(codes: np.ndarray = CODES, **options: Any) -> CodeScores:
    torch.manual_seed(0)
    scores = CodeScores(
        WIDTH,
        codes,
        VOCABS,
        **{
            "context_size": 5,
            "temperature": 0.5,
            "item_vectors": VECTORS,
            "item_deviations": True,
            **options,
        },
    )
    with torch.no_grad():
        for weight in scores.parameters():
            weight.add_(torch.randn(weight.shape) * 0.3)
    return scores


def by_hand(scores: CodeScores, state: torch.Tensor, item: int) -> torch.Tensor:
    """Follow one item's codes for one state."""
    first, second, third = CODES[item]
    context = scores.expand(state)
    if scores.gate is not None:
        context = context * (1 + GATE_GAIN * scores.gate[first])
    context = context - EMBEDDING_GAIN * scores.code_embedding[first]
    context = F.layer_norm(context, (5,), scores.norm.weight, scores.norm.bias)
    total = scores.heads[0](state)[first]
    total = total + scores.heads[1](context)[second] + scores.heads[2](context)[third]
    total = total + scores.vector_query(state) @ VECTORS[item] + scores.deviations[item]
    return total / 0.5


@pytest.mark.parametrize("gated", [True, False])
def test_scores_by_hand(gated: bool) -> None:
    scores = make_scores(gated=gated)
    found = scores(STATES)
    for item in CODED:
        expected = torch.stack([by_hand(scores, state, item) for state in STATES])
        torch.testing.assert_close(found[:, item], expected)


def test_padding_and_items_without_a_semantic_id_are_never_chosen() -> None:
    found = make_scores()(STATES)
    assert (found[:, [0, 5]] == -torch.inf).all()
    assert found[:, CODED].isfinite().all()


@pytest.mark.parametrize("codes", [CODES, CODES[:, :1]])
def test_scores_of_given_items_are_those_of_the_catalogue(codes: np.ndarray) -> None:
    torch.manual_seed(0)
    priors = np.arange(N_ITEMS + 1, dtype=np.float32)
    scores = CodeScores(
        WIDTH, codes, VOCABS[: codes.shape[1]], item_vectors=VECTORS, item_priors=priors
    )
    items = torch.tensor([CODED[:4]] * len(STATES))
    torch.testing.assert_close(scores.of_items(STATES, items), scores(STATES).gather(1, items))


def test_an_item_scores_the_same_whoever_else_is_in_the_catalogue() -> None:
    scores = make_scores()
    before = scores(STATES)
    best = before.argmax(1).mode().values.item()
    codes = CODES.copy()
    codes[best] = -1
    codes[5] = [0, 3, 1]
    fewer = make_scores(codes)
    fewer.load_state_dict(scores.state_dict())
    after = fewer(STATES)
    staying = [item for item in CODED if item != best]
    assert torch.equal(before[:, staying], after[:, staying])
    assert (after[:, best] == -torch.inf).all()
    assert after[:, 5].isfinite().all()


@pytest.mark.parametrize("options", [{}, {"item_vectors": None, "item_deviations": False}])
def test_scores_without_gradients_are_the_same(options: dict[str, Any]) -> None:
    scores = make_scores(**options)
    with torch.no_grad():
        without = scores(STATES)
    torch.testing.assert_close(without, scores(STATES).detach())


def test_contexts_of_large_mean_and_small_deviation_are_exact() -> None:
    scores = make_scores()
    with torch.no_grad():
        scores.expand.weight.mul_(0.1)
        scores.expand.bias.fill_(300.0)
        scores.gate.mul_(1e-4)
        found = scores(STATES)
    torch.testing.assert_close(scores(STATES).detach(), found, rtol=1e-3, atol=1e-3)


def test_gradients_reach_every_weight() -> None:
    scores = make_scores()
    weight = torch.randn(7, N_ITEMS + 1)
    (scores(STATES)[:, CODED] * weight[:, CODED]).sum().backward()
    assert all(part.grad is not None for part in scores.parameters())
    assert scores.deviations.grad[0] == 0 and scores.deviations.grad[5] == 0


def test_gradients_of_all_items_are_those_of_given_items() -> None:
    gradients = []
    for name in ("forward", "of_items"):
        scores = make_scores()
        items = torch.tensor([CODED] * len(STATES))
        value = (
            scores(STATES).gather(1, items) if name == "forward" else scores.of_items(STATES, items)
        )
        value.square().sum().backward()
        gradients.append([part.grad for part in scores.parameters()])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


def test_the_penalty_is_the_sum_of_squares() -> None:
    scores = make_scores()
    with torch.no_grad():
        scores.deviations.copy_(torch.arange(N_ITEMS + 1.0))
    assert scores.deviation_penalty() == sum(item**2 for item in range(N_ITEMS + 1))
    assert make_scores(item_deviations=False).deviation_penalty() == 0


def test_without_deviations_no_weight_grows_with_the_catalogue() -> None:
    larger = np.concatenate([CODES, CODES[1:]])
    shapes = [
        [tuple(part.shape) for part in make_scores(codes, item_vectors=vectors,
                                                   item_deviations=False).parameters()]
        for codes, vectors in ((CODES, VECTORS), (larger, torch.cat([VECTORS, VECTORS[1:]])))
    ]  # fmt: skip
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("options", [{}, {"item_vectors": None, "item_deviations": False}])
def test_a_few_states_have_the_scores_that_they_have_among_many(options: dict[str, Any]) -> None:
    scores = make_scores(**options)
    with torch.no_grad():
        together = scores(STATES)
        for row in range(len(STATES) - 1):
            few = scores(STATES[row : row + 2])
            torch.testing.assert_close(few, together[row : row + 2], rtol=1e-5, atol=1e-6)
    assert (scores(STATES[:1])[0] == -torch.inf).nonzero().flatten().tolist() == [0, 5]


def test_untrained_scores_are_nearly_even() -> None:
    torch.manual_seed(0)
    scores = CodeScores(
        WIDTH, CODES, VOCABS, context_size=5, item_vectors=VECTORS, item_deviations=True
    )
    assert not scores.effects().any()
    for layer, width in zip((*scores.heads, scores.vector_query), (6, 5, 5, 6), strict=True):
        # a linear layer starts within one over the root of its width
        largest = max(float(weight.abs().max()) for weight in layer.parameters())
        assert 0.5 < largest * width**0.5 / INITIAL_SCORE_SHARE <= 1.0
