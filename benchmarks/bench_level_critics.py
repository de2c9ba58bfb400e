"""What the critics of ``hsrl_paper`` cost, as levels and codes per level grow.

An update at the paper's sizes values 64 next states and learns from 64 transitions and 64 logged
slates. All agents of one shape take it in turns, and each is compared with the critic of a single
value in the same turn. Times are those of the processor, on one thread.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import get_args

import numpy as np

from benchmarks.bench_scale import checkpoint_megabytes, make_batch, turns
from benchmarks.bench_training import SMALL, make_context, some_threads, working_megabytes
from benchmarks.report import BenchmarkLine
from hsrl_pipeline.agents.base import LogBatch
from hsrl_pipeline.agents.hsrl_paper import HsrlPaperAgent, build_hsrl_paper
from hsrl_pipeline.config.agents.hsrl_paper import HsrlPaperSettings

LEVELS, VOCABS = (2, 3, 4, 6), (16, 64, 256)
CRITICS: tuple[str, ...] = get_args(HsrlPaperSettings.model_fields["critic_head"].annotation)
REFERENCE = "single"
REPEATS = 25


def run() -> Iterator[BenchmarkLine]:
    """Yield the cost of each critic at each number of levels and codes."""
    with some_threads(1):
        for n_levels in LEVELS:
            for vocab in VOCABS:
                yield from shape_lines(n_levels, vocab)


def shape_lines(
    n_levels: int, vocab: int, n_items: int = SMALL, repeats: int = REPEATS
) -> Iterator[BenchmarkLine]:
    """Yield time, working memory and state of an update with each critic.

    Args:
        n_levels: Levels of a semantic ID.
        vocab: Codes per level.
        n_items: Items in the catalogue.
        repeats: Turns to take.
    """
    agents = {critic: make_agent(critic, n_levels, vocab, n_items) for critic in CRITICS}
    steps = {critic: one_update(agent, n_items) for critic, agent in agents.items()}
    milliseconds = turns(steps, repeats)
    ratios = {
        critic: paired_ratio(taken, milliseconds[REFERENCE])
        for critic, taken in milliseconds.items()
    }
    working = {critic: working_megabytes(step) for critic, step in steps.items()}
    state = {critic: checkpoint_megabytes(agent, n_items)[0] for critic, agent in agents.items()}
    for critic in CRITICS:
        single = statistics.median(milliseconds[REFERENCE])
        taken = statistics.median(milliseconds[critic])
        for what, value, unit, reference, ratio in (
            ("update", taken, "ms", single, ratios[critic]),
            ("working_memory", working[critic], "MB", working[REFERENCE], None),
            ("state", state[critic], "MB", state[REFERENCE], None),
        ):
            yield BenchmarkLine(
                f"level_critics.{critic}.{what}.{n_levels}_levels_of_{vocab}",
                value,
                unit,
                f"{REFERENCE} {reference:.4g} {unit}",
                value / reference if ratio is None else ratio,
            )


def paired_ratio(taken: Sequence[float], reference: Sequence[float]) -> float:
    """Return the median over turns of what was taken, divided by the reference's of that turn."""
    return statistics.median(own / other for own, other in zip(taken, reference, strict=True))


def make_agent(critic: str, n_levels: int, vocab: int, n_items: int) -> HsrlPaperAgent:
    """Return an untrained agent without a vector per item, which is no cost of a critic."""
    defaults = HsrlPaperSettings()
    settings = HsrlPaperSettings.model_validate(
        defaults.model_dump()
        | {
            "critic_head": critic,
            "encoder": defaults.encoder.model_dump()
            | {"use_item_ids": False, "use_item_codes": True},
        }
    )
    context = make_context(np.random.default_rng(0), n_items, vocab, n_levels)
    return build_hsrl_paper(settings, context)


def one_update(agent: HsrlPaperAgent, n_items: int) -> Callable[[], None]:
    """Return a call that values next states and updates once."""
    batch, logged = make_batch(n_items), make_batch(n_items)
    log = LogBatch(logged.observation, logged.slates, logged.clicks)

    def step() -> None:
        agent.update(batch, log)

    return step
