"""The benchmark of the critics on a small catalogue: each is there, beside the single one."""

from __future__ import annotations

import pytest
from benchmarks.bench_level_critics import CRITICS, paired_ratio, shape_lines


def test_each_critic_is_compared_with_the_single_one() -> None:
    lines = {line.name: line for line in shape_lines(2, 4, n_items=50, repeats=1)}
    assert CRITICS == ("multi_level", "uniform", "single", "prefix")
    assert len(lines) == 3 * len(CRITICS)
    for what in ("update", "working_memory", "state"):
        assert lines[f"level_critics.single.{what}.2_levels_of_4"].ratio == 1.0
    # two more perceptrons and level weights, with two moments and a target each; and the moments
    # and steps of the last code embeddings and their norm, whose context one value does not read
    levels, context = 2 * (32 * 64 + 64 + 64 + 1) + 2, 4 * 32 + 2 * 32
    extra = (4 * levels + 2 * context + 3) * 4 / 1e6
    state = {critic: lines[f"level_critics.{critic}.state.2_levels_of_4"] for critic in CRITICS}
    assert state["multi_level"].value - state["single"].value == pytest.approx(extra)
    assert state["prefix"].value < state["uniform"].value < state["multi_level"].value


def test_a_ratio_is_that_of_the_middle_turn() -> None:
    assert paired_ratio([1.0, 9.0, 30.0], [1.0, 3.0, 5.0]) == 3.0
