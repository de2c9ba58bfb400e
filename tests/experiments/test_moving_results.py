"""Tables of what trials under a moving catalogue found."""

from __future__ import annotations

import pandas as pd
import pytest

from hsrl_pipeline.experiments.moving_results import (
    AREA_COLUMNS,
    MOVING_COLUMNS,
    area_table,
    base_reference,
    judge_of,
    moving_table,
)

from .moving_inputs import area, entry, point, result, save_grid, save_two_policies


def test_own_policies_have_a_row_per_seed_and_references_one(store) -> None:
    save_two_policies(store)
    moving, areas = moving_table(store), area_table(store)
    assert list(moving.columns) == MOVING_COLUMNS
    assert list(areas.columns) == AREA_COLUMNS
    # two simulators; three seeds of four points, or two points of a reference
    assert moving["policy"].value_counts().to_dict() == {
        "hsrl": 24,
        "hsrl_items": 24,
        "greedy_full_knowledge": 4,
        "static_slate": 4,
    }
    assert areas["policy"].value_counts().to_dict() == {
        "hsrl": 12,
        "hsrl_items": 12,
        "greedy_full_knowledge": 2,
        "static_slate": 2,
    }
    references = areas[areas["policy"].isin(["greedy_full_knowledge", "static_slate"])]
    assert references["seed"].isna().all()
    own = areas[areas["policy"].eq("hsrl_items") & areas["simulator"].eq("eval")]
    frozen = own[own["path"] == "frozen"].set_index("seed")["area_under_regret"]
    assert frozen.to_dict() == {0: 2.0, 1: 3.5, 2: 4.0}
    place = ["moving", "quick", "both", "b1", "toy", "repeats"]
    assert moving.iloc[0].tolist()[:6] == place


def test_policies_of_other_modes_belong_to_their_trial(store) -> None:
    kept = result("hsrl", 1.0)
    kept["moving"].append(point("hsrl@retraining", "eval", 1, 400, 9.0))
    kept["areas"].append(area("hsrl@retraining", "eval", "updated", 1.0))
    own = entry()
    store.save_result(own.key, kept)
    save_grid(store, [own])
    assert "hsrl@retraining" in set(moving_table(store)["policy"])
    assert "hsrl@retraining" in set(area_table(store)["policy"])


def test_references_of_other_schedules_have_names_of_their_own(store) -> None:
    entries = [entry(f"hsrl+draw{draw}", variant="hsrl") for draw in (0, 1)]
    for own, launch in zip(entries, (4.0, 5.0), strict=True):
        store.save_result(own.key, result(own.label, 1.0, launch=launch))
    save_grid(store, entries)
    areas = area_table(store)
    values = areas[areas["simulator"] == "eval"].set_index("policy")["area_under_regret"]
    assert values["static_slate+draw0"] == 6.0
    assert values["static_slate+draw1"] == 5.0
    assert values["greedy_full_knowledge"] == 0.0  # the same for both


def test_a_trial_that_two_lists_name_counts_once(store) -> None:
    save_two_policies(store)
    once = moving_table(store), area_table(store)
    store.save_experiment(store.experiments()[0], "toy")
    pd.testing.assert_frame_equal(moving_table(store), once[0])
    pd.testing.assert_frame_equal(area_table(store), once[1])


@pytest.mark.parametrize("lost", [["areas"], ["moving"], ["moving", "areas"]])
def test_trials_without_such_rows_are_left_out(store, lost) -> None:
    kept = result("hsrl", 1.0)
    for name in lost:
        del kept[name]
    own = entry()
    store.save_result(own.key, kept)
    save_grid(store, [own])
    assert moving_table(store).empty == ("moving" in lost)
    assert area_table(store).empty == ("areas" in lost)
    assert list(moving_table(store).columns) == MOVING_COLUMNS
    assert list(area_table(store).columns) == AREA_COLUMNS


@pytest.mark.parametrize(
    ("policy", "reference"),
    [
        ("static_slate", "static_slate"),
        ("greedy_full_knowledge+draw1", "greedy_full_knowledge"),
        ("static_slate_full_knowledge", None),
        ("hsrl+draw1", None),
    ],
)
def test_references_are_known_by_name(policy, reference) -> None:
    assert base_reference(policy) == reference


def test_the_true_users_judge_where_there_are_any() -> None:
    assert judge_of(pd.DataFrame({"simulator": ["train", "eval", "truth"]})) == "truth"
    assert judge_of(pd.DataFrame({"simulator": ["train", "eval"]})) == "eval"
