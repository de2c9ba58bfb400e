"""Gymnasium environments over the simulated sessions: one session, or many on tensors."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.gym.action_arrays import action_tensor
from hsrl_pipeline.simulator.gym.spaces import SlateSpace, observation_space
from hsrl_pipeline.simulator.gym.state_features import StateFeatures
from hsrl_pipeline.simulator.slate_env import SlateSessions

Arrays = Any
"""An observation for the outside: a dict of arrays or one array, by the environment's space."""


class _SessionView:
    """Shows observations of the sessions in the form of the environment's space."""

    def __init__(
        self,
        sessions: SlateSessions,
        category_sizes: tuple[int, ...],
        features: StateFeatures | None,
    ) -> None:
        horizon = sessions.rules.session.horizon
        self._features = features
        self.fields = observation_space(
            sessions.observation, category_sizes, sessions.n_items, horizon
        )
        self.space: gymnasium.Space[Any] = features.space if features else self.fields
        setting = sessions.setting
        self.actions = SlateSpace(setting.n_items, setting.slate_size, setting.shelves)

    def show(self, observation: Observation) -> dict[str, torch.Tensor] | torch.Tensor:
        """Return a batch as tensors in the form of the space."""
        if self._features is not None:
            return self._features.flatten(observation)
        named = observation._replace(step=observation.step[:, None])._asdict()
        return {name: named[name] for name in self.fields}


