"""Stress test: collisions and reconstruction from 10 thousand to a million items over (L, V).

``python -m benchmarks.stress_semantic_ids`` writes a table and a plot; ``--help`` says how to
choose sizes and shapes.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.synthetic_catalogue import SyntheticCatalogue, draw_catalogue
from hsrl_pipeline.atomic import staged_path
from hsrl_pipeline.progress import Progress
from hsrl_pipeline.semantic_ids.balance import BalanceMode, BalanceSettings
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie
from hsrl_pipeline.semantic_ids.kmeans import KMeansSettings
from hsrl_pipeline.semantic_ids.reports.diagnostics import hourglass, level_usage
from hsrl_pipeline.semantic_ids.residual_quantizer import (
    QuantizerSettings,
    ResidualQuantizer,
    fit_residual_quantizer,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

SIZES = (10_000, 100_000, 1_000_000)
SHAPES = ("2x256", "3x64", "3x256", "4x64", "4x256")


def stress(
    sizes: Sequence[int],
    shapes: Sequence[tuple[int, int]],
    *,
    balance: Sequence[BalanceMode] = ("none",),
    embedding_size: int = 64,
    seed: int = 0,
) -> pd.DataFrame:
    """Return one row per catalogue size, shape and balance, before any resolver.

    Args:
        sizes: Items per catalogue.
        shapes: ``(n_levels, vocab_size)`` pairs.
        balance: Values of ``sid.balance``.
        embedding_size: Width of the item vectors.
        seed: Seed of catalogues and quantizers.

    Returns:
        Columns ``n_items``, ``n_levels``, ``vocab_size``, ``balance``, ``items_per_code``,
        ``unique_share``, ``unique_share_tail`` (the rarer half), ``unique_share_of_traffic``
        (weighted by popularity), ``largest_group``, ``reconstruction_error`` and the same of the
        head (1,000 most popular) and the tail, ``effective_vocab_share`` (smallest of all
        levels), ``hourglass``, ``fit_seconds``, ``encode_seconds``.
    """
    rows: list[dict[str, Any]] = []
    with Progress("Stress test", len(sizes) * len(shapes) * len(balance), "runs") as progress:
        for n_items in sizes:
            catalogue = draw_catalogue(n_items, embedding_size, seed=seed)
            for n_levels, vocab_size in shapes:
                for mode in balance:
                    made = fit_codes(catalogue, n_levels, vocab_size, mode=mode, seed=seed)
                    row = {
                        "n_items": n_items,
                        "n_levels": n_levels,
                        "vocab_size": vocab_size,
                        "balance": mode,
                        **describe_codes(catalogue, made),
                    }
                    rows.append(row)
                    progress.advance(1, unique=row["unique_share"])
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class FittedCodes:
    """A catalogue's semantic IDs, before any resolver.

    Attributes:
        quantizer: What made them.
        codes: (row, level) int64.
        fit_seconds: What fitting took.
        encode_seconds: What encoding all items took.
    """

    quantizer: ResidualQuantizer
    codes: NDArray[np.int64]
    fit_seconds: float
    encode_seconds: float


def fit_codes(
    catalogue: SyntheticCatalogue,
    n_levels: int,
    vocab_size: int,
    *,
    mode: BalanceMode = "none",
    seed: int,
    n_threads: int | None = None,
) -> FittedCodes:
    """Fit residual k-means of one shape to a catalogue and encode it.

    Args:
        catalogue: Items.
        n_levels: Levels of a semantic ID.
        vocab_size: Codes per level.
        mode: Value of ``sid.balance``.
        seed: Seed of the quantizer.
        n_threads: Threads to do it on; None for all.
    """
    settings = QuantizerSettings(
        (vocab_size,) * n_levels, KMeansSettings(n_threads=n_threads), BalanceSettings(mode=mode)
    )
    started = time.perf_counter()
    quantizer = fit_residual_quantizer(catalogue.vectors, settings, seed=seed)
    fitted = time.perf_counter()
    codes = quantizer.encode(catalogue.vectors, n_threads)
    return FittedCodes(quantizer, codes, fitted - started, time.perf_counter() - fitted)


def describe_codes(catalogue: SyntheticCatalogue, made: FittedCodes) -> dict[str, Any]:
    """Return the measures of one shape on one catalogue, by the columns of `stress`."""
    vectors, quantizer, codes = catalogue.vectors, made.quantizer, made.codes
    padded = np.pad(codes, ((1, 0), (0, 0)), constant_values=-1)
    trie = CodeTrie(padded, quantizer.vocab_sizes)
    own = trie.paths_of(torch.arange(1, len(padded)))[:, -2]
    alone = (trie.n_children(trie.n_levels + 1, own) == 1).numpy()
    usage = level_usage(codes, quantizer.vocab_sizes)
    half, top = len(vectors) // 2, min(1000, len(vectors))

    def error(rows: slice) -> float:
        return float(quantizer.level_errors(vectors[rows], codes[rows])[-1])

    return {
        "items_per_code": len(vectors) / math.prod(float(size) for size in quantizer.vocab_sizes),
        "unique_share": float(alone.mean()),
        "unique_share_tail": float(alone[half:].mean()),
        "unique_share_of_traffic": float(catalogue.traffic @ alone),
        "largest_group": trie.widths[-1],
        "reconstruction_error": error(slice(None)),
        "reconstruction_error_head": error(slice(top)),
        "reconstruction_error_tail": error(slice(half, None)),
        "effective_vocab_share": min(level.effective_vocab / level.vocab_size for level in usage),
        "hourglass": hourglass(usage),
        "fit_seconds": made.fit_seconds,
        "encode_seconds": made.encode_seconds,
    }


def plot_stress(table: pd.DataFrame) -> Figure:
    """Return collisions and reconstruction error against catalogue size, a line per shape.

    Args:
        table: What `stress` returned.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.5), layout="constrained")
    panels = (
        ("unique_share", "Items alone under their code, before the resolver"),
        ("reconstruction_error", "Share of squared norm left over"),
        ("effective_vocab_share", "Smallest effective share of a level's vocabulary"),
    )
    for axis, (column, title) in zip(figure.subplots(1, 3), panels, strict=True):
        for key, rows in table.groupby(["n_levels", "vocab_size", "balance"], sort=False):
            n_levels, vocab_size, mode = key
            label = f"L={n_levels}, V={vocab_size}" + ("" if mode == "none" else f", {mode}")
            axis.plot(rows["n_items"], rows[column], marker="o", label=label)
        axis.set_xscale("log")
        axis.set_ylim(0, 1.02)
        axis.set_xlabel("items")
        axis.set_title(title, fontsize="medium")
    figure.axes[0].legend(fontsize="small")
    return figure


