"""The log that somebody's response model is fitted on who knows the launch alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hsrl_pipeline.simulator.response.launch_response import fill_slots

from ...training.conftest import make_log


def test_padded_slots_take_the_known_items_of_their_slate_in_turn() -> None:
    log = make_log(3)
    slates = np.array([[0, 5, 0, 7, 0], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]], np.int32)
    labels = np.array([[0, 1, 0, 0, 0], [1, 0, 1, 0, 1], [0, 0, 0, 0, 0]], np.int8)
    filled = fill_slots(replace(log, slates=slates, labels=labels))
    assert filled.slates.tolist() == [[5, 5, 5, 7, 5], [1, 2, 3, 4, 5]]
    assert filled.labels.tolist() == [[1, 1, 1, 0, 1], [1, 0, 1, 0, 1]]
    np.testing.assert_array_equal(filled.users, log.users[:2])
