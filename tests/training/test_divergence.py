"""Losses and weights that are not finite numbers stop a training."""

from __future__ import annotations

import pytest
import torch

from hsrl_pipeline.agents.base import UpdateStats
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.training.curves import Curves
from hsrl_pipeline.training.divergence import DivergenceCheck


class Weights:
    """All that the check asks of an agent."""

    name = "a2c"

    def __init__(self, *values: float) -> None:
        self._values = torch.tensor(values)

    def policy_state(self) -> dict[str, torch.Tensor]:
        return {"rows": torch.tensor([2**40]), "head": self._values}


def make_check(loss: float, *weights: float) -> DivergenceCheck:
    curves = Curves()
    curves.add(UpdateStats({"actor_loss": torch.tensor(loss)}))
    return DivergenceCheck(Weights(*weights), curves, metrics_every=50)


def test_finite_numbers_pass() -> None:
    check = make_check(0.5, 1.0, -1e30)
    check.check_losses(100)
    check.check_state(100)


@pytest.mark.parametrize("loss", [torch.nan, torch.inf, -torch.inf])
def test_a_loss_is_named_with_the_updates_since_the_last_look(loss: float) -> None:
    with pytest.raises(UserError, match="Training a2c broke down: actor_loss") as caught:
        make_check(loss, 1.0).check_losses(100)
    assert caught.value.where == "iteration 100 or the 50 before it"


@pytest.mark.parametrize("weight", [torch.nan, torch.inf])
def test_weights_are_looked_at_before_a_state_is_kept(weight: float) -> None:
    check = make_check(0.5, 1.0, weight)
    check.check_losses(100)
    with pytest.raises(UserError, match="weight head is not a finite number"):
        check.check_state(100)
