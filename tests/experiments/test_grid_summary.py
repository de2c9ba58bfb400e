"""What a grid has found, as a few figures."""

from __future__ import annotations

from dataclasses import replace

from hsrl_pipeline.experiments.grid_summary import grid_figures
from hsrl_pipeline.experiments.store import TrialEntry

ENTRY = TrialEntry(
    key="a",
    part="all",
    label="hsrl",
    variant="hsrl",
    agent="hsrl",
    seed=0,
    dataset="toy",
    regime="repeats",
)


def result(label: str, reward: float) -> dict[str, object]:
    rows = {(label, "eval"): reward, (label, "train"): 99.0, ("static_slate", "eval"): 2.0}
    return {
        "rows": [
            {"policy": policy, "simulator": simulator, "total_reward": earned}
            for (policy, simulator), earned in rows.items()
        ]
    }


def test_counts_and_the_interquartile_mean_of_the_seeds() -> None:
    entries = [replace(ENTRY, key=key, seed=seed) for seed, key in enumerate("abcd")]
    entries.append(replace(ENTRY, key="e", seed=4, error="ValueError"))
    rewards = {"a": 1.0, "b": 3.0, "c": 5.0, "d": 100.0}
    results = {key: result("hsrl", reward) for key, reward in rewards.items()}
    assert grid_figures(entries, results) == {
        "trials": 5.0,
        "trials_finished": 4.0,
        "trials_failed": 1.0,
        "reference.static_slate": 2.0,
        "iqm.hsrl": 4.0,  # the lowest and the highest of four are left out
    }


def test_parts_and_regimes_stand_before_the_policy_where_there_are_several() -> None:
    other = replace(ENTRY, key="b", regime="no_repeats", part="second")
    found = grid_figures([ENTRY, other], {"a": result("hsrl", 1.0), "b": result("hsrl", 2.0)})
    assert found["iqm.all.repeats.hsrl"] == 1.0
    assert found["iqm.second.no_repeats.hsrl"] == 2.0
    assert found["reference.second.no_repeats.static_slate"] == 2.0