def parse_shape(text: str) -> tuple[int, int]:
    """Return ``(n_levels, vocab_size)`` of text like ``4x256``.

    Raises:
        argparse.ArgumentTypeError: The text is no such shape.
    """
    levels, _, vocab = text.partition("x")
    if not (levels.isdigit() and vocab.isdigit() and int(levels) >= 1 and int(vocab) >= 2):
        raise argparse.ArgumentTypeError(f"{text!r} is no shape; write levels x codes, as in 4x256")
    return int(levels), int(vocab)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stress test and write ``stress.csv`` and ``stress.png``, each atomically."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=list(SIZES), metavar="N")
    parser.add_argument(
        "--shapes", type=parse_shape, nargs="+", default=[parse_shape(s) for s in SHAPES]
    )
    parser.add_argument("--balance", nargs="+", choices=get_args(BalanceMode), default=["none"])
    parser.add_argument("--embedding-size", type=int, default=64, metavar="D")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path("data/08_reporting/sid_stress"), metavar="FOLDER"
    )
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    table = stress(
        asked.items,
        asked.shapes,
        balance=asked.balance,
        embedding_size=asked.embedding_size,
        seed=asked.seed,
    )
    with staged_path(asked.out / "stress.csv") as staging:
        table.to_csv(staging, index=False)
    with staged_path(asked.out / "stress.png") as staging:
        plot_stress(table).savefig(staging, format="png", dpi=120)
    shown = table.drop(columns=["reconstruction_error_head", "reconstruction_error_tail"])
    logger.info("%s", shown.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    logger.info("Wrote %s and %s", asked.out / "stress.csv", asked.out / "stress.png")


if __name__ == "__main__":
    main()
