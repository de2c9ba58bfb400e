"""The tables of an evaluation under a catalogue that moves: rewards, regret, recovery, costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.timetable import Mode, Path, Point, Timetable
from hsrl_pipeline.config.catalogue import UPPER_REFERENCE
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.evaluation.bootstrap import bootstrap_intervals
from hsrl_pipeline.evaluation.catalogue_metrics import catalogue_metrics
from hsrl_pipeline.evaluation.moving_evaluation import Judged
from hsrl_pipeline.evaluation.regret import area_under_regret, recovery
from hsrl_pipeline.evaluation.session_records import SessionRecords
from hsrl_pipeline.simulator.moving_world import MovingWorld

RUN_KEYS = ("policy", "seed", "simulator", "regime", "arm")
"""What tells the rows of one policy of a run from all others."""

SUMMARY_COLUMNS = (
    *RUN_KEYS,
    "change",
    "updates",
    "total_reward",
    "total_reward_ci_low",
    "total_reward_ci_high",
    "regret",
    "new_item_share",
    "new_item_click_rate",
    "old_item_click_rate",
    "released_item_slots",
)

COST_COLUMNS = [
    "policy",
    "seed",
    "regime",
    "arm",
    "change",
    "version",
    "added",
    "released",
    "seconds",
    "published_bytes",
    "checkpoint_bytes",
]

TRACKED = {
    "total_reward": "total_reward",
    "regret": "regret",
    "new_item_share": "new_item_share",
}
"""Columns that MLflow gets by change."""


@dataclass(frozen=True)
class MovingTables:
    """What an evaluation under a catalogue that moves found out.

    Attributes:
        summary: ``SUMMARY_COLUMNS``, one row per policy, simulator, change and updates.
        areas: Area under regret, one row per policy, simulator and path, with its interval.
        recovery: Updates until a policy has recovered from each change.
        costs: What it cost a frozen policy to take each change.
        sessions: The area of every session, for paired differences.
    """

    summary: pd.DataFrame
    areas: pd.DataFrame
    recovery: pd.DataFrame
    costs: pd.DataFrame
    sessions: pd.DataFrame


def policy_name(shown_name: str, mode: Mode) -> str:
    """Return the name of the run's policy in tables; one that did not serve says how it lived."""
    return shown_name if mode == "serving" else f"{shown_name}@{mode}"


