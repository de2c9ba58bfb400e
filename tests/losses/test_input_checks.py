"""Every loss refuses, by name, an argument of another rank or type than its docstring says."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch

from hsrl_pipeline.losses import (
    auxiliary,
    deterministic_pg,
    policy_gradient,
    returns,
    slate_likelihood,
    supervised,
)

MODULES = (
    auxiliary,
    deterministic_pg,
    policy_gradient,
    returns,
    slate_likelihood,
    supervised,
)
ROW, PAIR = torch.full((2,), 0.5), torch.full((2, 3), 0.5)
SLATES = torch.tensor([[1, 2, 3], [4, 5, 0]])

LOSSES: dict[Callable[..., torch.Tensor], dict[str, Any]] = {
    auxiliary.pooled_items: {"item_table": torch.ones(6, 4), "slates": SLATES},
    auxiliary.alignment_loss: {"hyper_action": PAIR, "recovered": PAIR},
    auxiliary.representation_loss: {"log_prob": PAIR, "clicks": PAIR},
    auxiliary.gaussian_log_prob: {"sample": PAIR, "mean": PAIR, "std": PAIR},
    auxiliary.gaussian_entropy: {"std": PAIR},
    deterministic_pg.noisy_action: {"action": PAIR, "noise_std": 0.0, "noise_clip": 1.0},
    deterministic_pg.critics_loss: {"values": PAIR, "td_target": torch.ones(3)},
    deterministic_pg.deterministic_policy_loss: {"values": ROW},
    policy_gradient.policy_gradient_loss: {"advantage": ROW, "log_prob": PAIR},
    policy_gradient.level_entropies: {"level_log_probs": [PAIR, PAIR]},
    policy_gradient.entropy_of: {"log_probs": PAIR},
    policy_gradient.behavior_cloning_loss: {
        "log_prob": PAIR,
        "clicks": PAIR,
        "counted": SLATES > 0,
    },
    returns.td_target: {
        "reward": ROW,
        "terminated": ROW > 1,
        "next_value": ROW,
        "gamma": 0.9,
    },
    returns.lambda_return: {
        "reward": PAIR,
        "one_step_target": PAIR,
        "ended": PAIR > 1,
        "gamma": 0.9,
        "decay": 0.5,
    },
    returns.level_targets: {"target": ROW, "values": PAIR.t(), "decay": 0.5},
    returns.clipped_advantage: {"target": ROW, "value": ROW, "bound": 1.0},
    slate_likelihood.slate_log_prob: {"item_log_prob": -PAIR, "excluded": ROW},
    slate_likelihood.own_click_advantage: {"clicks": PAIR},
    slate_likelihood.group_click_advantage: {"clicks": torch.full((2, 4, 3), 0.5)},
    slate_likelihood.slate_credit_loss: {
        "log_prob": -PAIR,
        "clicks": PAIR,
        "advantage": ROW,
        "slate_credit_coef": 1.0,
        "item_credit": True,
    },
    supervised.click_loss: {"logits": PAIR, "clicks": PAIR, "slates": SLATES},
    supervised.sampled_negative_loss: {"logits": ROW, "slate_size": 3},
}
ARGUMENTS = [
    pytest.param(loss, name, id=f"{loss.__name__}-{name}")
    for loss, arguments in LOSSES.items()
    for name, value in arguments.items()
    if isinstance(value, torch.Tensor | list)
]


def other_type(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.dtype == torch.int64 else tensor.long()


def refusal_of(loss: Callable[..., torch.Tensor], name: str, change: Any) -> str:
    """Return the message for a call whose argument ``name`` was changed."""
    value = LOSSES[loss][name]
    changed = [value[0], change(value[1])] if isinstance(value, list) else change(value)
    with pytest.raises(ValueError) as caught:
        loss(**LOSSES[loss] | {name: changed})
    return str(caught.value)


def test_every_loss_is_in_the_table() -> None:
    public = {
        function
        for module in MODULES
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert public == set(LOSSES)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_what_the_docstring_says_is_accepted(loss: Callable[..., torch.Tensor]) -> None:
    assert loss(**LOSSES[loss]).isfinite().all()


@pytest.mark.parametrize(("loss", "name"), ARGUMENTS)
def test_another_type_is_refused_by_name(loss: Callable[..., torch.Tensor], name: str) -> None:
    message = refusal_of(loss, name, other_type)
    assert name in message
    assert "has dtype" in message


@pytest.mark.parametrize(("loss", "name"), ARGUMENTS)
def test_another_rank_is_refused(loss: Callable[..., torch.Tensor], name: str) -> None:
    assert "has shape" in refusal_of(loss, name, lambda tensor: tensor.unsqueeze(-1))
    assert "has shape" in refusal_of(loss, name, lambda tensor: tensor[0])
