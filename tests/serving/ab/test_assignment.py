"""Sessions are divided by the hash of their ids."""

from __future__ import annotations

import hashlib

import numpy as np

from hsrl_pipeline.serving.ab.assignment import arm_of

IDS = [f"session-{number}" for number in range(10_000)]


def arms(salt: str) -> np.ndarray:
    return np.array([arm_of(text, salt) == "B" for text in IDS])


def test_half_of_the_sessions_fall_to_each_arm() -> None:
    # five standard deviations of a fair coin
    assert abs(arms("one").mean() - 0.5) < 5 * 0.5 / np.sqrt(len(IDS))


def test_neighbours_are_independent() -> None:
    found = arms("one")
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 0.05


def test_an_id_always_falls_to_the_same_arm() -> None:
    np.testing.assert_array_equal(arms("one"), arms("one"))
    first = hashlib.sha256(b"one:session-0").digest()[0]
    assert arm_of("session-0", "one") == ("B" if first < 128 else "A")


def test_another_experiment_divides_the_ids_anew() -> None:
    both = np.corrcoef(arms("one"), arms("two"))[0, 1]
    assert abs(both) < 0.05
