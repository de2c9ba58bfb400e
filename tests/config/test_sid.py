from __future__ import annotations

import pytest
from pydantic import ValidationError

from hsrl_pipeline.config.sid import SidConfig


def test_vocabulary_is_one_number_or_one_per_level() -> None:
    assert SidConfig(n_levels=3, vocab_size=64).vocab_sizes == (64, 64, 64)
    assert SidConfig(n_levels=2, vocab_size=[8, 16]).vocab_sizes == (8, 16)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_levels": 2, "vocab_size": [8, 8, 8]}, "lists 3 sizes, but n_levels is 2"),
        ({"vocab_size": 1}, "greater than or equal to 2"),
        ({"vocab_size": [8, 8, 0]}, "greater than or equal to 2"),
        ({"n_levels": 0}, "greater than or equal to 1"),
        ({"collisions": "drop"}, "'keep', 'reassign' or 'suffix'"),
        ({"balance": "all"}, "'none', 'levels' or 'prefixes'"),
        ({"balance_slack": 0.9}, "greater than or equal to 1"),
        ({"vocabsize": 3}, "Extra inputs are not permitted"),
        ({"vectors": {"size": 3}}, "Extra inputs are not permitted"),
        ({"vectors": {"quality_weight": -0.5}}, "greater than or equal to 0"),
        ({"vectors": {"quality_weight": float("inf")}}, "less than or equal to 100"),
        ({"vectors": {"quality_weight": "much"}}, "valid number"),
        ({"priors": {"popularity": float("inf")}}, "finite number"),
    ],
)
def test_wrong_parameters_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SidConfig(**values)
