from __future__ import annotations

import itertools

import numpy as np

from hsrl_pipeline.semantic_ids.candidate_codes import best_codes
from hsrl_pipeline.semantic_ids.residual_quantizer import ResidualQuantizer


def all_distortions(quantizer: ResidualQuantizer, row: np.ndarray) -> dict[tuple[int, ...], float]:
    every = itertools.product(*(range(size) for size in quantizer.vocab_sizes))
    codes = np.array(list(every))
    distortion = ((row - quantizer.decode(codes)) ** 2).sum(axis=1)
    return {tuple(code): float(d) for code, d in zip(codes.tolist(), distortion, strict=True)}


def test_a_full_beam_lists_every_code_in_order(
    quantizer: ResidualQuantizer, vectors: np.ndarray
) -> None:
    rows = vectors[1:4]
    own = quantizer.encode(rows)
    found = best_codes(quantizer, rows, own, 8 * 6 * 10)
    for row in range(3):
        known = all_distortions(quantizer, rows[row])
        listed = [tuple(code) for code in found.codes[row].tolist()]
        assert listed[0] == tuple(own[row])
        assert sorted(listed) == sorted(known)
        np.testing.assert_allclose(
            found.distortions[row], [known[code] for code in listed], atol=1e-5
        )
        assert (np.diff(found.distortions[row][1:]) >= 0).all()


def test_a_narrow_beam_never_repeats_a_code(
    quantizer: ResidualQuantizer, vectors: np.ndarray
) -> None:
    rows = vectors[1:40]
    found = best_codes(quantizer, rows, quantizer.encode(rows), 7)
    assert found.codes.shape == (39, 7, 3)
    for codes in found.codes:
        assert len(np.unique(codes, axis=0)) == 7
