"""What a policy head can say, and whether it keeps its order when items leave.

*Distillation*: the click log-odds of the synthetic dataset's true users make one distribution over
items per user. Every head learns it for the same number of steps, behind an encoder with the same
initial weights, and is judged by the divergence on users it has not seen. One softmax over items
is the reference: what it can say and a head of codes cannot is the price of semantic IDs.

*Release*: a tenth of the items leaves, among them the best, without an update. An item's score
should not depend on which others there are, so the pairs of staying items that change places are
counted, and the ranks before and after correlated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.report import BenchmarkLine
from hsrl_pipeline.agents.base import AgentContext
from hsrl_pipeline.agents.encoding import initial_weights
from hsrl_pipeline.agents.hsrl import build_hsrl
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.config.ingestion import SyntheticConfig
from hsrl_pipeline.config.sid import SidConfig
from hsrl_pipeline.data.sources.synthetic import make_population
from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.networks.trie_policy import TriePolicy
from hsrl_pipeline.seeding import numpy_generator, torch_generator
from hsrl_pipeline.semantic_ids.tokenization import tokenize

HEADS: Mapping[str, Mapping[str, Any]] = {
    "items": {"action_space": "items"},
    "look_up": {},
    "look_up_no_gate": {"gated_context": False},
    "codes": {"policy_head": "codes"},
    "trie": {"policy_head": "trie"},
    "trie_no_gate": {"policy_head": "trie", "gated_context": False},
}
"""Settings of ``hsrl`` beside its defaults; ``items`` is one softmax over items."""

REFERENCE, DEFAULT_HEAD = "items", "look_up"
LARGEST_RATIO = 5.0
"""Bar of the default head's divergence, as a multiple of the reference's."""

STEPS, BATCH, LEARNING_RATE = 400, 128, 2e-3
HELD_OUT = 0.2
"""Share of the users that heads are judged on."""

RELEASED = 0.1
"""Share of the items that leave, half of them the best and half at random."""

JUDGED_USERS = 100
"""Users whose orders are compared before and after items leave."""


@dataclass(frozen=True)
class Task:
    """What heads are to say of whom.

    Attributes:
        context: The catalogue as agents know it.
        tastes: (user, taste) float32. What a state is made of.
        log_targets: (user, item) float32. Log-probabilities to learn; column 0 is ``-inf``.
        n_learned: Users to learn from; the rest is held out.
    """

    context: AgentContext
    tastes: torch.Tensor
    log_targets: torch.Tensor
    n_learned: int


def run() -> list[BenchmarkLine]:
    """Return the divergence of every head, and what the order of each does when items leave."""
    task = make_task(SyntheticConfig(), SidConfig(), seed=0)
    divergences, orders = {}, []
    for name, options in HEADS.items():
        settings = HsrlSettings(**options)
        encoder, head = distil(task, settings, n_steps=STEPS)
        divergences[name] = divergence(task, encoder, head)
        correlation, changed = release_best(task, settings, encoder, head)
        orders += [
            BenchmarkLine(
                f"policy_heads.{name}.changed_pairs_after_release",
                changed,
                "%",
                f"none where scores stand alone; rank correlation {correlation:.6f}",
            )
        ]
    least = divergences[REFERENCE]
    bar = f"one softmax over items {least:.4g}, {STEPS} steps each"
    return [
        BenchmarkLine(
            f"policy_heads.{name}.divergence",
            found,
            "nats",
            f"{bar}, bar {LARGEST_RATIO:g}" if name == DEFAULT_HEAD else bar,
            found / least,
        )
        for name, found in divergences.items()
    ] + orders


def make_task(sizes: SyntheticConfig, sid: SidConfig, *, seed: int) -> Task:
    """Return the true users' distributions over a catalogue whose codes come from its content."""
    truth, _, items = make_population(sizes, seed)
    content = items.filter(like="content_").to_numpy(np.float32)
    content = content - content.mean(0)
    vectors = np.zeros((sizes.n_items + 1, content.shape[1]), np.float32)
    vectors[1:] = content / np.linalg.norm(content, axis=1, keepdims=True)
    codebook = tokenize(vectors, sid, seed=seed, n_threads=1)
    context = AgentContext(
        n_items=sizes.n_items,
        slate_size=10,
        history_size=1,
        category_sizes=(),
        n_dense=0,
        horizon=1,
        item_vectors=vectors,
        codes=codebook.codes,
        vocab_sizes=tuple(codebook.vocab_sizes),
        device=torch.device("cpu"),
        seed=seed,
    )
    odds = truth.strength * truth.tastes @ truth.profiles.T + truth.quality
    scores = torch.from_numpy(odds) / HsrlSettings().click_temperature
    padding = torch.full((len(scores), 1), -torch.inf)
    return Task(
        context,
        torch.from_numpy(truth.tastes),
        torch.cat([padding, scores.log_softmax(1)], dim=1),
        round(len(scores) * (1 - HELD_OUT)),
    )


