"""All that runs under a catalogue that moves share: the data, and the versions of the catalogue."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.changes import Publication
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.catalogue.schedule import CatalogueSchedule
from hsrl_pipeline.catalogue.schedule_draw import needed_by_sessions
from hsrl_pipeline.catalogue.shuffled_codes import shuffle_codes
from hsrl_pipeline.catalogue.versions import versions_of
from hsrl_pipeline.catalogue.withholding import withhold
from hsrl_pipeline.config.catalogue import CatalogueConfig
from hsrl_pipeline.config.session import CandidatesConfig, SessionConfig
from hsrl_pipeline.simulator.session_data import SemanticIds, SessionData


@dataclass(frozen=True, eq=False)
class DealtIds:
    """Semantic IDs that were dealt out anew.

    Attributes:
        codes: (item, level) int64. Semantic IDs, -1 where there is none.
        vocab_sizes: Vocabulary size of each level.
        version: Hash of the content.
    """

    codes: NDArray[np.int64]
    vocab_sizes: tuple[int, ...]
    version: str


@dataclass(frozen=True, eq=False)
class MovingWorld:
    """The data of a run under a catalogue that moves.

    Attributes:
        schedule: What arrives and what leaves.
        data: Item vectors and semantic IDs of the launch, and the whole log: the judge's view.
        versions: The catalogue at launch and after each change.
    """

    schedule: CatalogueSchedule
    data: SessionData
    versions: tuple[LiveCatalogue, ...]

    @classmethod
    def from_tables(
        cls,
        *,
        catalogue_schedule: Mapping[str, Any],
        arriving_items: Mapping[str, Any],
        items: pd.DataFrame,
        dataset_info: Mapping[str, Any],
        launch_codebook: SemanticIds,
        launch_item_vectors: Mapping[str, Any],
        launch_item_priors: pd.DataFrame,
        users: pd.DataFrame,
        slates: pd.DataFrame,
        timeline: pd.DataFrame,
        catalogue: CatalogueConfig,
        session: SessionConfig,
        candidates: CandidatesConfig,
        seed: int,
    ) -> MovingWorld:
        """Return the world held by canonical tables and what ``moving_catalogue`` made of them.

        Raises:
            UserError: Sessions need more items than are live at some time.
        """
        schedule = CatalogueSchedule.from_document(catalogue_schedule)
        arriving = Publication.from_state(arriving_items["state"])
        ids = launch_codebook
        if catalogue.codes == "shuffled":
            codes, arriving = shuffle_codes(schedule, launch_codebook.codes, arriving, seed)
            digest = hashlib.sha256(f"{launch_codebook.version} dealt by {seed}".encode())
            sizes = tuple(launch_codebook.vocab_sizes)
            ids = DealtIds(codes, sizes, digest.hexdigest()[:12])
        data = SessionData.from_tables(
            dataset_info=dataset_info,
            users=users,
            items=items,
            slates=slates,
            timeline=timeline,
            item_vectors=launch_item_vectors,
            codebook=ids,
            item_priors=launch_item_priors,
        )
        n_needed, shelves = needed_by_sessions(data.info, data.shelves, session, candidates)
        launch = LiveCatalogue(schedule.launched, data.policy_vectors, ids.codes)
        steps = versions_of(schedule, launch, arriving, n_needed=n_needed, shelves=shelves)
        return cls(schedule, data, (launch, *(version for _, version in steps)))

    @property
    def known_at_launch(self) -> SessionData:
        """The data as somebody sees them who knows the launch items alone: what agents learn from.

        References:
            docs/moving_catalogue.md#what-is-withheld.
        """
        return replace(self.data, log=withhold(self.data.log, self.schedule.launched))

    def new_items(self, change: int) -> NDArray[np.bool_]:
        """Return (item,) bool: the items that came with a change, numbered from 1; 0 has none."""
        mask = np.zeros(self.schedule.n_items + 1, bool)
        if change:
            mask[self.schedule.steps[change - 1].added] = True
        return mask
