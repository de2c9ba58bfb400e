"""The versions that a catalogue goes through on a schedule."""

from __future__ import annotations

import numpy as np
import pytest

from hsrl_pipeline.catalogue import CatalogueSchedule, LiveCatalogue, Publication
from hsrl_pipeline.catalogue.schedule import Step
from hsrl_pipeline.catalogue.versions import versions_of
from hsrl_pipeline.errors import UserError


def array(*items: int) -> np.ndarray:
    return np.array(items, np.int64)


def published(*items: int) -> Publication:
    vectors = np.ones((len(items), 2), np.float32)
    return Publication(array(*items), vectors, np.stack([array(*items)] * 2, axis=1))


def start() -> LiveCatalogue:
    launch = published(1, 2, 3)
    live = np.array([False, True, True, True, False, False])
    vectors, codes = np.zeros((6, 2), np.float32), np.full((6, 2), -1)
    vectors[1:4], codes[1:4] = launch.item_vectors, launch.codes
    return LiveCatalogue(live, vectors, codes)


STEPS = (Step(array(5), array(2)), Step(array(2, 4), array(1, 5)))


def test_versions_follow_the_schedule_and_an_item_that_returns_is_not_published_again() -> None:
    schedule = CatalogueSchedule(5, array(1, 2, 3), STEPS, (0.5, 0.8))
    made = list(versions_of(schedule, start(), published(5, 4), n_needed=2))

    assert [catalogue.live_items.tolist() for _, catalogue in made] == [[1, 3, 5], [2, 3, 4]]
    assert made[0][0].version_before == start().version
    assert made[1][0].version_before == made[0][1].version
    assert made[1][1].codes[1:].tolist() == [[item, item] for item in range(1, 6)]


def test_an_arriving_item_without_semantic_id_is_refused() -> None:
    schedule = CatalogueSchedule(5, array(1, 2, 3), STEPS, (0.5, 0.8))
    changes = versions_of(schedule, start(), published(5), n_needed=2)
    next(changes)
    with pytest.raises(UserError, match=r"1 new items have no vector and semantic ID.* 4"):
        next(changes)
