"""The click model of ``hsrl`` by hand: log-odds, and losses of sessions and of the log."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from hsrl_pipeline.agents.base import LogBatch
from hsrl_pipeline.agents.click_likelihood import ClickLikelihood
from hsrl_pipeline.agents.drawn_slates import DrawnSlates

SHELF_OF = torch.tensor([0, 0, 0, 1, 1])
STATE = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
# levels of the two shelves: 1 and 4.5 in the first state, 0 and -1.5 in the second
LEVELS = torch.tensor([[1.0, 4.5], [0.0, -1.5]])
SLATES = torch.tensor([[1, 3], [2, 4]])
SCORES = torch.tensor([[-1.0, -2.0], [-3.0, 0.0]])
LOG_ODDS = torch.tensor([[0.5, 3.5], [-1.5, -1.5]])
CLICKS = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


def make_clicks(doubt_coef: float = 0.0) -> ClickLikelihood:
    bias = nn.Linear(2, 2)
    with torch.no_grad():
        bias.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
        bias.bias.copy_(torch.tensor([0.0, 0.0]))
        bias.weight[1, 0], bias.bias[1] = -3.0, 1.5
    return ClickLikelihood(bias, SHELF_OF, click_temperature=0.5, doubt_coef=doubt_coef)


def make_policy(without: int | None = None) -> SimpleNamespace:
    """A policy whose click scores are minus the number of the item."""
    has_code = torch.tensor([False, True, True, True, True])
    if without is not None:
        has_code[without] = False
    return SimpleNamespace(has_code=has_code, click_scores=lambda _, items: -items.float())


def cross_entropy(logits: torch.Tensor, clicks: torch.Tensor) -> torch.Tensor:
    return softplus(logits) - clicks * logits


def test_log_odds_are_linear_in_scores_above_the_level_of_the_shelf() -> None:
    clicks = make_clicks()
    torch.testing.assert_close(clicks.bias(STATE), LEVELS)
    torch.testing.assert_close(clicks.log_odds(STATE, SLATES, SCORES), LOG_ODDS)


@pytest.mark.parametrize("without", [None, 3])
def test_sessions_by_hand_where_an_item_without_a_code_counts_as_nothing(
    without: int | None,
) -> None:
    drawn = DrawnSlates(STATE, None, SLATES, CLICKS)
    found = make_clicks().loss_of_sessions(make_policy(without), drawn, SCORES)
    terms = cross_entropy(LOG_ODDS, CLICKS)
    if without is not None:
        terms[0, 1] = 0.0
    torch.testing.assert_close(found, terms.sum() / 4)


@pytest.mark.parametrize("doubt_coef", [0.0, 2.0])
def test_a_doubted_item_is_a_share_of_an_exposure_without_click(doubt_coef: float) -> None:
    log = LogBatch(None, SLATES, CLICKS)
    doubted = torch.tensor([[2], [4]])
    found = make_clicks(doubt_coef).loss_of_log(make_policy(), STATE, log, doubted)
    logged = torch.tensor([[1 - 0.5, 4.5 - 1.5], [0.0 - 1.0, -1.5 - 2.0]])
    of_doubted = torch.tensor([1.0 - 1.0, -1.5 - 2.0])
    # one slot of each slate of two
    expected = cross_entropy(logged, CLICKS).mean() + doubt_coef * softplus(of_doubted).mean() / 2
    torch.testing.assert_close(found, expected)
