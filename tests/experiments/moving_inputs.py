"""Kept trials under a moving catalogue, with figures that can be followed by hand."""

from __future__ import annotations

from typing import Any

from hsrl_pipeline.experiments.store import Experiment, ExperimentStore, TrialEntry
from hsrl_pipeline.experiments.trial import PartInfo

REGRETS = {"hsrl": (1.0, 2.0, 3.0), "hsrl_items": (2.0, 3.5, 4.0)}
"""Regret after the only change of frozen policies, by seed."""

UPPER, LAUNCH = 10.0, 4.0
"""What the references earn at any time."""


def entry(
    label: str = "hsrl",
    seed: int = 0,
    *,
    variant: str | None = None,
    dataset: str = "toy",
    regime: str = "repeats",
) -> TrialEntry:
    key = f"{label}{seed}{dataset}{regime}"
    return TrialEntry(key, "both", label, variant or label, "hsrl", seed, dataset, regime)


def judged(policy: str, simulator: str, seed: int) -> dict[str, Any]:
    return {
        "policy": policy,
        "seed": seed,
        "simulator": simulator,
        "regime": "repeats",
        "arm": "both",
    }


def point(
    policy: str,
    simulator: str,
    change: int,
    updates: int,
    reward: float,
    *,
    seed: int = 0,
    released: int = 0,
) -> dict[str, Any]:
    """Return a row as ``moving_summary.csv`` has it."""
    return {
        **judged(policy, simulator, seed),
        "change": change,
        "updates": updates,
        "total_reward": reward,
        "total_reward_ci_low": reward - 0.1,
        "total_reward_ci_high": reward + 0.1,
        "regret": UPPER - reward,
        "new_item_share": 0.25 if change else 0.0,
        "new_item_click_rate": 0.5 if change else None,
        "old_item_click_rate": 0.5,
        "released_item_slots": released,
    }


def area(policy: str, simulator: str, path: str, value: float, *, seed: int = 0) -> dict[str, Any]:
    """Return a row as ``moving_regret.csv`` has it."""
    return {
        **judged(policy, simulator, seed),
        "path": path,
        "area_under_regret": value,
        "area_under_regret_ci_low": value - 0.1,
        "area_under_regret_ci_high": value + 0.1,
        "n_changes": 1,
    }


def result(
    label: str,
    regret: float,
    *,
    seed: int = 0,
    launch: float = LAUNCH,
    simulators: tuple[str, ...] = ("train", "eval"),
    released: int = 0,
) -> dict[str, Any]:
    """Return a finished trial: 9.5 at launch, then a regret that updates halve."""
    moving, areas, rows = [], [], []
    for name in simulators:
        frozen = UPPER - regret
        courses = {
            "greedy_full_knowledge": [(0, 0, UPPER), (1, 0, UPPER)],
            "popular": [(0, 0, 1.0), (1, 0, 1.0)],
            "static_slate": [(0, 0, launch), (1, 0, launch)],
            label: [(0, 0, 9.5), (1, 0, frozen), (1, 50, 7.0), (1, 100, UPPER - regret / 2)],
        }
        for policy, course in courses.items():
            slots = released if policy == label else 0
            moving += [point(policy, name, *values, seed=seed, released=slots) for values in course]
            areas.append(area(policy, name, "frozen", UPPER - course[1][2], seed=seed))
            rows.append({**point(policy, name, 1, 0, course[1][2], seed=seed)})
        areas.append(area(label, name, "updated", regret / 2, seed=seed))
    return {
        "overrides": {"catalogue.schedule": "moving"},
        "parameters": {"training": {"n_iterations": 400}, "evaluation": {"n_episodes": 500}},
        "commit": "abc1234",
        "behaviour": "b1",
        "simulators": "simulator_training-1",
        "seconds": 36.0,
        "level_weights": [],
        "rows": rows,
        "moving": moving,
        "areas": areas,
    }


def save_grid(store: ExperimentStore, entries: list[TrialEntry], baseline: str = "hsrl") -> None:
    parts = {"both": PartInfo("Items come and go", baseline, level_weights=False)}
    grid = Experiment("moving", "quick", "Moving", "Who?", parts, "b1", "abc1234", entries)
    store.save_experiment(grid, None)


def save_two_policies(store: ExperimentStore, **how: Any) -> None:
    """Keep ``hsrl`` and ``hsrl_items`` with three seeds of ``REGRETS``."""
    entries = [entry(label, seed) for label in REGRETS for seed in range(3)]
    for own in entries:
        regret = REGRETS[own.label][own.seed]
        store.save_result(own.key, result(own.label, regret, seed=own.seed, **how))
    save_grid(store, entries)
