"""A slate and the rest of the catalogue: by hand, by plain softmaxes, gradients by differences."""

from __future__ import annotations

import math

import pytest
import torch

from hsrl_pipeline.losses.slate_and_rest import HIDDEN, SlateAndRest, split_slate

N_ITEMS, BATCH = 9, 3
SLATES = torch.tensor([[1, 4], [9, 2], [3, 5]])
SHOWN = torch.tensor([[2, 0], [0, 0], [3, 7]])
ABSENT = torch.zeros(N_ITEMS + 1, dtype=torch.bool)
ABSENT[[6, 9]] = True
SHELVES = [torch.tensor([1, 2, 3, 9]), torch.tensor([4, 5, 6, 7, 8])]


def draw_scores(scale: float = 1.0) -> torch.Tensor:
    torch.manual_seed(0)
    scores = torch.randn(BATCH, N_ITEMS + 1, dtype=torch.float64) * scale
    scores[:, 0] = -torch.inf
    return scores


def split(scores: torch.Tensor, *, all_rules: bool = True) -> SlateAndRest:
    return split_slate(
        scores,
        SLATES,
        SHOWN,
        absent=ABSENT if all_rules else None,
        shelves=SHELVES if all_rules else None,
    )


def test_by_hand() -> None:
    scores = torch.tensor([[-math.inf, 0.0, math.log(2.0), math.log(3.0), 5.0]])
    found = split_slate(scores, torch.tensor([[4, 1]]), torch.zeros(1, 0, dtype=torch.int64))
    torch.testing.assert_close(found.chosen, torch.tensor([[5.0, 0.0]]))
    assert not found.hidden.any()
    # of items 2 and 3, with shares 2/5 and 3/5
    torch.testing.assert_close(found.log_mass, torch.tensor([[math.log(5.0)]]))
    mean = 0.4 * math.log(2.0) + 0.6 * math.log(3.0)
    torch.testing.assert_close(found.mean_score, torch.tensor([[mean]]))


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_rest_is_what_may_be_shown_and_is_not_on_the_slate(scale: float) -> None:
    found = split(draw_scores(scale))
    for row, scores in enumerate(draw_scores(scale)):
        out = {*SLATES[row].tolist(), *SHOWN[row].tolist(), 6, 9}
        for shelf, items in enumerate(SHELVES):
            left = scores[[item for item in items.tolist() if item not in out]]
            torch.testing.assert_close(found.log_mass[row, shelf], left.logsumexp(0))
            torch.testing.assert_close(found.mean_score[row, shelf], left.softmax(0) @ left)
    assert found.hidden.tolist() == [[False, False], [True, False], [True, False]]
    torch.testing.assert_close(found.chosen, draw_scores(scale).gather(1, SLATES))


@pytest.mark.parametrize("all_rules", [True, False])
def test_gradients(all_rules: bool) -> None:
    scores = draw_scores()[:, 1:].requires_grad_()

    def of_items(values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        padded = torch.nn.functional.pad(values, (1, 0), value=-torch.inf)
        found = split(padded, all_rules=all_rules)
        return found.chosen, found.log_mass, found.mean_score

    assert torch.autograd.gradcheck(of_items, (scores,))


def test_with_nothing_left_all_is_finite() -> None:
    scores = torch.tensor([[-math.inf, 1.0, 2.0]], requires_grad=True)
    found = split_slate(scores, torch.tensor([[2, 1]]), torch.zeros(1, 0, dtype=torch.int64))
    assert found.log_mass.item() < HIDDEN / 2
    (found.chosen.sum() + 0.0 * found.log_mass.sum()).backward()
    assert scores.grad.tolist() == [[0.0, 1.0, 1.0]]


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="slates"):
        split_slate(draw_scores(), SLATES[:1], SHOWN)
