"""Semantic IDs: against faiss's residual quantizer on a million vectors, and on MovieLens-1M.

Both quantizers get the same vectors, L = 4 levels of V = 256 codes, and the same threads; each
runs in a process of its own, so that its peak memory is its own. faiss runs twice: with its
default beam of 5, which reconstructs best and is slow, and with a beam of 1, which assigns the
nearest centroid as the paper does and is fast. MovieLens-1M is the user's ``data/01_raw/ml-1m.zip``
or, without it, a synthetic log of that size.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.report import BenchmarkLine

N_ITEMS, EMBED, LEVELS, VOCAB = 1_000_000, 64, 4, 256
BEAMS = {"gaussian": (1, 5), "clustered": (1,)}
"""Beams of faiss by kind of vectors; on clusters the default of 5 is slower and worse than 1."""

N_CLUSTERS, SPREAD = 2000, 0.6
BLOCK = 50_000
THREADS = min(2, os.cpu_count() or 1)
RAW = Path("data/01_raw")
MEBIBYTE = 2**20


def run() -> list[BenchmarkLine]:
    """Measure everything and return one line each."""
    lines = []
    for kind, beams in BEAMS.items():
        ours = _in_own_process(measure_ours, kind)
        theirs = {beam: _in_own_process(measure_faiss, kind, beam) for beam in beams}
        lines += _against_faiss(kind, ours, theirs)
    return [*lines, *_movielens(_in_own_process(measure_movielens))]


def _against_faiss(
    kind: str, ours: dict[str, float], faiss_by_beam: dict[int, dict[str, float]]
) -> list[BenchmarkLine]:
    """Return the lines of one kind of vectors."""
    seconds = ours["fit"] + ours["encode"]
    data = N_ITEMS * EMBED * 4 / MEBIBYTE
    lines = []
    for beam, other in faiss_by_beam.items():
        theirs = other["fit"] + other["encode"]
        lines += [
            BenchmarkLine(
                f"sid_fit_and_encode_{kind}_vs_beam_{beam}",
                seconds,
                "s",
                f"faiss, beam {beam}: {theirs:.3g} s, {THREADS} threads; bar 1",
                seconds / theirs,
            ),
            BenchmarkLine(
                f"sid_reconstruction_error_{kind}_vs_beam_{beam}",
                ours["error"],
                "of squared norm",
                f"faiss, beam {beam}: {other['error']:.4g}; bar 1.02",
                ours["error"] / other["error"],
            ),
        ]
    return [
        *lines,
        BenchmarkLine(
            f"sid_peak_memory_{kind}",
            ours["peak"],
            "MiB",
            f"data: {data:.0f} MiB; bar 3",
            ours["peak"] / data,
        ),
        BenchmarkLine(
            f"sid_encode_a_million_new_items_{kind}",
            ours["encode"],
            "s",
            "bar 3 s",
            ours["encode"] / 3.0,
        ),
    ]


def _movielens(figures: dict[str, float]) -> list[BenchmarkLine]:
    """Return the lines on the MovieLens-1M codebook, L = 3, V = 64."""
    log = "ml-1m.zip" if figures["is_real"] else "synthetic log of that size"
    return [
        BenchmarkLine(
            "sid_ml1m_unique_before_resolver",
            figures["unique_before"],
            "of items",
            f"{log}; bar above 0.95",
            figures["unique_before"] / 0.95,
        ),
        BenchmarkLine(
            "sid_ml1m_unique_after_reassign",
            figures["unique"],
            "of items",
            "bar 1",
            figures["unique"],
        ),
        BenchmarkLine(
            "sid_ml1m_codebook_time", figures["codebook"], "s", "bar 2 s", figures["codebook"] / 2.0
        ),
        BenchmarkLine(
            "sid_ml1m_vectors_and_codebook_time", figures["vectors"] + figures["codebook"], "s", "-"
        ),
    ]


def make_vectors(kind: str) -> np.ndarray:
    """Return (N_ITEMS, EMBED) float32: white noise, or many clusters with noise."""
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((N_ITEMS, EMBED), dtype=np.float32)
    if kind == "clustered":
        centres = generator.standard_normal((N_CLUSTERS, EMBED), dtype=np.float32)
        for start in range(0, N_ITEMS, BLOCK):
            block = rows[start : start + BLOCK]
            block *= np.float32(SPREAD)
            block += centres[generator.integers(0, N_CLUSTERS, len(block))]
    return rows


def measure_ours(kind: str) -> dict[str, float]:
    """Fit and encode with the project's quantizer; peak memory in MiB counts the data."""
    from hsrl_pipeline.semantic_ids.residual_quantizer import (
        QuantizerSettings,
        fit_residual_quantizer,
    )

    rows = make_vectors(kind)
    fit_residual_quantizer(rows[:1000], QuantizerSettings((4,)), seed=0)  # imports
    started = time.perf_counter()
    quantizer = fit_residual_quantizer(rows, QuantizerSettings((VOCAB,) * LEVELS), seed=0)
    fitted = time.perf_counter()
    codes = quantizer.encode(rows)
    encoded = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "fit": fitted - started,
        "encode": encoded - fitted,
        "peak": peak / (MEBIBYTE if sys.platform == "darwin" else 1024),
        "error": _error(rows, lambda block: quantizer.decode(codes[block])),
    }


