"""Settings that several agents share."""

from __future__ import annotations

import pytest

from hsrl_pipeline.config.agents.shared import EntropySettings


def test_the_price_of_entropy_goes_in_a_line_to_its_final_value() -> None:
    settings = EntropySettings(
        entropy_coef=0.1, final_entropy_coef=0.02, entropy_annealing_updates=4
    )
    prices = [settings.entropy_coef_at(update) for update in (1, 2, 3, 5, 6, 1000)]
    assert prices == pytest.approx([0.1, 0.08, 0.06, 0.02, 0.02, 0.02])


def test_without_a_final_value_the_price_of_entropy_stays() -> None:
    settings = EntropySettings(entropy_coef=0.1)
    assert {settings.entropy_coef_at(update) for update in (1, 10, 10_000)} == {0.1}
