"""Hashes that tell one evaluation from another."""

from __future__ import annotations

import hashlib

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
        *(part.model_dump_json() for part in (rules.session, rules.reward)),
        # without a cap the hash is what it was before there was one
        rules.candidates.model_dump_json(exclude_none=True),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
