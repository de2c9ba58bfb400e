"""One training run from canonical tables to a trained policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from hsrl_pipeline.agents.policy_checkpoint import agent_context, describe_policy
from hsrl_pipeline.agents.registry import build_agent
from hsrl_pipeline.config.agent_settings import AgentSettings
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable, SlateLog, UserTable
from hsrl_pipeline.seeding import derive_seed
from hsrl_pipeline.simulator.response_checkpoint import build_response_model
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.simulator.user_identity import users_as_read
from hsrl_pipeline.simulator.user_pool import UserPool
from hsrl_pipeline.training.checkpoint_store import CheckpointStore
from hsrl_pipeline.training.log_sampler import LogSampler
from hsrl_pipeline.training.trainer import MetricStream, resolve_device, train_agent


class SemanticIds(Protocol):
    """What training reads of a codebook."""

    @property
    def codes(self) -> np.ndarray:
        """(item, level) int64. Semantic IDs, row 0 all -1."""
        ...

    @property
    def vocab_sizes(self) -> tuple[int, ...]:
        """Vocabulary size of each level."""
        ...

    @property
    def version(self) -> str:
        """Hash of the content."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """What agents are trained on, from the training split alone.

    Attributes:
        info: Sizes of the dataset.
        users: User features.
        log: Logged slates of the training split.
        item_vectors: (item, embed) float32. Row 0 is zero.
        shelves: (item,) int64 or None.
        codebook: Semantic IDs.
    """

    info: DatasetInfo
    users: UserTable
    log: SlateLog
    item_vectors: np.ndarray
    shelves: np.ndarray | None
    codebook: SemanticIds

    @classmethod
    def from_tables(
        cls,
        *,
        dataset_info: Mapping[str, Any],
        users: pd.DataFrame,
        items: pd.DataFrame,
        slates: pd.DataFrame,
        timeline: pd.DataFrame,
        item_vectors: Mapping[str, Any],
        codebook: SemanticIds,
    ) -> TrainingData:
        """Return the training data held by the canonical tables and what was made from them."""
        info = DatasetInfo.from_dict(dataset_info)
        return cls(
            info=info,
            users=UserTable.from_frame(users, info),
            log=SlateLog.from_frames(slates, timeline).train,
            item_vectors=np.asarray(item_vectors["state"]["vectors"]),
            shelves=ItemTable.from_frame(items, info).shelves,
            codebook=codebook,
        )


def train_on(
    data: TrainingData,
    simulator: Mapping[str, Any],
    settings: AgentSettings,
    *,
    agent_name: str,
    training: TrainingConfig,
    session: SessionConfig,
    reward: RewardConfig,
    candidates: CandidatesConfig,
    seed: int,
    on_metrics: MetricStream | None = None,
    checkpoints: CheckpointStore | None = None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Build an agent and its sessions, train it and describe the result.

    Args:
        data: What to train on.
        simulator: Checkpoint of the training simulator, never of the evaluation one.
        settings: Settings of the agent.
        agent_name: Registered name of the agent.
        training: Length, batch sizes, device, resume.
        session: Horizon, patience, history window.
        reward: From clicks to reward.
        candidates: Rules for slates.
        seed: Seed of the run.
        on_metrics: Gets every point of the curves.
        checkpoints: Keeps the state to resume from.

    Returns:
        The policy checkpoint (``describe_policy``) and the training curves.
    """
    device = resolve_device(training.device)
    info, users = users_as_read(data.info, data.users, simulator)
    data = replace(data, info=info, users=users)
    context = agent_context(
        info,
        item_vectors=data.item_vectors,
        codes=data.codebook.codes,
        vocab_sizes=data.codebook.vocab_sizes,
        shelves=data.shelves,
        session=session,
        candidates=candidates,
        device=device,
        seed=seed,
    )
    agent = build_agent(agent_name, settings, context)
    history_size = session.history_size
    sessions = SlateSessions(
        build_response_model(dict(simulator), device),
        UserPool.from_log(data.log, data.users, history_size),
        session=session,
        reward=reward,
        candidates=candidates,
        slate_size=info.slate_size,
        n_items=info.n_items,
        batch_size=training.acting_batch_size,
        seed=derive_seed(seed, "training.sessions"),
        device=device,
        shelves=data.shelves,
    )
    provenance = {
        "dataset": info.dataset,
        "dataset_version": info.version,
        "codebook_version": data.codebook.version,
    }
    history = train_agent(
        agent,
        training,
        seed=seed,
        device=device,
        sessions=sessions,
        log=LogSampler(data.log, data.users, history_size, seed, device),
        on_metrics=on_metrics,
        checkpoints=checkpoints,
        identity={
            **provenance,
            "settings": settings.model_dump(mode="json"),
            "session": session.model_dump(mode="json"),
            "reward": reward.model_dump(mode="json"),
            "candidates": candidates.model_dump(mode="json"),
        },
    )
    provenance["n_iterations"] = str(training.n_iterations)
    return describe_policy(agent, settings, context, provenance), history
