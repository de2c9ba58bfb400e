"""What a resumed run must share with the interrupted one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.errors import UserError

FREE_OF_THE_RESULT = ("n_iterations", "resume", "device", "collapse_items", "checkpoint_every")

STATE_LAYOUT = 3
"""Raised when checkpoints of older versions can't be resumed from."""


def run_identity(
    facts: Mapping[str, Any], agent_name: str, config: TrainingConfig, seed: int
) -> dict[str, Any]:
    """Return all that decides what a run's state at some iteration is.

    Args:
        facts: What the caller knows besides: versions of the data, settings by parameter name.
        agent_name: Registered name of the agent.
        config: Settings of the training loop.
        seed: Seed of the run.

    Returns:
        A tree of JSON-able values, named as the parameters are.
    """
    free = set(FREE_OF_THE_RESULT)
    if config.final_learning_rate_share < 1.0:
        # step sizes that fall to the end of the run make its length part of the result
        free.remove("n_iterations")
    if config.return_steps == 1:
        # so that checkpoints of one-step targets resume, those of earlier versions included
        free |= {"return_steps", "return_decay"}
    if not config.disagreement_penalty:
        # so that checkpoints of runs without one resume, those of earlier versions included
        free.add("disagreement_penalty")
    return {
        **facts,
        "agent": agent_name,
        "seed": seed,
        "state_layout": STATE_LAYOUT,
        "training": config.model_dump(mode="json", exclude=free),
    }


def check_same_run(kept: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse the state of a run that would not have come to the same results.

    Args:
        kept: ``run_identity`` of the checkpoint.
        own: That of this run.

    Raises:
        UserError: Another version wrote the checkpoint, or settings differ; names them.
    """
    if kept.get("state_layout") != own["state_layout"]:
        raise UserError(
            "The checkpoint was made by another version of hsrl_pipeline",
            where="training.resume",
            remedy="Train without training.resume.",
        )
    differing = _differences(kept, own)
    if differing:
        raise UserError(
            f"The checkpoint was made with other settings: {', '.join(differing)}",
            where="training.resume",
            remedy="Restore those settings, or train without training.resume.",
        )


def _differences(kept: Any, own: Any, name: str = "") -> list[str]:
    if isinstance(kept, Mapping) and isinstance(own, Mapping):
        return [
            difference
            for part in sorted({**kept, **own})
            for difference in _differences(
                kept.get(part), own.get(part), f"{name}.{part}" if name else part
            )
        ]
    return [] if kept == own else [f"{name} (was {json.dumps(kept)}, is {json.dumps(own)})"]
