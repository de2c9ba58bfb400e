"""Codes without meaning, of the same shape."""

from __future__ import annotations

import numpy as np

from hsrl_pipeline.catalogue import CatalogueSchedule, Publication
from hsrl_pipeline.catalogue.schedule import Step
from hsrl_pipeline.catalogue.shuffled_codes import shuffle_codes

NOTHING = np.zeros(0, np.int64)
SCHEDULE = CatalogueSchedule(
    30,
    np.arange(1, 19),
    (Step(np.arange(19, 25), np.array([1])), Step(np.r_[np.arange(25, 31), 1], NOTHING)),
    (0.5, 0.6),
)


def test_items_exchange_codes_with_those_that_come_with_them_alone() -> None:
    codes = np.full((31, 2), -1)
    codes[1:19] = np.stack([np.arange(18), np.arange(18) % 3], axis=1)
    items = np.arange(19, 31)
    arriving = Publication(items, np.eye(12, dtype=np.float32), np.stack([items, items % 2], 1))
    dealt, later = shuffle_codes(SCHEDULE, codes, arriving, seed=0)
    assert (dealt[[0, *range(19, 31)]] == -1).all()
    for own, given in (
        (dealt[1:19], codes[1:19]),
        (later.codes[:6], arriving.codes[:6]),
        (later.codes[6:], arriving.codes[6:]),
    ):
        assert sorted(map(tuple, own)) == sorted(map(tuple, given))
        assert (own != given).any()
    np.testing.assert_array_equal(later.item_vectors, arriving.item_vectors)
    again, _ = shuffle_codes(SCHEDULE, codes, arriving, seed=0)
    other, _ = shuffle_codes(SCHEDULE, codes, arriving, seed=1)
    np.testing.assert_array_equal(dealt, again)
    assert (dealt != other).any()
