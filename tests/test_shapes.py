import numpy as np
import pytest
import torch

from hsrl_pipeline.shapes import PAD_ID, check_dtype, check_shape


def test_padding_is_zero() -> None:
    assert PAD_ID == 0


@pytest.mark.parametrize("make", [np.zeros, torch.zeros])
def test_accepts_what_matches(make) -> None:
    check_shape("slates", make((3, 10)), None, 10)


@pytest.mark.parametrize("axes", [(3,), (3, 9), (3, 10, 1)])
def test_refuses_other_shapes_and_names_the_array(axes) -> None:
    with pytest.raises(ValueError, match=r"slates has shape \(3, 10\), expected"):
        check_shape("slates", np.zeros((3, 10)), *axes)


def test_any_length_is_called_any() -> None:
    with pytest.raises(ValueError, match=r"expected \(any, 4\)"):
        check_shape("x", np.zeros(3), None, 4)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros(2, np.float64), "float"),
        (np.zeros(2, np.int64), "int64"),
        (torch.zeros(2), "float"),
        (torch.zeros(2, dtype=torch.bfloat16), "float"),
        (torch.zeros(2, dtype=torch.bool), "bool"),
    ],
)
def test_a_type_of_the_kind_is_accepted(array, expected) -> None:
    check_dtype("values", array, expected)


@pytest.mark.parametrize(
    ("array", "expected", "message"),
    [
        (torch.zeros(2, dtype=torch.int32), "int64", "values has dtype int32, expected int64"),
        (np.zeros(2, np.int64), "float", "values has dtype int64, expected float"),
        (torch.zeros(2), "bool", "values has dtype float32, expected bool"),
    ],
)
def test_another_type_is_refused_with_both_names(array, expected, message) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_dtype("values", array, expected)
