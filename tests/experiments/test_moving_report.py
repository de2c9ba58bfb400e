"""What the report says of policies under a moving catalogue."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest

from hsrl_pipeline.experiments.comparison_tables import comparison_table, score_table
from hsrl_pipeline.experiments.moving_report import difference_sentences, moving_section
from hsrl_pipeline.experiments.moving_results import area_table, moving_table
from hsrl_pipeline.experiments.report import report_page
from hsrl_pipeline.experiments.store import ExperimentStore
from hsrl_pipeline.experiments.trial_tables import (
    level_weight_table,
    reference_table,
    trial_table,
)

from .moving_inputs import area, entry, result, save_grid, save_two_policies


def section(store: ExperimentStore, baseline: str | None = "hsrl") -> str:
    return "\n".join(moving_section("toy task", moving_table(store), area_table(store), baseline))


def table_rows(html: str, number: int) -> list[list[str]]:
    """Return the texts of one table of a page."""
    found = re.findall(r"<table>.*?</table>", html, re.DOTALL)[number]
    rows = re.findall(r"<tr.*?</tr>", found, re.DOTALL)
    return [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in rows]


def page(store: ExperimentStore) -> str:
    trials, references = trial_table(store), reference_table(store)
    return report_page(
        store,
        trials=trials,
        scores=score_table(trials, references, 20, 0),
        comparisons=comparison_table(trials, references, {}, 20, 0),
        level_weights=level_weight_table(store),
        moving=moving_table(store),
        areas=area_table(store),
    )


def differences(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [("eval", 3, (low + high) / 2, *rest, low, high) for *rest, low, high in rows],
        columns=["simulator", "n_pairs", "mean", "policy", "path", "ci_low", "ci_high"],
    )


def test_areas_stand_with_interval_and_seeds_best_first(store) -> None:
    save_two_policies(store)
    head, *rows = table_rows(section(store), 0)
    assert head == [
        "policy",
        "seeds",
        "frozen, evaluation simulator",
        "updated, evaluation simulator",
        "frozen, training simulator",
        "updated, training simulator",
    ]
    # hsrl: 1, 2, 3; hsrl_items: 2, 3.5, 4, deviation 1.040833, reach 4.302653 x it / sqrt 3
    frozen, updated = "2.00 [-0.48, 4.48]", "1.00 [-0.24, 2.24]"
    twin, updated_twin = "3.17 [0.58, 5.75]", "1.58 [0.29, 2.88]"
    assert rows == [
        ["greedy_full_knowledge", "", "0.00", "", "0.00", ""],
        ["hsrl", "3", frozen, updated, frozen, updated],
        ["hsrl_items", "3", twin, updated_twin, twin, updated_twin],
        ["static_slate", "", "6.00", "", "6.00", ""],
    ]


def test_the_true_users_take_the_place_of_the_evaluation_simulator(store) -> None:
    save_two_policies(store, simulators=("train", "eval", "truth"))
    head = table_rows(section(store), 0)[0]
    assert head[2:] == [
        "frozen, true users",
        "updated, true users",
        "frozen, training simulator",
        "updated, training simulator",
    ]


def test_differences_are_paired_by_seed(store) -> None:
    save_two_policies(store)
    html = section(store)
    # 1, 1.5, 1: mean 1.1667, deviation 0.288675, reach 4.302653 / 6 = 0.717
    frozen, updated = "1.17 [0.45, 1.88]", "0.58 [0.22, 0.94]"
    assert table_rows(html, 1)[1:] == [["hsrl_items", "3", frozen, updated, frozen, updated]]
    assert "Without updates, judged by the evaluation simulator: hsrl_items misses more" in html


def test_a_seed_that_one_policy_lacks_is_no_pair(store) -> None:
    save_two_policies(store)
    entries = [entry("hsrl", seed) for seed in range(3)]
    save_grid(store, [*entries, *(entry("hsrl_items", seed) for seed in range(2))])
    html = section(store)
    assert [row[1] for row in table_rows(html, 0)[1:]] == ["", "3", "2", ""]
    # 1 and 1.5: mean 1.25, deviation 0.353553, reach 12.706205 / 4 = 3.177
    assert table_rows(html, 1)[1][1:3] == ["2", "1.25 [-1.93, 4.43]"]


def test_a_single_seed_has_no_interval_and_the_page_says_so(store) -> None:
    save_two_policies(store)
    save_grid(store, [entry("hsrl"), entry("hsrl_items")])
    html = section(store)
    assert table_rows(html, 0)[2][1:3] == ["1", "1.00"]
    assert table_rows(html, 1)[1][1:3] == ["1", "1.00"]
    assert "hsrl_items is not told apart from hsrl" in html
    assert "With one seed nothing can be told from chance." in html


@pytest.mark.parametrize("baseline", [None, "hac"])
def test_without_a_baseline_there_are_no_differences(store, baseline) -> None:
    save_two_policies(store)
    html = section(store, baseline)
    assert html.count("<table>") == 1
    assert "minus" not in html


def test_a_policy_without_a_frozen_path_has_empty_cells(store) -> None:
    kept: dict[str, Any] = result("hsrl", 1.0)
    kept["areas"].append(area("hsrl@retraining", "eval", "updated", 0.75))
    own = entry()
    store.save_result(own.key, kept)
    save_grid(store, [own])
    rows = {row[0]: row[1:] for row in table_rows(section(store), 0)[1:]}
    assert rows["hsrl@retraining"] == ["1", "", "0.75", "", ""]


def test_sentences_name_who_misses_less_and_who_more() -> None:
    found = differences(
        ("a", "frozen", -0.4, -0.1),
        ("b", "frozen", -0.6, -0.001),
        ("c", "frozen", 0.1, 0.2),
        ("d", "frozen", -0.1, 0.2),
        ("e", "frozen", -0.4, 0.1),
        ("a", "updated", -0.1, 0.2),
        ("b", "updated", -0.1, 0.2),
    )
    assert difference_sentences(found, "hsrl", "eval") == [
        "Without updates, judged by the evaluation simulator: a and b miss less than hsrl;"
        " c misses more than hsrl; d and e are not told apart from hsrl.",
        "With updates after each change, judged by the evaluation simulator: a and b are not told"
        " apart from hsrl.",
    ]


def test_released_items_are_said_not_to_be_shown(store) -> None:
    save_two_policies(store)
    html = section(store)
    assert "Slots on items that had been released: 0, in 56 rows of moving.csv." in html
    assert "ERROR" not in html


def test_released_items_that_are_shown_are_said_loudly(store) -> None:
    save_two_policies(store, released=2)
    # two policies, three seeds, two simulators, four points, two slots
    assert re.search(
        r'<p class="failed">ERROR: 96 slots went to items that had been released.*'
        r"hsrl \(48\), hsrl_items \(48\)\. Do not use",
        section(store),
    )


def test_the_page_has_tables_and_picture_and_says_how_to_read_them(store) -> None:
    save_two_policies(store)
    text = page(store)
    assert text.count("Area under regret: toy, items may return") == 1
    assert text.count("Total Reward and regret through the changes of the catalogue</h4>") == 1
    assert text.count("The area under regret adds it up") == 1
    assert table_rows(text, 1)[2][0] == "hsrl"
    assert text == page(store)


def test_empty_columns_of_the_score_table_are_left_out(store) -> None:
    save_two_policies(store)
    head = table_rows(page(store), 0)[0]
    assert head[:3] == ["policy", "Total Reward, IQM", "in training"]
    assert not {"Depth", "clicks/slot", "items shown"} & set(head)


def test_a_page_without_a_moving_catalogue_does_not_speak_of_it(store) -> None:
    kept = result("hsrl", 1.0)
    del kept["moving"], kept["areas"]
    own = entry()
    store.save_result(own.key, kept)
    save_grid(store, [own])
    text = page(store)
    assert "rea under regret" not in text
    assert "released" not in text
    assert "through the changes" not in text
