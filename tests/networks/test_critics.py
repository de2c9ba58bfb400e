from __future__ import annotations

import pytest
import torch

from hsrl_pipeline.networks.critics import ActionValues, StateValue


def test_a_state_has_one_value() -> None:
    assert StateValue(4, 8)(torch.randn(5, 4)).shape == (5,)


def test_twin_critics_differ_and_the_first_is_what_actors_ascend() -> None:
    torch.manual_seed(0)
    critics = ActionValues(4, 2, 8, n_critics=2)
    states, latent = torch.randn(5, 4), torch.randn(5, 2)
    values = critics(states, latent)
    assert values.shape == (2, 5)
    assert not torch.allclose(values[0], values[1])
    assert torch.allclose(critics.first(states, latent), values[0])


def test_actions_of_another_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="latent"):
        ActionValues(4, 2, 8, 1)(torch.zeros(5, 4), torch.zeros(4, 2))
