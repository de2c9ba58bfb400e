"""The benchmark of policy heads: small enough for a test, with what each head must show."""

from __future__ import annotations

import pytest
import torch
from benchmarks.bench_policy_heads import (
    Task,
    distil,
    divergence,
    item_scores,
    make_task,
    release_best,
)

from hsrl_pipeline.agents.hsrl import build_hsrl
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.config.ingestion import SyntheticConfig
from hsrl_pipeline.config.sid import SidConfig


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task(
        SyntheticConfig(n_users=200, n_items=60), SidConfig(n_levels=3, vocab_size=6), seed=0
    )


def test_targets_are_distributions_over_items(task: Task) -> None:
    probs = task.log_targets.exp()
    torch.testing.assert_close(probs.sum(1), torch.ones(200))
    assert (probs[:, 0] == 0).all() and task.n_learned == 160


def test_distillation_brings_a_head_near_its_targets(task: Task) -> None:
    found = [divergence(task, *distil(task, HsrlSettings(), n_steps=steps)) for steps in (0, 60)]
    assert 0 < found[1] < 0.2 * found[0]


def test_the_order_of_those_who_stay_is_unchanged_by_look_ups_and_changed_by_the_trie(
    task: Task,
) -> None:
    changed = {}
    for head in ("look_up", "trie"):
        settings = HsrlSettings(policy_head=head)
        changed[head] = release_best(task, settings, *distil(task, settings, n_steps=15))
    assert changed["look_up"] == (pytest.approx(1.0, abs=1e-12), 0.0)
    assert changed["trie"][0] < 0.9999 and changed["trie"][1] > 0.1


def test_whole_levels_of_the_trie_agree_with_the_paths_of_single_items(task: Task) -> None:
    head = build_hsrl(HsrlSettings(policy_head="trie"), task.context)._head
    state = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    items = torch.arange(1, 61).expand(3, -1)
    with torch.no_grad():
        torch.testing.assert_close(
            item_scores(head, state)[:, 1:], head.item_log_prob(state, items), rtol=1e-4, atol=1e-4
        )
