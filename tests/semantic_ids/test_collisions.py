from __future__ import annotations

import numpy as np
import pytest

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.semantic_ids.collisions import assign_codes, code_keys
from hsrl_pipeline.semantic_ids.nearest import LevelCentroids
from hsrl_pipeline.semantic_ids.residual_quantizer import ResidualQuantizer


def line(*levels: list[float]) -> ResidualQuantizer:
    return ResidualQuantizer(
        tuple(LevelCentroids.plain(np.array(c, dtype=np.float32)[:, None]) for c in levels)
    )


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)[:, None]


def test_keep_lets_items_share_a_code() -> None:
    codes, sizes = assign_codes(line([0.0, 10.0]), column(1, 2, 9), collisions="keep")
    assert codes.tolist() == [[0], [0], [1]]
    assert sizes == (2,)


def test_reassign_moves_the_item_that_loses_least() -> None:
    quantizer = line([0.0, 4.0, 20.0])
    # both are nearest to 0; moving to 4 costs 9 - 1 = 8 from 1 and 6.25 - 2.25 = 4 from 1.5
    codes, _ = assign_codes(quantizer, column(1.0, 1.5), collisions="reassign")
    assert codes.tolist() == [[0], [1]]


def test_reassign_takes_the_free_code_of_least_distortion_across_levels() -> None:
    quantizer = line([0.0, 3.0], [-1.0, 1.0])
    # reconstructions -1, 1, 2, 4: three items at 1 get 1, 2 and -1, the last being dearest
    codes, _ = assign_codes(quantizer, column(1.0, 1.0, 1.0), collisions="reassign")
    rebuilt = quantizer.decode(codes)[:, 0]
    assert sorted(rebuilt.tolist()) == [-1.0, 1.0, 2.0]


def test_reassign_leaves_items_alone_on_their_code() -> None:
    quantizer = line([0.0, 4.0, 5.0])
    codes, _ = assign_codes(quantizer, column(1.0, 1.9, 4.1), collisions="reassign")
    assert codes[2].tolist() == [1]
    assert sorted(codes[:, 0].tolist()) == [0, 1, 2]


def test_reassign_never_moves_who_is_there() -> None:
    quantizer = line([0.0, 4.0, 20.0])
    taken = np.array([[0]])
    codes, _ = assign_codes(quantizer, column(0.0), collisions="reassign", taken=taken)
    assert codes.tolist() == [[1]]


def test_reassign_fills_the_code_space_completely() -> None:
    generator = np.random.default_rng(0)
    quantizer = line([-3.0, 0.0, 3.0], [-1.0, 0.0, 1.0], [-0.3, 0.0, 0.3])
    rows = column(*generator.normal(size=27))
    codes, _ = assign_codes(quantizer, rows, collisions="reassign")
    assert len(np.unique(codes, axis=0)) == 27


def test_reassign_refuses_more_items_than_codes() -> None:
    with pytest.raises(UserError, match="4 items need more codes than the 3 there are"):
        assign_codes(line([0.0, 1.0, 2.0]), column(0, 0, 0, 0), collisions="reassign")


def test_suffix_numbers_the_items_of_a_code() -> None:
    codes, sizes = assign_codes(line([0.0, 10.0]), column(1, 9, 2, 0), collisions="suffix")
    assert codes.tolist() == [[0, 0], [1, 0], [0, 1], [0, 2]]
    assert sizes == (2, 6)  # twice the largest group


def test_suffix_fills_gaps_first() -> None:
    taken = np.array([[0, 0], [0, 2], [1, 0]])
    codes, _ = assign_codes(
        line([0.0, 10.0]),
        column(1, 1, 11),
        collisions="suffix",
        taken=taken,
        suffix_vocab_size=5,
    )
    assert codes.tolist() == [[0, 1], [0, 3], [1, 1]]


def test_suffix_refuses_a_full_code_by_name() -> None:
    with pytest.raises(UserError, match=r"code \[0\] has more items than the suffix level's 2"):
        assign_codes(line([0.0, 10.0]), column(1, 1, 1), collisions="suffix", suffix_vocab_size=2)


def test_unknown_rule_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="collisions is 'drop'"):
        assign_codes(line([0.0]), column(1), collisions="drop")


def test_keys_are_lexicographic() -> None:
    assert code_keys(np.array([[0, 1], [1, 0], [2, 3]]), (3, 4)).tolist() == [1, 4, 11]
    with pytest.raises(UserError, match="more than 2\\^62 codes"):
        code_keys(np.zeros((1, 8), np.int64), (65536,) * 8)
