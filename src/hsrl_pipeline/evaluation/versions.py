"""Hashes that tell one evaluation from another."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting
from hsrl_pipeline.provenance import checkpoint_version

SESSION_CODE = ("evaluation", "simulator")
SESSION_MODULES = (
    "agents/slate_selection.py",
    "data/slate_log.py",
    "observation.py",
    "seeding.py",
    "shapes.py",
)
"""Where the code lies that decides what references do in sessions."""


def sessions_version(
    dataset_version: str,
    evaluation: EvaluationConfig,
    setting: EvaluationSetting,
    judge: str | None = None,
) -> str:
    """Return a hash that is equal where policies met the same users, draws and rules.

    Args:
        dataset_version: Version of the dataset.
        evaluation: Names the split that sessions start from.
        setting: Pool, seed and rules.
        judge: Whose recorded answers sessions start from instead of a split; None: the split's.
    """
    rules = setting.sessions
    parts: tuple[object, ...] = (
        dataset_version,
        evaluation.split if judge is None else judge,
        setting.seed,
        rules.slate_size,
        # what policies see of a session is not part of it
        rules.session.model_dump_json(exclude={"history"}),
        rules.reward.model_dump_json(),
        # without a cap the hash is what it was before there was one
        rules.candidates.model_dump_json(exclude_none=True),
    )
    if setting.pool.numbers is not None:
        # without newcomers the hash is what it was before anybody's taste was inferred
        parts = (*parts, "tastes inferred before sessions")
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def code_version() -> str:
    """Return a hash of the code that decides what references do in sessions.

    Also of torch's version, because the last bits of its sums may change with it.
    """
    package = Path(__file__).parents[1]
    paths = sorted(path for part in SESSION_CODE for path in (package / part).rglob("*.py"))
    digest = hashlib.sha256(torch.__version__.encode())
    for path in [*paths, *(package / name for name in SESSION_MODULES)]:
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def array_version(*arrays: NDArray[np.generic]) -> str:
    """Return a hash of arrays: 12 hexadecimal digits."""
    return checkpoint_version(
        {"config": {}, "state": {str(number): array for number, array in enumerate(arrays)}}
    )
