import pandas as pd

from hsrl_pipeline.evaluation.comparison import paired_differences
from hsrl_pipeline.evaluation.plots import plot_differences, plot_steps


def test_steps_have_a_line_per_policy_in_each_panel():
    steps = pd.DataFrame(
        [
            {"policy": policy, "simulator": simulator, "step": step, "survival": 1.0, "reward": 0.5}
            | {"regime": "repeats"}
            for policy in ("hsrl", "random")
            for simulator in ("train", "eval")
            for step in (1, 2)
        ]
    )
    panels = plot_steps(steps).axes
    assert [len(axes.lines) for axes in panels] == [2, 2, 2, 2]


def test_differences_are_drawn_best_on_top_and_of_the_evaluation_simulator_alone():
    columns = ["total_reward_difference", "total_reward_difference_ci_low"]
    columns.append("total_reward_difference_ci_high")
    rows = [("sl", 0.5, 0.4, 0.6, "eval"), ("hsrl", 1, 0.9, 1.1, "eval"), ("x", 9, 8, 9, "train")]
    table = pd.DataFrame(
        [
            {"policy": p, "seed": 0, "simulator": s, "compared_with": "popular"}
            | {"regime": regime}
            | dict(zip(columns, (mean, low, high), strict=True))
            for regime in ("repeats", "no_repeats")
            for p, mean, low, high, s in rows
        ]
    )
    axes, other = plot_differences(table).axes
    assert (axes.get_title(), other.get_title()) == ("no_repeats", "repeats")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sl, seed 0", "hsrl, seed 0"]
    assert "popular" in axes.get_xlabel()


def test_a_table_without_differences_can_be_drawn():
    session = {"policy": "sl", "seed": 0, "simulator": "eval", "episode": 0, "depth": 2}
    session |= {"total_reward": 1.0, "sessions_version": "a", "simulator_version": "b"}
    session |= {"regime": "repeats"}
    empty = paired_differences(pd.DataFrame([session, session | {"episode": 1}]), "sl", 100, 0)
    assert plot_differences(empty).axes
