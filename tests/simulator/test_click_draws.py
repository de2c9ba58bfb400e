import pytest
import torch

from hsrl_pipeline.simulator.click_draws import draw_clicks


def test_an_item_is_clicked_where_the_draw_falls_below_its_probability():
    probabilities = torch.tensor([[0.0, 0.5, 1.0]])
    draws = torch.tensor([[0.0, 0.5, 0.99]])
    assert draw_clicks(probabilities, draws).tolist() == [[0.0, 0.0, 1.0]]
    assert draw_clicks(probabilities, 0.9 * draws).tolist() == [[0.0, 1.0, 1.0]]


@pytest.mark.parametrize("bad", [float("nan"), 1.5, -0.1])
def test_a_response_that_is_no_probability_is_refused_with_its_place(bad):
    probabilities = torch.tensor([[0.5, 0.5], [0.5, bad]])
    with pytest.raises(ValueError, match=r"click probability \[1, 1\] is"):
        draw_clicks(probabilities, torch.zeros(2, 2))
