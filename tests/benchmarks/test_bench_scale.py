"""The benchmark of scale on small catalogues: what it measures is there and says what it should."""

from __future__ import annotations

import pytest
from benchmarks.bench_scale import (
    POLICIES,
    change_line,
    checkpoint_megabytes,
    make_agent,
    make_batch,
    one_iteration,
)

SIZES = (4_000, 8_000)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_checkpoint_without_tables_of_items_ignores_the_catalogue(policy: str) -> None:
    sizes = []
    for n_items in SIZES:
        agent = make_agent(policy, n_items)
        one_iteration(agent, make_batch(n_items))()
        sizes.append(checkpoint_megabytes(agent, n_items))
    (whole, kept), (whole_of_many, kept_of_many) = sizes
    assert kept == kept_of_many
    # one number per item with look_up, a weight row and a bias in the flat twin, with two moments
    per_item = {"look_up": 1 + 2, "flat": 33 * 3 + 1 + 2}.get(policy, 0)
    assert whole_of_many - whole == pytest.approx(per_item * 4 * 4_000 / 1e6)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_change_is_taken(policy: str) -> None:
    assert 0.0 < change_line(policy, 500).value < 60.0
