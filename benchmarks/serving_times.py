"""Time of one answer, in process: processor time on one thread, and by the clock on two.

Very large catalogues are drawn in two ways. In one the semantic IDs come from the vectors by a
quantizer, as the pipeline makes them, so that a search by code has something to go by; in the
other codes and vectors have nothing to do with each other, and every item is looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from unittest.mock import patch

import numpy as np

from benchmarks.bench_training import SMALL, VOCAB, make_context, some_threads
from benchmarks.report import BenchmarkLine
from benchmarks.synthetic_catalogue import draw_catalogue
from hsrl_pipeline.agents.base import AgentContext
from hsrl_pipeline.networks import code_search
from hsrl_pipeline.serving.recommender import Recommender
from hsrl_pipeline.serving.requests import RecommendRequest

LARGE, CANDIDATES = 1_000_000, 1000
ANSWERS, SAMPLE = 300, 30_000
BARS = {"candidates": 5.0, "small": 10.0, "large": 30.0}
"""Milliseconds at the 99th percentile."""

Requests = Callable[..., list[RecommendRequest]]
Answer = Callable[[RecommendRequest], object]


def milliseconds(
    answer: Answer,
    requests: list[RecommendRequest],
    clock: Callable[[], float] = time.process_time,
) -> tuple[float, float]:
    """Return median and 99th percentile of the time of an answer."""
    times = []
    for request in requests:
        started = clock()
        answer(request)
        times.append(clock() - started)
    median, late = np.percentile(times, [50, 99]) * 1e3
    return float(median), float(late)


def make_large_context(n_items: int = LARGE) -> AgentContext:
    """Return a catalogue whose semantic IDs come from its vectors."""
    from hsrl_pipeline.semantic_ids.residual_quantizer import (
        QuantizerSettings,
        fit_residual_quantizer,
    )

    context = make_context(np.random.default_rng(0), n_items)
    levels, width = context.codes.shape[1], context.item_vectors.shape[1]
    drawn = draw_catalogue(n_items, width, seed=0).vectors
    sample = drawn[np.random.default_rng(1).permutation(n_items)[:SAMPLE]]
    quantizer = fit_residual_quantizer(sample, QuantizerSettings((VOCAB,) * levels), seed=0)
    codes, vectors = np.full_like(context.codes, -1), np.zeros_like(context.item_vectors)
    codes[1:], vectors[1:] = quantizer.encode(drawn, n_threads=1), drawn
    return replace(context, codes=codes, item_vectors=vectors)


def time_lines(
    make_recommender: Callable[..., Recommender], make_requests: Requests
) -> Iterator[BenchmarkLine]:
    """Yield the time of answers against their bars.

    Args:
        make_recommender: Makes one of a context, or of a number of items; takes settings by name.
        make_requests: Makes requests of a number of items, and of candidates each.
    """
    small = make_recommender(SMALL)
    small.warm_up()
    given = make_requests(SMALL, ANSWERS, CANDIDATES)
    yield from _lines(f"score_{CANDIDATES}_candidates", "candidates", small.recommend, given)
    searching = make_requests(SMALL, ANSWERS)
    yield from _lines(f"search_{SMALL}_items", "small", small.recommend, searching)
    requests = make_requests(LARGE, ANSWERS)
    name = f"search_{LARGE}_items"
    context = make_large_context()
    for head in ("look_up", "codes"):
        large = make_recommender(context, policy_head=head)
        large.warm_up()
        label = name if head == "look_up" else f"{name}_by_codes_alone"
        yield from _lines(label, "large", large.recommend, requests)
        yield _line(f"{label}_looking_at_all", "large", _at_all(large), requests[: ANSWERS // 3])
        del large
    large = make_recommender(LARGE)
    large.warm_up()
    yield _line(f"{name}_with_codes_without_meaning", "large", large.recommend, requests)


def _at_all(recommender: Recommender) -> Answer:
    """Return answers by a look at all items, as before there was a search by code."""
    with patch.object(code_search, "FEWEST_ITEMS", 2 * LARGE):
        return Recommender(recommender.model).recommend


def _lines(
    name: str, bar: str, answer: Answer, requests: list[RecommendRequest]
) -> Iterator[BenchmarkLine]:
    """Yield processor time on one thread, and time by the clock on two."""
    yield _line(name, bar, answer, requests)
    with some_threads(2):
        some = requests[: ANSWERS // 3]
        yield _line(f"{name}_on_two_threads", bar, answer, some, time.perf_counter)


def _line(
    name: str,
    bar: str,
    answer: Answer,
    requests: list[RecommendRequest],
    clock: Callable[[], float] = time.process_time,
) -> BenchmarkLine:
    median, late = milliseconds(answer, requests, clock)
    told = f"median {median:.3g} ms, bar {BARS[bar]:g} ms"
    return BenchmarkLine(f"serving.{name}_p99", late, "ms", told, late / BARS[bar])
