"""Folders that keep what was made in the two regimes apart.

What was made with repeats has no folder of its own, so that files of before there were regimes
stay where they are.
"""

from __future__ import annotations

from typing import Any


def regime_folder(exclude_shown: Any, frequency_cap: Any) -> str:
    """Return the folder of the run's regime, as part of a path.

    Args:
        exclude_shown: ``candidates.exclude_shown``, as it was typed.
        frequency_cap: ``candidates.frequency_cap``, as it was typed.

    Returns:
        ``no_repeats/`` or nothing; nothing also for values that the parameters' check refuses.
    """
    from pydantic import ValidationError

    from hsrl_pipeline.config.session import CandidatesConfig

    typed = {"exclude_shown": exclude_shown, "frequency_cap": frequency_cap}
    try:
        return _folder(CandidatesConfig.model_validate(typed).regime)
    except ValidationError:
        return ""


def policy_regime_folder(policy_regime: str | None, own_folder: str) -> str:
    """Return the folder of the regime that the judged policy was trained in.

    Args:
        policy_regime: ``evaluation.policy_regime``; None for the run's.
        own_folder: Folder of the run's regime.
    """
    return own_folder if policy_regime is None else _folder(policy_regime)


def judged_as(policy_regime: str | None, own_folder: str, run: str) -> str:
    """Return the name of an evaluation's folder: ``<agent>[@<regime>]-seed<seed>``.

    Args:
        policy_regime: ``evaluation.policy_regime``; None for the run's.
        own_folder: Folder of the run's regime.
        run: ``<agent>-seed<seed>``.
    """
    if policy_regime is None or _folder(policy_regime) == own_folder:
        return run
    agent, _, seed = run.rpartition("-seed")
    return f"{agent}@{policy_regime}-seed{seed}"


def _folder(regime: str) -> str:
    return "" if regime == "repeats" else f"{regime}/"
