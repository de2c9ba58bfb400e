from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.reports import diagnostics
from hsrl_pipeline.semantic_ids.reports.diagnostics import (
    alone_before_last_level,
    collision_histogram,
    diagnose,
    flat_metrics,
    hourglass,
    level_usage,
    prefix_neighbour_share,
    unique_share,
    warn_of_idle_level,
)

CODES = np.array([[0, 0], [0, 0], [0, 1], [1, 0]])


def test_unique_share_and_histogram_by_hand() -> None:
    assert unique_share(CODES) == 0.5
    assert collision_histogram(CODES) == {1: 2, 2: 1}


def test_items_alone_before_the_last_level_by_hand() -> None:
    assert alone_before_last_level(CODES) == 0.25  # the last item alone has its first code
    assert alone_before_last_level(CODES[:, :1]) == 0.0


def test_a_last_level_that_decides_nothing_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    figures = {"n_items": 1000, "alone_before_last_level": 0.916, "reconstruction_error": [0] * 3}
    with caplog.at_level(logging.WARNING):
        warn_of_idle_level(figures | {"alone_before_last_level": 0.5})
        assert not caplog.messages
        warn_of_idle_level(figures)
    (message,) = caplog.messages
    assert message.startswith("916 of 1000 items are alone before the last level: level 3 decides")
    assert "set sid.vocab_size=15" in message


def test_usage_by_hand() -> None:
    first, second = level_usage(CODES, (2, 4))
    # level 1: shares 3/4 and 1/4
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert first.entropy == pytest.approx(entropy)
    assert first.effective_vocab == pytest.approx(np.exp(entropy))
    assert first.continuations == pytest.approx(np.exp(entropy))
    assert (first.used_codes, first.prefixes) == (2, 2)
    # pairs: 1/2, 1/4, 1/4; the entropy given level 1 is the difference
    joint = -(0.5 * np.log(0.5) + 0.5 * np.log(0.25))
    assert second.continuations == pytest.approx(np.exp(joint - entropy))
    assert (second.used_codes, second.prefixes) == (2, 3)


def test_even_use_has_the_full_effective_vocabulary() -> None:
    codes = np.stack([np.arange(12) % 4, np.arange(12) // 4], axis=1)
    usage = level_usage(codes, (4, 3))
    assert [level.effective_vocab for level in usage] == pytest.approx([4.0, 3.0])


def test_hourglass_compares_the_middle_with_the_ends() -> None:
    narrow = level_usage(np.array([[0, 0, 0], [1, 0, 1], [2, 0, 2], [3, 0, 3]]), (4, 4, 4))
    assert hourglass(narrow) == pytest.approx(1 - 0.25)
    wide = level_usage(np.array([[0, 0, 0], [0, 1, 0], [0, 2, 0], [0, 3, 0]]), (4, 4, 4))
    assert hourglass(wide) == pytest.approx(1 - 4)
    assert hourglass(level_usage(CODES, (2, 4))) == 0.0


def test_neighbours_share_prefixes_by_construction(monkeypatch: pytest.MonkeyPatch) -> None:
    angles = np.array([0.0, 0.1, 3.0, 3.1])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    monkeypatch.setattr(diagnostics, "NEIGHBOURS", 1)
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 0]])
    assert prefix_neighbour_share(vectors, codes, seed=0).tolist() == [1.0, 0.5]
    assert prefix_neighbour_share(vectors[:1], codes[:1], seed=0).tolist() == [0.0, 0.0]


def test_a_sample_of_items_is_enough(monkeypatch: pytest.MonkeyPatch, codebook: Codebook) -> None:
    vectors = np.random.default_rng(0).standard_normal((301, 8)).astype(np.float32)
    everything = prefix_neighbour_share(vectors, codebook.codes[1:], seed=0)
    monkeypatch.setattr(diagnostics, "NEIGHBOUR_SAMPLE", 150)
    monkeypatch.setattr(diagnostics, "SIMILARITIES_PER_BLOCK", 301 * 64)
    sampled = prefix_neighbour_share(vectors, codebook.codes[1:], seed=0)
    np.testing.assert_allclose(sampled, everything, atol=0.05)


def test_diagnosis_is_complete_and_json_able(codebook: Codebook, vectors: np.ndarray) -> None:
    figures = json.loads(json.dumps(diagnose(codebook, vectors, seed=0)))
    assert figures["codebook_version"] == codebook.version
    assert len(figures["levels"]) == codebook.n_levels
    if codebook.collisions == "keep":
        assert figures["unique_share"] == figures["unique_share_before_resolver"]
        assert figures["moved_share"] == 0
    else:
        assert figures["unique_share"] == 1.0
    assert figures["reconstruction_error"][0] < 1
    metrics = flat_metrics(figures)
    assert metrics["sid_alone_before_last_level"] == figures["alone_before_last_level"]
    assert metrics["sid_unique_share"] == figures["unique_share"]
    assert set(metrics) >= {"sid_effective_vocab_level_1", "sid_reconstruction_error_level_3"}
    assert all(isinstance(value, float) for value in metrics.values())


def test_released_items_do_not_count(codebook: Codebook, vectors: np.ndarray) -> None:
    figures = diagnose(codebook.release_items(np.array([3, 4])), vectors, seed=0)
    assert figures["n_items"] == 299
