"""Training an agent, or going on where a killed run of it stopped."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch

from hsrl_pipeline.agents.base import Agent
from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.training.checkpoint_store import CheckpointStore
from hsrl_pipeline.training.early_stopping import EarlyStopping
from hsrl_pipeline.training.log_sampler import LogSampler
from hsrl_pipeline.training.trainer import MetricStream, Trainer

logger = logging.getLogger(__name__)


def train_agent(
    agent: Agent,
    config: TrainingConfig,
    *,
    seed: int,
    device: torch.device,
    sessions: SlateSessions | None = None,
    log: LogSampler | None = None,
    stopping: EarlyStopping | None = None,
    on_metrics: MetricStream | None = None,
    checkpoints: CheckpointStore | None = None,
    identity: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Train an agent, resuming from the kept checkpoint when the configuration says so.

    Args:
        agent: The learner, untrained; trained when this returns.
        config: Length, batch sizes, resume.
        seed: Seed of the run.
        device: Where agent and sessions live.
        sessions: Training environment, for agents that interact.
        log: Logged slates of the training split, for agents that use them.
        stopping: Ends training early; without it, all iterations are done.
        on_metrics: Gets every point of the curves as it is made.
        checkpoints: Keeps the last good state; without it nothing can be resumed.
        identity: JSON-able facts that a resumed run must share with the interrupted one.

    Returns:
        The training curves: ``iteration`` int64 and float64 figures.

    Raises:
        UserError: Training broke down, or the checkpoint does not fit the settings.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        trainer = Trainer(
            agent,
            config,
            seed=seed,
            device=device,
            sessions=sessions,
            log=log,
            stopping=stopping,
            identity=identity,
        )
        trainer.seed_global_draws()
        kept = checkpoints.load() if checkpoints is not None and config.resume else None
        if kept is not None:
            trainer.load_state_dict(kept)
        elif checkpoints is not None:
            # a checkpoint of an earlier run must not be taken for this one's
            checkpoints.discard()
        if config.resume:
            logger.info(
                "Resuming %s from iteration %d", agent.name, kept["iteration"] if kept else 0
            )
        trainer.run(on_metrics, checkpoints)
        return trainer.history()
