"""Stands in for a Kedro session: writes at once what a step would."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from hsrl_pipeline.experiment_runs.step import DONE, Step
from hsrl_pipeline.experiments.store import ExperimentStore

REFERENCES = {
    "random": 0.0,
    "popular": 1.0,
    "static_slate": 2.0,
    "greedy_train_simulator": 2.5,
    "greedy_eval_simulator": 4.0,
}


def row(policy: str, simulator: str, reward: float) -> dict[str, Any]:
    return {
        "policy": policy,
        "simulator": simulator,
        "total_reward": reward,
        "total_reward_ci_low": reward - 0.1,
        "total_reward_ci_high": reward + 0.1,
        "depth": 5.0,
        "clicks_per_slot": 0.5,
        "coverage": 20,
        "repetition_rate": 0.2,
    }


def result(facts: dict[str, Any], reward: float) -> dict[str, Any]:
    """Return what a trial keeps."""
    rows = [
        row(name, simulator, earned)
        for name, earned in {**REFERENCES, facts["label"]: reward}.items()
        for simulator in ("train", "eval")
    ]
    weights = [{"iteration": 1, "level_weight_0": 0.5, "level_weight_1": 0.5}]
    return {**facts, "seconds": 1.0, "rows": rows, "level_weights": weights}


def fake_step(step: Step) -> None:
    """Count the call, then fail, wait or write, as the label of the trial says."""
    step.folder.mkdir(parents=True, exist_ok=True)
    with (step.folder / "calls.txt").open("a") as calls:
        calls.write(f"{os.getpid()}\n")
    if step.trial is None:
        (step.folder / DONE).write_text(json.dumps({"dataset_version": "v1"}))
        return
    label, seed = step.trial["label"], step.trial["seed"]
    if label == "bad" and seed == 4:
        raise ValueError("this one\nalways fails")
    if label == "slow" and seed > 0 and not (step.project / "fast").exists():
        time.sleep(60)
    store = ExperimentStore(step.store)
    store.save_result(step.trial["key"], result(dict(step.trial), float(seed)))
