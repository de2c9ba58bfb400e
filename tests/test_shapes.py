import numpy as np
import pytest
import torch

from hsrl_pipeline.shapes import PAD_ID, check_shape


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