def measure_faiss(kind: str, beam: int) -> dict[str, float]:
    """Fit and encode with faiss."""
    import faiss

    rows = make_vectors(kind)
    faiss.omp_set_num_threads(THREADS)
    quantizer = faiss.ResidualQuantizer(EMBED, LEVELS, int(np.log2(VOCAB)))
    quantizer.max_beam_size = beam
    started = time.perf_counter()
    quantizer.train(rows)
    fitted = time.perf_counter()
    codes = quantizer.compute_codes(rows)
    encoded = time.perf_counter()
    return {
        "fit": fitted - started,
        "encode": encoded - fitted,
        "error": _error(rows, lambda block: quantizer.decode(codes[block])),
    }


def _error(rows: np.ndarray, decode: Callable[[slice], np.ndarray]) -> float:
    """Return the share of the squared norm that the reconstruction leaves over."""
    left = total = 0.0
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        left += float(np.square(rows[block] - decode(block), dtype=np.float64).sum())
        total += float(np.square(rows[block], dtype=np.float64).sum())
    return left / total


def measure_movielens() -> dict[str, float]:
    """Ingest the log, then time vectors and codebook on their own."""
    from hsrl_pipeline.config.ingestion import IngestionConfig, SyntheticConfig
    from hsrl_pipeline.config.sid import SidConfig
    from hsrl_pipeline.data.slate_log import ItemTable, SlateLog
    from hsrl_pipeline.data.tables.ingest import build_tables, land_log
    from hsrl_pipeline.semantic_ids.item_vectors import build_item_vectors
    from hsrl_pipeline.semantic_ids.reports.diagnostics import unique_share
    from hsrl_pipeline.semantic_ids.tokenization import tokenize

    is_real = (RAW / "ml-1m.zip").exists()
    ingestion = IngestionConfig(
        source="ml1m" if is_real else "synthetic",
        synthetic=SyntheticConfig(n_users=6040, n_items=3706, mean_events=165),
    )
    with tempfile.TemporaryDirectory() as folder:
        tables = build_tables(
            Path(folder), land_log(RAW, Path(folder), ingestion, 0), ingestion, "benchmark"
        )
        log = SlateLog.from_frames(pd.read_parquet(tables.slates), pd.read_parquet(tables.timeline))
    items = ItemTable.from_frame(tables.items, tables.info)
    config = SidConfig(n_levels=3, vocab_size=64)
    tokenize(build_item_vectors(items, log, config.vectors, seed=1), config, seed=1)  # imports
    started = time.perf_counter()
    vectors = build_item_vectors(items, log, config.vectors, seed=0)
    built = time.perf_counter()
    codebook = tokenize(vectors, config, seed=0)
    done = time.perf_counter()
    return {
        "is_real": float(is_real),
        "vectors": built - started,
        "codebook": done - built,
        "unique_before": unique_share(codebook.encode(vectors[1:])),
        "unique": unique_share(codebook.codes[1:]),
    }


def _in_own_process(measure: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """Return what a function measures in a fresh process with a fixed number of threads."""
    context = multiprocessing.get_context("spawn")
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(THREADS)
    try:
        with context.Pool(1) as pool:
            return pool.apply(measure, arguments)
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