class SlateRecEnv(gymnasium.Env[Arrays, NDArray[np.int64]]):
    """One simulated session at a time.

    The action is a slate of distinct items. The observation of a step that ends the session is
    the user's own last one; ``reset`` brings the next user. All randomness comes from the seed:
    that of the sessions until ``reset`` gives another.

    Args:
        sessions: Exactly one session.
        category_sizes: Cardinality of each categorical user feature.
        features: Flattens observations; None shows them as a dict of arrays.

    Raises:
        ValueError: There is not exactly one session.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]

    def __init__(
        self,
        sessions: SlateSessions,
        category_sizes: tuple[int, ...],
        features: StateFeatures | None = None,
    ) -> None:
        if sessions.batch_size != 1:
            raise ValueError(f"a scalar environment needs 1 session, not {sessions.batch_size}")
        self.sessions = sessions
        self._view = _SessionView(sessions, category_sizes, features)
        self.observation_space = self._view.space
        self.action_space = self._view.actions
        self._fresh = True
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Arrays, dict[str, Any]]:
        """Start a session with a new user.

        Args:
            seed: Restarts the random stream; without it the stream goes on.
            options: Not used.

        Returns:
            The first observation, and an info dict with ``user_index``.
        """
        super().reset(seed=seed)
        # A finished session has been replaced already; drawing again would skip that user.
        if seed is not None or not self._fresh:
            self.sessions.reset(seed)
        self._fresh, self._over = False, False
        return self._first(self.sessions.observation), self._info()

    def set_catalogue(self, catalogue: LiveCatalogue) -> None:
        """Take slates of live items alone from now on; the running session goes on.

        Args:
            catalogue: Rows for all items of the environment.

        Raises:
            UserError: Too few live items for a session; nothing changes.
        """
        self.sessions.set_catalogue(catalogue)
        self._view.actions.set_live(catalogue.live)

    def step(self, action: Any) -> tuple[Arrays, float, bool, bool, dict[str, Any]]:
        """Show a slate and draw the feedback.

        Args:
            action: (slate,) whole numbers of any width: array, tensor or list. Distinct items in
                ``[1, n_items]``.

        Returns:
            Observation, reward, terminated (the user left), truncated (the horizon) and an info
            dict with ``user_index``, ``slate`` and ``clicks``.

        Raises:
            ResetNeeded: The session has ended or was never started.
            ValueError: The slate breaks a rule; names slot and item.
        """
        if self._over:
            raise ResetNeeded("the session has ended: call reset() for the next user")
        info = self._info()
        slates = action_tensor(action, self.sessions.device)[None]
        result = self.sessions.step(slates)
        terminated, truncated = bool(result.terminated), bool(result.truncated)
        self._fresh = self._over = terminated or truncated
        info |= {"slate": _array(slates[0]), "clicks": _array(result.clicks[0])}
        return (
            self._first(result.next_observation),
            float(result.reward),
            terminated,
            truncated,
            info,
        )

    def _first(self, observation: Observation) -> Arrays:
        shown = self._view.show(observation)
        if isinstance(shown, torch.Tensor):
            return _array(shown[0])
        return {name: _array(value[0]) for name, value in shown.items()}

    def _info(self) -> dict[str, Any]:
        return {"user_index": int(self.sessions.users)}


class SlateRecVectorEnv(VectorEnv[Arrays, Any, Any]):
    """Many sessions stepped at once on tensors; a finished one is replaced in the same step.

    ``infos["final_obs"]`` holds the last observations of the sessions that a step ended and
    ``infos["_final_obs"]`` says which. With numpy, it is Gymnasium's object array of one
    observation per session; with ``tensors``, one batch of the same form as the observations, in
    which the other rows are simply the next observations.

    Args:
        sessions: The sessions.
        category_sizes: Cardinality of each categorical user feature.
        features: Flattens observations; None shows them as a dict.
        tensors: Take and give torch tensors on the sessions' device instead of numpy arrays.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        sessions: SlateSessions,
        category_sizes: tuple[int, ...],
        features: StateFeatures | None = None,
        *,
        tensors: bool = False,
    ) -> None:
        self.sessions = sessions
        self._view = _SessionView(sessions, category_sizes, features)
        self._tensors = tensors
        self.num_envs = sessions.batch_size
        self.single_observation_space = self._view.space
        self.single_action_space = self._view.actions
        self.observation_space = batch_space(self._view.space, self.num_envs)
        self.action_space = batch_space(self._view.actions, self.num_envs)
        self._fresh = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Arrays, dict[str, Any]]:
        """Start all sessions anew.

        Args:
            seed: Restarts the random stream; without it the stream goes on.
            options: Not used.

        Returns:
            The first observations, and an info dict with ``user_index``.
        """
        super().reset(seed=seed)
        if seed is not None or not self._fresh:
            self.sessions.reset(seed)
        self._fresh = False
        return self._give(self._view.show(self.sessions.observation)), self._info()

    def set_catalogue(self, catalogue: LiveCatalogue) -> None:
        """Take slates of live items alone from now on; running sessions go on.

        Args:
            catalogue: Rows for all items of the environment.

        Raises:
            UserError: Too few live items for a session; nothing changes.
        """
        self.sessions.set_catalogue(catalogue)
        for space in (self._view.actions, self.action_space):
            if isinstance(space, SlateSpace):
                space.set_live(catalogue.live)

    def step(self, actions: Any) -> tuple[Arrays, Any, Any, Any, dict[str, Any]]:
        """Show a slate in every session and draw the feedback.

        Args:
            actions: (batch, slate) whole numbers of any width: array, tensor or lists. Distinct
                items in ``[1, n_items]`` in every row.

        Returns:
            Observations (of the next user where a session ended), rewards (float32), terminated,
            truncated and an info dict with ``user_index``, ``clicks`` and, when sessions ended,
            ``final_obs`` and ``_final_obs``.

        Raises:
            ValueError: A slate breaks a rule; names row, slot and item.
        """
        infos = self._info()
        result = self.sessions.step(action_tensor(actions, self.sessions.device))
        infos["clicks"] = self._give(result.clicks)
        finished = result.terminated | result.truncated
        if bool(finished.any()):
            infos["final_obs"] = self._final(result.next_observation, finished)
            infos["_final_obs"] = self._give(finished)
        return (
            self._give(self._view.show(result.observation)),
            self._give(result.reward),
            self._give(result.terminated),
            self._give(result.truncated),
            infos,
        )

    def _final(self, last_observation: Observation, finished: torch.Tensor) -> Any:
        if self._tensors:
            return self._view.show(last_observation)
        rows = finished.nonzero().squeeze(1)
        last = self._give(self._view.show(last_observation.rows(rows)))
        table = np.full(self.num_envs, None, dtype=object)
        for index, row in enumerate(rows.tolist()):
            if isinstance(last, dict):
                table[row] = {name: value[index] for name, value in last.items()}
            else:
                table[row] = last[index]
        return table

    def _give(self, value: Any) -> Any:
        """Return tensors as they are, or as numpy arrays of the caller's own."""
        if self._tensors:
            return value
        if isinstance(value, dict):
            return {name: self._give(part) for name, part in value.items()}
        return _array(value)

    def _info(self) -> dict[str, Any]:
        return {"user_index": self._give(self.sessions.users)}


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    """Return a numpy array of the caller's own."""
    array: NDArray[Any] = tensor.detach().cpu().numpy().copy()
    return array