class MovingTabulator:
    """Takes the sessions change by change and makes the tables of them.

    Args:
        world: Data and versions of the catalogue.
        timetables: When the run's policies were judged.
        shown_name: Name of the run's agent.
        seed: Seed of the run.
        regime: Whether items were shown once or again and again.
        arm: What a change does.
        evaluation: Resamples and seed of the intervals.
    """

    def __init__(
        self,
        world: MovingWorld,
        timetables: Mapping[Mode, Timetable],
        *,
        shown_name: str,
        seed: int,
        regime: str,
        arm: str,
        evaluation: EvaluationConfig,
    ) -> None:
        self._world, self._timetables = world, timetables
        self._shown_name = shown_name
        self._key = {"seed": seed, "regime": regime, "arm": arm}
        self._resampling = (evaluation.n_resamples, evaluation.seed)
        self._sessions_version = ""
        self._rows: list[dict[str, Any]] = []
        self._costs: list[dict[str, Any]] = []
        self._regret: dict[tuple[str, str, Path], dict[tuple[int, int], NDArray[np.float64]]] = {}

    def add(self, judged: Judged) -> dict[str, float]:
        """Take what happened under one version.

        Returns:
            Figures of the run's policies for MLflow, by name, of the evaluation simulator.
        """
        self._sessions_version = judged.sessions_version
        figures: dict[str, float] = {}
        for (name, simulator), records in judged.references.items():
            self._take(judged, name, simulator, Point(0, judged.change, 0, "frozen"), records)
        for (mode, point, simulator), records in judged.policies.items():
            name = policy_name(self._shown_name, mode)
            row = self._take(judged, name, simulator, point, records)
            if simulator == "eval":
                figures |= _tracked(row, mode, point)
        if judged.costs is not None:
            step = self._world.schedule.steps[judged.change - 1]
            cost = judged.costs
            self._costs.append(
                {
                    "policy": self._shown_name,
                    **self._key,
                    "change": cost.change,
                    "version": cost.version,
                    "added": len(step.added),
                    "released": len(step.released),
                    "seconds": cost.seconds,
                    "published_bytes": cost.published_bytes,
                    "checkpoint_bytes": cost.checkpoint_bytes,
                }
            )
        return figures

    def tables(self) -> MovingTables:
        """Return the tables of all that was taken."""
        areas, sessions = [], []
        for (policy, simulator, path), regret in self._regret.items():
            area = area_under_regret(regret)
            low, high = bootstrap_intervals(area[:, None], *self._resampling)[0]
            key: dict[str, Any] = {"policy": policy, "simulator": simulator, **self._key}
            key["path"] = path
            areas.append(
                {
                    **key,
                    "area_under_regret": float(area.mean()),
                    "area_under_regret_ci_low": float(low),
                    "area_under_regret_ci_high": float(high),
                    "n_changes": len({change for change, _ in regret if change}),
                }
            )
            episodes = {"episode": np.arange(len(area), dtype=np.int32), "area": area}
            sessions.append(
                pd.DataFrame(episodes).assign(
                    **key,
                    schedule_version=self._world.schedule.version,
                    sessions_version=self._sessions_version,
                )
            )
        first = list(RUN_KEYS)
        return MovingTables(
            summary=pd.DataFrame(self._rows)[list(SUMMARY_COLUMNS)],
            areas=_ordered(pd.DataFrame(areas), [*first, "path"]),
            recovery=_ordered(pd.DataFrame(self._recovery()), [*first, "change"]),
            costs=pd.DataFrame(self._costs, columns=COST_COLUMNS),
            sessions=_ordered(pd.concat(sessions, ignore_index=True), [*first, "path"]),
        )

    def _take(
        self, judged: Judged, policy: str, simulator: str, point: Point, records: SessionRecords
    ) -> dict[str, Any]:
        upper = judged.references[UPPER_REFERENCE, simulator].total_reward
        regret = upper - records.total_reward
        earned = records.total_reward[:, None]
        low, high = bootstrap_intervals(earned, *self._resampling)[0]
        row: dict[str, Any] = {
            "policy": policy,
            "simulator": simulator,
            **self._key,
            "change": point.change,
            "updates": point.updates,
            "total_reward": float(earned.mean()),
            "total_reward_ci_low": float(low),
            "total_reward_ci_high": float(high),
            "regret": float(regret.mean()),
            **catalogue_metrics(records, judged.catalogue, self._world.new_items(judged.change)),
        }
        row["released_item_slots"] = int(row["released_item_slots"])
        of_path = self._regret.setdefault((policy, simulator, point.path), {})
        of_path[point.change, point.updates] = regret
        trained = policy != self._shown_name and point.path == "updated"
        # right after a change, the row of a served policy is that of the frozen one
        if point.path == "frozen" or point.updates or trained:
            self._rows.append(row)
        return row

    def _recovery(self) -> Iterable[dict[str, Any]]:
        for (policy, simulator, path), regret in self._regret.items():
            retrained = policy == policy_name(self._shown_name, "retraining")
            if path != "updated" or retrained:
                continue
            mode: Mode = "serving" if policy == self._shown_name else "training"
            timetable = self._timetables[mode]
            for change in sorted({change for change, _ in regret if change}):
                before = timetable.before(change)
                path_before = before.path
                level = self._regret[policy, simulator, path_before][before.change, before.updates]
                after = {
                    updates: float(values.mean())
                    for (number, updates), values in regret.items()
                    if number == change
                }
                yield {
                    "policy": policy,
                    "simulator": simulator,
                    **self._key,
                    "change": change,
                    "regret_before": float(level.mean()),
                    "regret_after": after[0],
                    **recovery(float(level.mean()), after),
                }


def area_metrics(areas: pd.DataFrame, shown_name: str) -> dict[str, float]:
    """Return the areas of the run's policies on the evaluation simulator, by name for MLflow."""
    own = areas[(areas["simulator"] == "eval")]
    figures = {}
    for row in own.to_dict("records"):
        if row["policy"] == shown_name:
            figures[f"moving.area_under_regret_{row['path']}"] = row["area_under_regret"]
        for mode in ("training", "retraining"):
            if row["policy"] == policy_name(shown_name, mode):
                figures[f"moving.area_under_regret_{mode}"] = row["area_under_regret"]
    return figures


def _tracked(row: Mapping[str, Any], mode: Mode, point: Point) -> dict[str, float]:
    """Return a row's figures by name: ``<figure>_<frozen, updated, training or retraining>``."""
    if mode == "serving" and point.path == "updated" and not point.updates:
        return {}
    # of several numbers of updates the last one stays
    name = point.path if mode == "serving" else mode
    return {f"{figure}_{name}": row[column] for column, figure in TRACKED.items()}


def _ordered(table: pd.DataFrame, first: Sequence[str]) -> pd.DataFrame:
    if not len(table):
        return pd.DataFrame(columns=[*first])
    return table[[*first, *(name for name in table.columns if name not in first)]]