def distil(
    task: Task, settings: HsrlSettings, *, n_steps: int
) -> tuple[nn.Module, CodeScores | TriePolicy]:
    """Fit encoder and head to the targets of the users to learn from; return both."""
    head = build_hsrl(settings, task.context)._head
    width = settings.encoder.embedding_size
    with initial_weights(task.context.seed, "benchmarks.encoder"):
        encoder = nn.Sequential(
            nn.Linear(task.tastes.shape[1], width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.LayerNorm(width),
        )
    weights = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(weights, lr=LEARNING_RATE)
    draw = torch_generator(task.context.seed, "benchmarks.batches")
    for _ in range(n_steps):
        rows = torch.randint(task.n_learned, (BATCH,), generator=draw)
        found = item_scores(head, encoder(task.tastes[rows]))
        loss = _divergence(task.log_targets[rows], found)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return encoder, head


@torch.no_grad()
def divergence(task: Task, encoder: nn.Module, head: CodeScores | TriePolicy) -> float:
    """Return the mean divergence from the targets on users that were held out, in nats."""
    held_out = slice(task.n_learned, None)
    found = item_scores(head, encoder(task.tastes[held_out]))
    return _divergence(task.log_targets[held_out], found).item()


@torch.no_grad()
def release_best(
    task: Task, settings: HsrlSettings, encoder: nn.Module, head: CodeScores | TriePolicy
) -> tuple[float, float]:
    """Let items go and return how the order of the others changed.

    Returns:
        Mean rank correlation of the order before and after, over held-out users, and the
        percentage of pairs of items that changed places.
    """
    state = encoder(task.tastes[task.n_learned :][:JUDGED_USERS])
    before = item_scores(head, state)
    n_items = task.context.n_items
    half = max(1, round(n_items * RELEASED / 2))
    order = before.softmax(1).mean(0).argsort(descending=True).numpy()
    others = numpy_generator(task.context.seed, "benchmarks.released").permutation(order[half:-1])
    released = np.concatenate([order[:half], others[:half]])
    codes = task.context.codes.copy()
    codes[released] = -1
    smaller = build_hsrl(settings, replace(task.context, codes=codes))._head
    smaller.load_state_dict(head.state_dict())
    stays = np.setdiff1d(np.arange(1, n_items + 1), released)
    return _order_change(before[:, stays], item_scores(smaller, state)[:, stays])


def item_scores(head: CodeScores | TriePolicy, state: torch.Tensor) -> torch.Tensor:
    """Return (batch, item) scores, whose softmax is the policy; ``-inf`` without a code."""
    if isinstance(head, CodeScores):
        scores: torch.Tensor = head(state)
        return scores
    trie = head.trie
    total, context = state.new_zeros(len(state), 1), state.unsqueeze(1)
    for level in range(1, trie.n_levels + 1):
        n_parents = total.shape[1]
        nodes = torch.arange(n_parents).expand(len(state), -1)
        choices, _, codes = head.choose(level, context.expand(-1, n_parents, -1), nodes)
        valid = trie.branches(level, nodes[0])[2]
        total = (total.unsqueeze(-1) + choices)[:, valid]
        if level < trie.n_levels:
            parents = valid.nonzero()[:, 0]
            context = head.refine(level, context[:, parents], codes[:, valid])
    found = state.new_full((len(state), trie.n_items + 1), -torch.inf)
    items = trie.leaf_items
    shares = trie.log_shares[items]
    return found.index_copy(1, items, total[:, trie.paths_of(items)[:, -2]] + shares)


def _divergence(log_targets: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Return the mean Kullback-Leibler divergence of the scores' softmax from the targets."""
    possible = log_targets > -torch.inf
    gap = torch.where(possible, log_targets - scores.log_softmax(1), 0.0)
    return (log_targets.exp() * gap).sum(1).mean()


def _order_change(before: torch.Tensor, after: torch.Tensor) -> tuple[float, float]:
    """Return the mean rank correlation of rows, and the percentage of pairs in another order."""
    ranks = [scores.argsort(dim=1, stable=True).argsort(1).double() for scores in (before, after)]
    centred = [rank - rank.mean(1, keepdim=True) for rank in ranks]
    spread = [rank.square().sum(1).sqrt() for rank in centred]
    correlation = (centred[0] * centred[1]).sum(1) / (spread[0] * spread[1])
    changed = [_inversions(*pair) for pair in zip(*ranks, strict=True)]
    n_items = before.shape[1]
    return correlation.mean().item(), 100.0 * np.mean(changed).item() / (
        n_items * (n_items - 1) / 2
    )


def _inversions(first: torch.Tensor, second: torch.Tensor) -> int:
    """Return how many pairs two rows of ranks put in another order."""
    ordered = second[first.argsort()]
    later_is_smaller = ordered.unsqueeze(0) < ordered.unsqueeze(1)
    return int(later_is_smaller.triu(1).sum())
