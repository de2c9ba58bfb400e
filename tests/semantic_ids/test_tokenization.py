from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from hsrl_pipeline.config.sid import SidConfig
from hsrl_pipeline.semantic_ids.reports import comparison
from hsrl_pipeline.semantic_ids.reports.comparison import compare_codebooks
from hsrl_pipeline.semantic_ids.reports.diagnostics import diagnose
from hsrl_pipeline.semantic_ids.reports.plots import plot_comparison, plot_diagnostics
from hsrl_pipeline.semantic_ids.tokenization import tokenize

CONFIG = SidConfig(n_levels=3, vocab_size=[8, 6, 10], n_restarts=1, max_iterations=5)


def test_parameters_reach_the_codebook(vectors: np.ndarray) -> None:
    codebook = tokenize(vectors, CONFIG, seed=2, provenance={"dataset": "tiny"})
    assert codebook.vocab_sizes == (8, 6, 10)
    assert codebook.collisions == "reassign"
    assert codebook.metadata["dataset"] == "tiny"
    assert codebook.metadata["seed"] == 2
    assert codebook.metadata["settings"]["balance"] == "prefixes"
    suffixed = tokenize(vectors, CONFIG.model_copy(update={"collisions": "suffix"}), seed=2)
    assert suffixed.n_levels == 4


@pytest.mark.parametrize("balance", ["none", "levels", "prefixes"])
def test_same_seed_same_version(vectors: np.ndarray, balance: str) -> None:
    config = CONFIG.model_copy(update={"balance": balance})
    one = tokenize(vectors, config, seed=0, n_threads=1)
    assert tokenize(vectors, config, seed=0, n_threads=4).version == one.version
    assert tokenize(vectors, config, seed=1).version != one.version


def test_comparison_holds_the_alternatives_and_the_control(
    vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    codebook = tokenize(vectors, CONFIG, seed=0)
    table = compare_codebooks(codebook, vectors, CONFIG, seed=0)
    variants = table["variant"].unique().tolist()
    assert variants == ["in use", "balance: none", "balance: levels", "shuffled"]
    assert len(table) == 4 * 3
    by_variant = table.groupby("variant")
    unique = by_variant["unique_share_before_resolver"].first()
    assert unique["in use"] > unique["balance: none"]
    shared = by_variant["prefix_neighbour_share"].first()
    assert shared["shuffled"] < 0.5 * shared["in use"]
    monkeypatch.setattr(comparison, "LARGEST_REFIT", 10)
    table = compare_codebooks(codebook, vectors, CONFIG, seed=0)
    assert table["variant"].unique().tolist() == ["in use", "shuffled"]


def test_figures_are_drawn(vectors: np.ndarray) -> None:
    config = CONFIG.model_copy(update={"collisions": "suffix"})
    codebook = tokenize(vectors, config, seed=0)
    assert isinstance(plot_diagnostics(diagnose(codebook, vectors, seed=0)), Figure)
    figure = plot_comparison(compare_codebooks(codebook, vectors, config, seed=0))
    assert len(figure.axes) == 3


def test_items_with_equal_vectors_get_codes_of_their_own() -> None:
    vectors = np.tile(np.float32([[0.6, 0.8]]), (8, 1))
    vectors[0] = 0
    codebook = tokenize(vectors, CONFIG, seed=0)
    assert codebook.vocab_sizes == (2, 2, 2)
    assert len(np.unique(codebook.codes[1:], axis=0)) == 7
