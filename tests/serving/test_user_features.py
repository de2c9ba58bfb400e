from __future__ import annotations

import math

import numpy as np
import pytest

from hsrl_pipeline.serving.request_errors import RequestError
from hsrl_pipeline.serving.user_features import NumberScale, UserEncoder

ENCODER = UserEncoder(
    {"country": ("NL", "DE"), "group": ("7", "8")}, {"age": NumberScale(40.0, 10.0)}
)


def test_the_scale_is_found_from_raw_and_standardised_numbers() -> None:
    raw = np.array([10.0, np.nan, 30.0, 20.0])
    scale = NumberScale.between(raw, np.array([-1.0, 0.0, 1.0, 0.0]))
    assert scale == NumberScale(20.0, 10.0)
    assert scale.apply(35.0) == 1.5


def test_a_constant_feature_is_always_zero() -> None:
    scale = NumberScale.between(np.array([5.0, 5.0]), np.array([0.0, 0.0]))
    assert scale.apply(123.0) == 0.0


def test_codes_and_numbers_become_features_again() -> None:
    assert ENCODER.decode([2, 0], [1.5]) == {"country": "DE", "age": 55.0}
    assert ENCODER.decode([1, 2, 9], [0.0]) == {"country": "NL", "group": "8", "age": 40.0}
    told = ENCODER.decode([2, 1], [0.3])
    assert ENCODER.encode(told) == ([2, 1], [pytest.approx(0.3)])


def test_features_become_codes_and_numbers() -> None:
    assert ENCODER.encode({"country": "DE", "group": 7.0, "age": 55}) == ([2, 1], [1.5])


@pytest.mark.parametrize("user", [{}, {"country": None, "age": None}, {"country": "XX"}])
def test_what_is_missing_or_was_never_seen_counts_as_missing(user: dict[str, object]) -> None:
    assert ENCODER.encode(user) == ([0, 0], [0.0])


@pytest.mark.parametrize(
    ("user", "field"),
    [
        ({"agee": 1}, "user.agee"),
        ({"age": math.nan}, "user.age"),
        ({"age": math.inf}, "user.age"),
        ({"age": 10**400}, "user.age"),
        ({"age": 1e300}, "user.age"),
        ({"age": "old"}, "user.age"),
        ({"age": True}, "user.age"),
        ({"country": True}, "user.country"),
        ({"country": ["NL"]}, "user.country"),
        ({"country": math.nan}, "user.country"),
    ],
)
def test_a_wrong_value_is_refused_by_name(user: dict[str, object], field: str) -> None:
    with pytest.raises(RequestError) as refused:
        ENCODER.encode(user)
    assert refused.value.field == field


def test_the_order_of_features_survives_a_file() -> None:
    restored = UserEncoder.from_dict(ENCODER.to_dict())
    assert list(restored.categories) == ["country", "group"]
    assert restored.encode({"group": "8", "age": 30}) == ([0, 2], [-1.0])
