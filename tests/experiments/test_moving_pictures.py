"""Pictures of policies through the changes of a catalogue."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.experiments.moving_pictures import course, plot_moving_part
from hsrl_pipeline.experiments.moving_results import moving_table
from hsrl_pipeline.experiments.store import ExperimentStore

from .moving_inputs import entry, result, save_grid, save_two_policies


@pytest.fixture
def moving(tmp_path) -> pd.DataFrame:
    store = ExperimentStore(tmp_path)
    save_two_policies(store, launch=7.0)
    return moving_table(store)


def of_hsrl(moving: pd.DataFrame) -> pd.DataFrame:
    return moving[(moving["policy"] == "hsrl") & (moving["simulator"] == "eval")]


def lines(panel) -> list[tuple[str, list[float]]]:
    """Return dashes and heights of the lines with as many points as changes and a launch."""
    drawn = [line for line in panel.get_lines() if list(line.get_xdata()) == [0, 1]]
    vertical = [line for line in panel.get_lines() if list(line.get_xdata()) == [1, 1]]
    assert len(vertical) == 1
    return [(line.get_linestyle(), list(map(float, line.get_ydata()))) for line in drawn]


def test_frozen_policies_go_from_the_launch_through_the_changes(moving) -> None:
    line = course(of_hsrl(moving), "total_reward", updated=False)
    assert line["change"].tolist() == [0, 1]
    # 9, 8, 7 after the change: 8 -+ 4.302653 / sqrt 3
    assert line["mean"].tolist() == [9.5, 8.0]
    assert line["ci_low"].tolist() == pytest.approx([9.5, 8.0 - 2.484138], abs=1e-5)
    assert line["ci_high"].tolist() == pytest.approx([9.5, 8.0 + 2.484138], abs=1e-5)


def test_updated_policies_stand_after_the_last_update_of_a_change(moving) -> None:
    line = course(of_hsrl(moving), "total_reward", updated=True)
    # 9.5, 9 and 8.5 after 100 updates; what they earn after 50 is not drawn
    assert line["mean"].tolist() == [9.5, 9.0]


def test_a_policy_that_is_never_updated_has_no_such_course(moving) -> None:
    frozen = of_hsrl(moving).query("updates == 0")
    assert course(frozen, "regret", updated=True).empty


def test_one_seed_has_no_band(moving) -> None:
    line = course(of_hsrl(moving).query("seed == 1"), "regret", updated=False)
    assert line["mean"].tolist() == [0.5, 2.0]
    assert line[["ci_low", "ci_high"]].isna().all(axis=None)


def test_panels_show_reward_and_regret_of_the_judge(moving) -> None:
    figure = plot_moving_part(moving)
    above, below = figure.axes
    assert above.get_title() == "toy, repeats\nevaluation simulator"
    # in the order of the table: two policies frozen and updated, then the references in grey
    assert lines(above) == [
        ("-", [9.5, 8.0]),
        ("--", [9.5, 9.0]),
        ("-", [9.5, pytest.approx(6.8333, abs=1e-4)]),
        ("--", [9.5, pytest.approx(8.4167, abs=1e-4)]),
        ("-.", [10.0, 10.0]),
        (":", [7.0, 7.0]),
    ]
    assert [dashes for dashes, _ in lines(below)] == ["-", "-", "-.", ":"]
    assert lines(below)[0][1] == [0.5, 2.0]
    colours = [line.get_color() for line in above.get_lines()[:4]]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert len(above.collections) == 4  # a band per line of a policy


def test_there_is_a_column_per_task(tmp_path) -> None:
    store = ExperimentStore(tmp_path)
    entries = [entry(regime=regime) for regime in ("repeats", "no_repeats")]
    for own in entries:
        store.save_result(own.key, result("hsrl", 1.0))
    save_grid(store, entries)
    figure = plot_moving_part(moving_table(store))
    titles = [panel.get_title() for panel in figure.axes if panel.get_title()]
    assert sorted(titles) == [
        "toy, no repeats\nevaluation simulator",
        "toy, repeats\nevaluation simulator",
    ]


def test_a_launch_order_far_from_all_others_is_written_and_not_drawn(tmp_path) -> None:
    store = ExperimentStore(tmp_path)
    save_two_policies(store, launch=1.0)
    above, below = plot_moving_part(moving_table(store)).axes
    assert [text.get_text() for text in above.texts] == ["static_slate lies below: 1.00 to 1.00"]
    assert [text.get_text() for text in below.texts] == ["static_slate lies above: 9.00 to 9.00"]
    drawn = np.concatenate([heights for _, heights in lines(above)])
    assert drawn.min() > 5.0
