"""What sessions and policies are made of: the canonical tables and what was made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable, SlateLog, UserTable
from hsrl_pipeline.provenance import provenance_of
from hsrl_pipeline.semantic_ids.item_priors import prior_table
from hsrl_pipeline.semantic_ids.vector_checkpoints import quality_of, side_by_side, vectors_of
from hsrl_pipeline.simulator.judge_pool import pool_for_judge
from hsrl_pipeline.simulator.newcomers import AnswersBefore
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.user_pool import UserPool


class SemanticIds(Protocol):
    """What training and evaluation read of a codebook."""

    @property
    def codes(self) -> NDArray[np.int64]:
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
class SessionData:
    """What agents are trained on, by its training split alone, and what policies are judged on.

    Attributes:
        info: Sizes of the dataset.
        users: User features.
        log: All logged slates, both splits.
        item_vectors: (item, embed) float32. What semantic IDs were made from and the diversity of
            slates goes by; row 0 is zero.
        shelves: (item,) int64 or None.
        codebook: Semantic IDs.
        item_priors: (item,) float32 or None for equal ones. Log-odds of being shown among the
            items of one code.
        item_vectors_version: Version of the item vectors; None where their file carries none.
        item_quality: (item, quality) float32. Columns that policies read beside the item vectors;
            None for none.
    """

    info: DatasetInfo
    users: UserTable
    log: SlateLog
    item_vectors: NDArray[np.float32]
    shelves: NDArray[np.int64] | None
    codebook: SemanticIds
    item_priors: NDArray[np.float32] | None = None
    item_vectors_version: str | None = None
    item_quality: NDArray[np.float32] | None = None

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
        item_priors: pd.DataFrame | None = None,
    ) -> SessionData:
        """Return the data held by the canonical tables and what was made from them."""
        info = DatasetInfo.from_dict(dataset_info)
        return cls(
            info=info,
            users=UserTable.from_frame(users, info),
            log=SlateLog.from_frames(slates, timeline),
            item_vectors=vectors_of(item_vectors),
            shelves=ItemTable.from_frame(items, info).shelves,
            codebook=codebook,
            item_priors=None if item_priors is None else prior_table(item_priors, info.n_items),
            item_vectors_version=provenance_of(item_vectors).get("version"),
            item_quality=quality_of(item_vectors),
        )

    @property
    def policy_vectors(self) -> NDArray[np.float32]:
        """(item, embed + quality) float32. Item vectors as policies read them."""
        return side_by_side(self.item_vectors, self.item_quality)

    def setting(
        self,
        session: SessionConfig,
        reward: RewardConfig,
        candidates: CandidatesConfig,
        device: torch.device,
    ) -> SessionSetting:
        """Return what all sessions on this data share.

        Args:
            session: Horizon, initial patience and history window.
            reward: From clicks to reward.
            candidates: Which slates are allowed.
            device: Where sessions and policies live.
        """
        return SessionSetting(
            session=session,
            reward=reward,
            candidates=candidates,
            slate_size=self.info.slate_size,
            n_items=self.info.n_items,
            shelves=self.shelves,
            device=device,
        )

    def pool(self, split: str, session: SessionConfig) -> UserPool:
        """Return the users that sessions of a split start with.

        Args:
            split: ``train``, ``test`` or ``all``.
            session: Length and form of the history.

        Raises:
            UserError: The split holds no slate.
        """
        return UserPool.from_log(
            self._slates_of(split), self.users, session.history_size, session.history
        )

    def judged_pool(
        self, response: UserResponseModel, split: str, session: SessionConfig
    ) -> UserPool:
        """Return the users that sessions judged by an evaluation simulator start with.

        Args:
            response: The evaluation simulator.
            split: ``train``, ``test`` or ``all``; recorded answers have people of their own.
            session: Length and form of the history.

        Raises:
            UserError: The split holds no slate.
        """
        return pool_for_judge(response, self._slates_of(split), self.log, self.users, session)

    def answers_before(self, response: UserResponseModel, split: str) -> AnswersBefore:
        """Return what users had answered before the starts of ``judged_pool``.

        Args:
            response: The evaluation simulator.
            split: ``train``, ``test`` or ``all``.
        """
        return AnswersBefore.of_judge(response, self._slates_of(split), self.log)

    def _slates_of(self, split: str) -> SlateLog:
        return {"train": self.log.train, "test": self.log.test, "all": self.log}[split]
