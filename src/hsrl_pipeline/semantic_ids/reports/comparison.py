"""The codebook beside its alternatives: other balance, and codes without meaning."""

from __future__ import annotations

from typing import get_args

import pandas as pd

from hsrl_pipeline.config.sid import SidConfig
from hsrl_pipeline.semantic_ids.balance import BalanceMode
from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.nearest import FloatArray
from hsrl_pipeline.semantic_ids.reports.control import shuffle_codes
from hsrl_pipeline.semantic_ids.reports.diagnostics import diagnose
from hsrl_pipeline.semantic_ids.tokenization import tokenize

LARGEST_REFIT = 100_000
"""Items up to which the alternatives are fitted for the comparison."""


def compare_codebooks(
    codebook: Codebook, vectors: FloatArray, config: SidConfig, *, seed: int
) -> pd.DataFrame:
    """Return one row per level of the codebook, of its alternatives and of the control.

    Args:
        codebook: The codebook in use.
        vectors: (item, embed) float32. The vectors it was made from, row 0 for padding.
        config: Its parameters; the alternatives differ in ``balance`` alone.
        seed: Seed of the run.

    Returns:
        Columns ``variant`` (``in use``, ``shuffled``, ``balance: ...``), ``level``,
        ``unique_share_before_resolver``, ``unique_share``, ``hourglass``, ``effective_vocab``,
        ``continuations``, ``reconstruction_error``, ``prefix_neighbour_share``. Alternatives are
        left out beyond ``LARGEST_REFIT`` items.
    """
    variants = {"in use": codebook}
    if codebook.n_items <= LARGEST_REFIT:
        for balance in get_args(BalanceMode):
            if balance != config.balance:
                other = config.model_copy(update={"balance": balance})
                variants[f"balance: {balance}"] = tokenize(vectors, other, seed=seed)
    variants["shuffled"] = shuffle_codes(codebook, seed=seed)
    return pd.concat(
        [_rows(name, variant, vectors, seed) for name, variant in variants.items()],
        ignore_index=True,
    )


def _rows(name: str, codebook: Codebook, vectors: FloatArray, seed: int) -> pd.DataFrame:
    """Return the figures of one codebook, one row per level."""
    figures = diagnose(codebook, vectors, seed=seed)
    errors = figures["reconstruction_error"]
    return pd.DataFrame(
        {
            "variant": name,
            "level": [level["level"] for level in figures["levels"]],
            "unique_share_before_resolver": figures["unique_share_before_resolver"],
            "unique_share": figures["unique_share"],
            "hourglass": figures["hourglass"],
            "effective_vocab": [level["effective_vocab"] for level in figures["levels"]],
            "continuations": [level["continuations"] for level in figures["levels"]],
            # a suffix level reconstructs nothing
            "reconstruction_error": errors + [errors[-1]] * (len(figures["levels"]) - len(errors)),
            "prefix_neighbour_share": figures["prefix_neighbour_share"],
        }
    )
