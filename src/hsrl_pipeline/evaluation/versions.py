"""Hashes that tell one evaluation from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting


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
    parts = (
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
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def checkpoint_version(checkpoint: Mapping[str, Any]) -> str:
    """Return a hash of a checkpoint's description and weights: 12 hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(checkpoint["config"], sort_keys=True).encode())
    for name in sorted(checkpoint["state"]):
        array = np.ascontiguousarray(np.asarray(checkpoint["state"][name]))
        digest.update(f"{name}{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:12]
