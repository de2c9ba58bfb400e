"""How ``hsrl`` grows with the catalogue: its iteration, memory, checkpoint, and a change of 1 %.

Measured beside its flat twin, the same agent with one softmax over the items themselves. Sizes of
the networks are those of ``bench_training``. An iteration here is the agent's own part of one: it
acts in 32 sessions, values 64 next observations and updates on 64 transitions. Sessions and the
response model are left out, for they are the same beside every agent. Times are those of the
processor, on one thread, taken in turns.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.bench_training import (
    ACTING,
    BATCH,
    FIELD_SIZES,
    HISTORY,
    HORIZON,
    SLATE,
    make_context,
    some_threads,
    working_megabytes,
)
from benchmarks.report import BenchmarkLine
from hsrl_pipeline.agents.hsrl import HsrlAgent, build_hsrl
from hsrl_pipeline.catalogue.changes import CatalogueChange, Publication, apply_change
from hsrl_pipeline.catalogue.live_catalogue import UNPUBLISHED, LiveCatalogue
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch
from hsrl_pipeline.seeding import torch_generator

SIZES = (3_706, 100_000, 1_000_000)
STATED = 10_000_000
POLICIES: dict[str, dict[str, Any]] = {
    "codes": {"policy_head": "codes"},
    "trie": {"policy_head": "trie"},
    "look_up": {"policy_head": "look_up"},
    "flat": {"action_space": "items"},
}
FLAT, CODES = "flat", "codes"
REPEATS = 3
CHANGE_VOCAB, CHANGED_SHARE, NEEDED = 256, 0.01, 60
ALLOWED_SECONDS, ALLOWED_SHARE, ALLOWED_GROWTH = 1.0, 0.25, 1.1


def run() -> Iterator[BenchmarkLine]:
    """Yield the cost of iterations at each size, and of a change at the largest."""
    with some_threads(1):
        yield from growth_lines(SIZES)
        yield from iteration_lines(SIZES)
        for policy in POLICIES:
            yield change_line(policy, SIZES[-1])


def growth_lines(sizes: tuple[int, ...], repeats: int = 8 * REPEATS) -> Iterator[BenchmarkLine]:
    """Yield how long an iteration of ``codes`` takes at each size, all sizes in turns.

    Args:
        sizes: Items in the catalogue, ascending.
        repeats: Turns to take.
    """
    steps = {
        str(n_items): one_iteration(make_agent(CODES, n_items), make_batch(n_items))
        for n_items in sizes
    }
    milliseconds = in_turns(steps, repeats)
    first = milliseconds[str(sizes[0])]
    for n_items in sizes:
        taken = milliseconds[str(n_items)]
        yield BenchmarkLine(
            f"scale.{CODES}.iteration.{n_items}_items",
            taken,
            "ms",
            f"{sizes[0]} items {first:.3g} ms, at most {ALLOWED_GROWTH}",
            taken / first,
        )


def iteration_lines(sizes: tuple[int, ...], repeats: int = REPEATS) -> Iterator[BenchmarkLine]:
    """Yield time and working memory of an iteration, and what a checkpoint holds.

    Args:
        sizes: Items in the catalogue, ascending.
        repeats: Turns to take.
    """
    largest: dict[str, tuple[float, float]] = {}
    for n_items in sizes:
        agents = {policy: make_agent(policy, n_items) for policy in POLICIES}
        batch = make_batch(n_items)
        steps = {policy: one_iteration(agent, batch) for policy, agent in agents.items()}
        milliseconds = in_turns(steps, repeats)
        megabytes = {policy: working_megabytes(step) for policy, step in steps.items()}
        for policy, agent in agents.items():
            time_here, memory_here = milliseconds[policy], megabytes[policy]
            for what, value, unit, flat in (
                ("iteration_beside_flat", time_here, "ms", milliseconds[FLAT]),
                ("working_memory_beside_flat", memory_here, "MB", megabytes[FLAT]),
            ):
                bar = f", at most {ALLOWED_SHARE} at {SIZES[-1]}" if policy == CODES else ""
                yield BenchmarkLine(
                    f"scale.{policy}.{what}.{n_items}_items",
                    value,
                    unit,
                    f"flat {flat:.3g} {unit}{bar}",
                    value / flat,
                )
            whole, without = checkpoint_megabytes(agent, n_items)
            yield BenchmarkLine(
                f"scale.{policy}.checkpoint.{n_items}_items",
                without,
                "MB",
                f"{whole:.3g} MB with tables of items",
                without / whole,
            )
            largest[policy] = time_here, memory_here
    growth = STATED / sizes[-1]
    for what, unit, place in (("iteration", "ms", 0), ("working_memory", "MB", 1)):
        own, flat = largest[CODES][place], largest[FLAT][place] * growth
        yield BenchmarkLine(
            f"scale.codes.{what}.{STATED}_items.stated",
            own,
            unit,
            f"flat {flat:.3g} {unit}, {growth:.3g} times that of {sizes[-1]} items",
            own / flat,
        )


def change_line(policy: str, n_items: int) -> BenchmarkLine:
    """Return what it costs to take a change of 1 %, besides computing vectors and codes.

    A hundredth of the items arrives, with vectors and codes nobody knew, and as many leave. The
    change is checked and applied, the new version hashed, the agent brought to it and its twin
    made.

    Args:
        policy: One of ``POLICIES``.
        n_items: Items in the catalogue.
    """
    rng = np.random.default_rng(0)
    n_changed = max(int(n_items * CHANGED_SHARE), 1)
    context = make_context(rng, n_items + n_changed, vocab=CHANGE_VOCAB)
    new = np.arange(n_items + 1, n_items + n_changed + 1)
    arriving = Publication(new, context.item_vectors[new], context.codes[new])
    context.item_vectors[new], context.codes[new] = 0.0, UNPUBLISHED
    agent = build_hsrl(HsrlSettings(**POLICIES[policy]), context)
    live = np.arange(len(context.codes)) <= n_items
    live[0] = False
    catalogue = LiveCatalogue(live, context.item_vectors, context.codes)
    agent.set_catalogue(catalogue)
    leaving = rng.choice(np.flatnonzero(live), n_changed, replace=False)
    change = CatalogueChange(catalogue.version, new, leaving)

    started = time.process_time()
    after = apply_change(catalogue, change, arriving, n_needed=NEEDED)
    version = after.version
    hashed = time.process_time()
    agent.set_catalogue(after)
    agent.twin()
    ended = time.process_time()
    if agent.catalogue_version != version:
        raise ValueError(f"{policy} has version {agent.catalogue_version}, expected {version}")
    seconds = ended - started
    return BenchmarkLine(
        f"scale.{policy}.change.{n_items}_items",
        seconds,
        "s",
        f"at most {ALLOWED_SECONDS} s; {hashed - started:.2g} s of it tables and hash",
        seconds / ALLOWED_SECONDS,
    )


def make_agent(policy: str, n_items: int) -> HsrlAgent:
    """Return an untrained agent after its warm start."""
    context = make_context(np.random.default_rng(0), n_items)
    return build_hsrl(HsrlSettings(warm_start_iterations=0, **POLICIES[policy]), context)


def make_batch(n_items: int) -> TransitionBatch:
    """Return transitions of random users, histories and slates from all over the catalogue."""
    rng = np.random.default_rng(0)
    slates = torch.from_numpy(rng.integers(1, n_items + 1, (BATCH, SLATE)))
    clicks = torch.from_numpy(rng.integers(0, 2, (BATCH, SLATE)).astype(np.float32))

    def observe() -> Observation:
        groups = np.stack([rng.integers(1, size, BATCH) for size in FIELD_SIZES], axis=1)
        return Observation(
            torch.from_numpy(groups),
            torch.zeros(BATCH, 0),
            torch.from_numpy(rng.integers(1, n_items + 1, (BATCH, HISTORY))),
            torch.from_numpy(rng.integers(0, HORIZON, BATCH)),
        )

    no = torch.zeros(BATCH, dtype=torch.bool)
    reward, log_prob = clicks.mean(-1), torch.zeros(BATCH)
    latent = torch.zeros(BATCH, 0)
    return TransitionBatch(observe(), slates, clicks, reward, observe(), no, no, latent, log_prob)


def one_iteration(agent: HsrlAgent, batch: TransitionBatch) -> Callable[[], None]:
    """Return a call that acts, values next observations and updates once."""
    acting = batch.observation.rows(torch.arange(ACTING))
    draws = torch_generator(0, "benchmark.scale")

    def step() -> None:
        agent.act(acting, explore=True, generator=draws)
        agent.update(batch, None, agent.bootstrap(batch))

    return step


def in_turns(steps: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Return median processor milliseconds of each call, measured in turns after one of each."""
    return {name: statistics.median(taken) for name, taken in turns(steps, repeats).items()}


def turns(steps: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Return processor milliseconds of each call in each turn, after one that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            started = time.process_time()
            step()
            if turn:
                taken[name].append((time.process_time() - started) * 1e3)
    return taken


def checkpoint_megabytes(agent: HsrlAgent, n_items: int) -> tuple[float, float]:
    """Return the size of an agent's state, whole and without tensors with a row per item."""
    tensors = list(_tensors(agent.state_dict()))
    sizes = [tensor.numel() * tensor.element_size() / 1e6 for tensor in tensors]
    per_item = [bool(tensor.shape) and max(tensor.shape) >= n_items for tensor in tensors]
    kept = [size for size, grows in zip(sizes, per_item, strict=True) if not grows]
    return math.fsum(sizes), math.fsum(kept)


def _tensors(state: Any) -> Iterator[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict):
        for part in state.values():
            yield from _tensors(part)
