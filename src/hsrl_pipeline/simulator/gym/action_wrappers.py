"""Gymnasium wrappers that let agents act by semantic tokens or by a continuous hyper-action."""

from __future__ import annotations

from typing import Any, cast

import gymnasium
import numpy as np
import torch
from gymnasium.vector import VectorActionWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from hsrl_pipeline.simulator.gym.action_arrays import action_tensor
from hsrl_pipeline.simulator.gym.action_decoders import ActionDecoder
from hsrl_pipeline.simulator.gym.env import SlateRecEnv, SlateRecVectorEnv


class DecodedActions(gymnasium.ActionWrapper[Any, Any, Any]):
    """Takes the actions of a decoder instead of slates, in one session.

    Args:
        env: A ``SlateRecEnv``, possibly wrapped.
        decoder: ``SemanticTokenDecoder`` (MultiDiscrete) or ``HyperActionDecoder`` (Box).
    """

    def __init__(self, env: gymnasium.Env[Any, Any], decoder: ActionDecoder) -> None:
        super().__init__(env)
        self.action_space = decoder.space
        self._decoder = decoder

    def action(self, action: Any) -> NDArray[np.int64]:
        """Return the slate that an action stands for."""
        sessions = cast(SlateRecEnv, self.unwrapped).sessions
        actions = action_tensor(action, sessions.device)[None]
        slates = self._decoder.decode(actions, sessions.observation.shown)
        return slates[0].cpu().numpy()


class DecodedVectorActions(VectorActionWrapper):
    """Takes the actions of a decoder instead of slates, in many sessions.

    Args:
        env: A ``SlateRecVectorEnv``, possibly wrapped.
        decoder: ``SemanticTokenDecoder`` (MultiDiscrete) or ``HyperActionDecoder`` (Box).
    """

    def __init__(self, env: Any, decoder: ActionDecoder) -> None:
        super().__init__(env)
        self.single_action_space = decoder.space
        self.action_space = batch_space(decoder.space, env.num_envs)
        self._decoder = decoder

    def actions(self, actions: Any) -> torch.Tensor:
        """Return (batch, slate) int64, the slates that actions stand for."""
        sessions = cast(SlateRecVectorEnv, self.unwrapped).sessions
        batch = action_tensor(actions, sessions.device)
        return self._decoder.decode(batch, sessions.observation.shown)
