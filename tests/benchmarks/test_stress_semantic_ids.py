from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.stress_semantic_ids import main, parse_shape, stress
from benchmarks.synthetic_catalogue import draw_catalogue


def test_catalogue_has_power_law_traffic_and_noisier_rare_items() -> None:
    catalogue = draw_catalogue(5000, 16, seed=0)
    np.testing.assert_allclose(np.linalg.norm(catalogue.vectors, axis=1), 1.0, rtol=1e-5)
    assert catalogue.traffic.sum() == pytest.approx(1.0)
    assert catalogue.traffic[:1000].sum() == pytest.approx(0.8, abs=1e-6)
    assert (np.diff(catalogue.traffic) <= 0).all()
    nearest = [
        np.sort(catalogue.vectors[rows] @ catalogue.vectors.T, axis=1)[:, -2].mean()
        for rows in (slice(0, 200), slice(4800, 5000))
    ]
    assert nearest[0] > nearest[1] + 0.03
    assert (draw_catalogue(5000, 16, seed=0).vectors == catalogue.vectors).all()


def test_larger_vocabularies_collide_less_and_reconstruct_better() -> None:
    table = stress([400], [(2, 4), (2, 16), (3, 16)], embedding_size=8, seed=0)
    assert table["unique_share"].is_monotonic_increasing
    assert table["reconstruction_error"].is_monotonic_decreasing
    assert table["items_per_code"].tolist() == [25.0, 400 / 256, 400 / 4096]
    balanced = stress([400], [(3, 16)], balance=["prefixes"], embedding_size=8, seed=0)
    assert balanced["unique_share"][0] > table["unique_share"][2]


def test_command_writes_table_and_plot(tmp_path: Path) -> None:
    main(["--items", "200", "300", "--shapes", "2x8", "--out", str(tmp_path / "out")])
    table = pd.read_csv(tmp_path / "out" / "stress.csv")
    assert table["n_items"].tolist() == [200, 300]
    assert (tmp_path / "out" / "stress.png").stat().st_size > 1000
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "stress.csv",
        "stress.png",
    ]


@pytest.mark.parametrize("text", ["4", "x256", "4x", "0x8", "4x1", "axb"])
def test_shapes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no shape"):
        parse_shape(text)
