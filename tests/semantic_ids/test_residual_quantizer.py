from __future__ import annotations

import logging
from typing import get_args

import numpy as np
import pytest
from benchmarks.synthetic_catalogue import draw_catalogue
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.semantic_ids.balance import BalanceMode, BalanceSettings
from hsrl_pipeline.semantic_ids.kmeans import KMeansSettings
from hsrl_pipeline.semantic_ids.reports.diagnostics import hourglass, level_usage, unique_share
from hsrl_pipeline.semantic_ids.residual_quantizer import (
    QuantizerSettings,
    ResidualQuantizer,
    fit_residual_quantizer,
)

from .conftest import unit_vectors

QUICK = KMeansSettings(n_restarts=1, max_iterations=5)


def test_encodes_level_by_level(square: ResidualQuantizer) -> None:
    rows = np.array([[11.2, 10.1], [-10.1, -8.8], [-10, 9]], dtype=np.float32)
    assert square.encode(rows).tolist() == [[0, 0], [2, 1], [1, 3]]


def test_decodes_to_the_sum_of_centroids(square: ResidualQuantizer) -> None:
    codes = np.array([[0, 0], [2, 1]])
    assert square.decode(codes).tolist() == [[11, 10], [-10, -9]]
    assert square.decode(codes[:, :1]).tolist() == [[10, 10], [-10, -10]]


def test_level_errors_are_shares_of_the_squared_norm(square: ResidualQuantizer) -> None:
    rows = np.array([[13, 10]], dtype=np.float32)
    # squared norm 269; residuals (3, 0) and (2, 0)
    errors = square.level_errors(rows, square.encode(rows))
    np.testing.assert_allclose(errors, [9 / 269, 4 / 269])


def test_centroids_are_fixed_points() -> None:
    quantizer = fit_residual_quantizer(unit_vectors(80, 4), QuantizerSettings((6,), QUICK), seed=0)
    codes = quantizer.encode(quantizer.levels[0].centroids)
    assert codes[:, 0].tolist() == list(range(6))


@settings(max_examples=15, deadline=None)
@given(
    n_rows=st.integers(2, 60),
    embed=st.integers(1, 6),
    vocab_sizes=st.lists(st.integers(2, 9), min_size=1, max_size=4),
    balance=st.sampled_from(["none", "levels", "prefixes"]),
    seed=st.integers(0, 10),
)
def test_energy_never_grows_and_codes_are_deterministic(
    n_rows: int, embed: int, vocab_sizes: list[int], balance: str, seed: int
) -> None:
    rows = np.random.default_rng(seed).standard_normal((n_rows, embed)).astype(np.float32)
    shape = QuantizerSettings(
        tuple(vocab_sizes),
        QUICK,
        BalanceSettings(balance),  # type: ignore[arg-type]
    )
    quantizer = fit_residual_quantizer(rows, shape, seed=seed)
    codes = quantizer.encode(rows)
    again = fit_residual_quantizer(rows, shape, seed=seed)
    assert (again.encode(rows) == codes).all()
    assert (codes < np.asarray(quantizer.vocab_sizes)).all()
    if balance == "none":
        # A level splits off at least its mean, so the fitted rows lose energy at every level.
        errors = np.concatenate([[1.0], quantizer.level_errors(rows, codes)])
        assert (np.diff(errors) <= 1e-5).all()


@pytest.mark.parametrize("balance", ["none", "prefixes"])
def test_bits_do_not_depend_on_threads(balance: str) -> None:
    rows = unit_vectors(20_000, 6)
    results = []
    for n_threads in (1, 3):
        kmeans = KMeansSettings(
            n_restarts=1, minibatch_above=5000, refinement_passes=2, n_threads=n_threads
        )
        shape = QuantizerSettings(
            (16, 16),
            kmeans,
            BalanceSettings(balance, largest_rounds=5),  # type: ignore[arg-type]
        )
        results.append(fit_residual_quantizer(rows, shape, seed=0))
    for one, three in zip(results[0].levels, results[1].levels, strict=True):
        assert (one.centroids == three.centroids).all()
        assert (one.offsets == three.offsets).all()


def test_balance_flattens_the_hourglass_of_power_law_topics() -> None:
    rows = draw_catalogue(800, 64, seed=0).vectors
    codes = {
        mode: fit_residual_quantizer(
            rows, QuantizerSettings((64, 64, 64), QUICK, BalanceSettings(mode)), seed=0
        ).encode(rows)
        for mode in get_args(BalanceMode)
    }
    narrow = {mode: hourglass(level_usage(codes[mode], (64, 64, 64))) for mode in codes}
    assert narrow["none"] > 0.1
    assert abs(narrow["levels"]) < 0.05
    assert narrow["prefixes"] < 0
    unique = {mode: unique_share(codes[mode]) for mode in codes}
    assert unique["none"] < unique["levels"] < unique["prefixes"]


def test_one_size_per_level() -> None:
    quantizer = fit_residual_quantizer(
        unit_vectors(90, 4), QuantizerSettings((3, 7, 2), QUICK), seed=0
    )
    assert quantizer.vocab_sizes == (3, 7, 2)
    assert quantizer.embedding_size == 4


def test_equal_vectors_leave_as_many_codes_as_there_are_rows() -> None:
    rows = np.repeat(unit_vectors(1, 3), 9, axis=0)
    quantizer = fit_residual_quantizer(rows, QuantizerSettings((64, 64), QUICK), seed=0)
    assert quantizer.vocab_sizes == (3, 3)


def test_vocabulary_is_reduced_to_the_distinct_vectors(caplog: pytest.LogCaptureFixture) -> None:
    rows = np.repeat(unit_vectors(5, 3), 4, axis=0)
    with caplog.at_level(logging.WARNING):
        quantizer = fit_residual_quantizer(rows, QuantizerSettings((64, 4, 64), QUICK), seed=0)
    assert quantizer.vocab_sizes == (5, 4, 5)
    assert "only 5 distinct item vectors: reduced to 5" in caplog.text
    codes = quantizer.encode(rows)
    assert len(np.unique(codes, axis=0)) == 5
    assert (codes[0] == codes[1]).all()


def test_refuses_an_empty_catalogue() -> None:
    with pytest.raises(UserError, match="no item vectors"):
        fit_residual_quantizer(np.zeros((0, 3), np.float32), QuantizerSettings((4,)), seed=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_names_the_row_that_is_not_finite(square: ResidualQuantizer, bad: float) -> None:
    rows = np.zeros((4, 2), np.float32)
    rows[2, 1] = bad
    with pytest.raises(UserError, match=r"1 item vectors hold NaN or infinity, the first in row 2"):
        square.encode(rows)
    with pytest.raises(UserError, match="row 2"):
        fit_residual_quantizer(rows, QuantizerSettings((2,)), seed=0)


@pytest.mark.parametrize("shape", [(3, 3), (3, 1), (2,)])
def test_refuses_another_width(square: ResidualQuantizer, shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"the codebook takes \(rows, 2\)"):
        square.encode(np.zeros(shape, np.float32))
