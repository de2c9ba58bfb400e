"""Gymnasium environments from what a trained project has persisted, in one line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.io.project_artifacts import BASE_DATASET, ProjectArtifacts
from hsrl_pipeline.io.project_sessions import project_sessions
from hsrl_pipeline.seeding import fresh_seed

if TYPE_CHECKING:
    import gymnasium
    from gymnasium.vector import VectorEnv

    from hsrl_pipeline.simulator.gym.action_decoders import ActionDecoder
    from hsrl_pipeline.simulator.gym.env import SlateRecEnv
    from hsrl_pipeline.simulator.gym.state_features import StateFeatures
    from hsrl_pipeline.simulator.slate_env import SlateSessions

Simulator = Literal["train", "eval"]
Observations = Literal["dict", "features"]
Actions = Literal["items", "tokens", "vector"]


class _EnvParts:
    """Sessions of a project and what their environments need around them."""

    def __init__(
        self,
        project: str | Path,
        dataset: str,
        simulator: Simulator,
        *,
        n_sessions: int,
        seed: int | None,
        split: str | None,
        parameters: Mapping[str, Any] | None,
        device: str,
    ) -> None:
        from hsrl_pipeline.simulator.slate_env import SlateSessions

        _refuse_unknown("simulator", simulator, ("train", "eval"))
        stream = fresh_seed() if seed is None else _checked_seed(seed)
        self._artifacts = ProjectArtifacts(project, dataset, parameters)
        parts = project_sessions(self._artifacts, simulator, split=split, device=device)
        self._info, self._setting = parts.info, parts.setting
        self.category_sizes = parts.users.category_sizes
        self.sessions: SlateSessions = SlateSessions(
            parts.judge,
            parts.pool,
            self._setting,
            batch_size=n_sessions,
            seed=stream,
        )

    def features(self, observations: Observations) -> StateFeatures | None:
        """Return what flattens observations, or None for a dict of arrays."""
        from hsrl_pipeline.simulator.gym.state_features import StateFeatures

        _refuse_unknown("observations", observations, ("dict", "features"))
        if observations == "dict":
            return None
        return StateFeatures(
            self.category_sizes,
            len(self._info.dense_fields),
            self._vectors(),
            self._setting.session.horizon,
            self._setting.device,
            history=self._setting.session.history,
        )

    def decoder(self, actions: Actions) -> ActionDecoder | None:
        """Return what turns actions into slates, or None for slates."""
        from hsrl_pipeline.semantic_ids.item_priors import prior_table
        from hsrl_pipeline.simulator.gym.action_decoders import (
            HyperActionDecoder,
            SemanticTokenDecoder,
        )

        _refuse_unknown("actions", actions, ("items", "tokens", "vector"))
        if actions == "items":
            return None
        setting = self._setting
        rules = setting.slate_size, setting.shelves, setting.device
        if actions == "vector":
            return HyperActionDecoder(self._vectors(), *rules)
        codebook = self._artifacts.load("codebook")
        priors = prior_table(self._artifacts.load("item_priors"), self._info.n_items)
        return SemanticTokenDecoder(
            codebook.codes, tuple(codebook.vocab_sizes), *rules, priors=priors
        )

    def _vectors(self) -> np.ndarray:
        from hsrl_pipeline.semantic_ids.vector_checkpoints import vectors_for_policies

        return vectors_for_policies(self._artifacts.load("item_vectors"))


def make_slate_env(
    project: str | Path = ".",
    dataset: str = BASE_DATASET,
    simulator: Simulator = "train",
    *,
    observations: Observations = "dict",
    actions: Actions = "items",
    seed: int | None = None,
    split: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> gymnasium.Env[Any, Any]:
    """Return one simulated session at a time, as ``hsrl_pipeline/SlateRec-v0``.

    Args:
        project: Root folder of a project whose simulators were trained.
        dataset: Name of the dataset.
        simulator: ``train``, the only one to learn on, or ``eval``.
        observations: ``dict`` of arrays, or ``features``: one flat row of numbers.
        actions: ``items`` (a slate), ``tokens`` (a semantic ID per slot) or ``vector`` (a
            hyper-action in item-vector space).
        seed: Seed until ``reset`` gives another; None for one that nobody knows, another one in
            every environment.
        split: Whose users start sessions: ``train``, ``test`` or ``all``. By default the training
            split for ``train`` and ``evaluation.split`` for ``eval``.
        parameters: Nested overrides, as ``--params`` would give them.

    Raises:
        UserError: The project or an artifact is missing (says what to run first), or an argument
            is not one of those allowed.
    """
    from hsrl_pipeline.simulator.gym.action_wrappers import DecodedActions
    from hsrl_pipeline.simulator.gym.env import SlateRecEnv

    parts = _EnvParts(
        project,
        dataset,
        simulator,
        n_sessions=1,
        seed=seed,
        split=split,
        parameters=parameters,
        device="cpu",
    )
    env: SlateRecEnv = SlateRecEnv(
        parts.sessions, parts.category_sizes, parts.features(observations)
    )
    decoder = parts.decoder(actions)
    return env if decoder is None else DecodedActions(env, decoder)


def make_slate_vector_env(
    num_envs: int = 1,
    project: str | Path = ".",
    dataset: str = BASE_DATASET,
    simulator: Simulator = "train",
    *,
    observations: Observations = "dict",
    actions: Actions = "items",
    seed: int | None = None,
    split: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    tensors: bool = False,
    device: str = "cpu",
) -> VectorEnv[Any, Any, Any]:
    """Return many simulated sessions at once, see ``make_slate_env``.

    Args:
        num_envs: Number of parallel sessions.
        project: Root folder of a project whose simulators were trained.
        dataset: Name of the dataset.
        simulator: ``train``, the only one to learn on, or ``eval``.
        observations: ``dict`` or ``features``.
        actions: ``items``, ``tokens`` or ``vector``.
        seed: Seed until ``reset`` gives another; None for one that nobody knows.
        split: Whose users start sessions.
        parameters: Nested overrides, as ``--params`` would give them.
        tensors: Take and give torch tensors instead of numpy arrays.
        device: Torch device of the sessions.

    Raises:
        UserError: The project or an artifact is missing (says what to run first), or an argument
            is not one of those allowed.
    """
    from hsrl_pipeline.simulator.gym.action_wrappers import DecodedVectorActions
    from hsrl_pipeline.simulator.gym.env import SlateRecVectorEnv

    parts = _EnvParts(
        project,
        dataset,
        simulator,
        n_sessions=num_envs,
        seed=seed,
        split=split,
        parameters=parameters,
        device=device,
    )
    env = SlateRecVectorEnv(
        parts.sessions,
        parts.category_sizes,
        parts.features(observations),
        tensors=tensors,
    )
    decoder = parts.decoder(actions)
    return env if decoder is None else DecodedVectorActions(env, decoder)


def _checked_seed(seed: int) -> int:
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not whole or seed < 0:
        raise UserError(
            f"{seed!r} is no seed",
            where="seed",
            remedy="Give a whole number of at least 0, or None for one that nobody knows.",
        )
    return int(seed)


def _refuse_unknown(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(f"{value!r} is not one of {', '.join(allowed)}", where=name)
