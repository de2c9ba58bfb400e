"""What trials under a moving catalogue found, as tables of all experiments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from hsrl_pipeline.config.catalogue import UPPER_REFERENCE
from hsrl_pipeline.experiments.store import ExperimentStore
from hsrl_pipeline.experiments.trial_tables import PLACE, finished_trials, place_of

LAUNCH_ORDER = "static_slate"
"""The other reference of the report: an order that stays."""

MOVING_COLUMNS = [
    *PLACE,
    "policy",
    "seed",
    "simulator",
    "change",
    "updates",
    "total_reward",
    "regret",
    "new_item_share",
    "new_item_click_rate",
    "released_item_slots",
]

AREA_COLUMNS = [*PLACE, "policy", "seed", "simulator", "path", "area_under_regret"]

POINT = [*PLACE, "policy", "seed", "simulator"]
"""What tells one course through the changes from another."""

Rows = list[dict[str, Any]]


def moving_table(store: ExperimentStore) -> pd.DataFrame:
    """Return what policies earn under every version of the catalogue.

    Args:
        store: All experiments.

    Returns:
        ``MOVING_COLUMNS``, a row for each point at which a trial's policy was judged
        (``<policy>@training`` and ``<policy>@retraining`` too). References come once for each
        table of the report and have no seed. Where the schedules of a table differ, so that a
        reference earns several things, it is named like the trials: ``static_slate+draw1``.
    """
    return _table(store, "moving", MOVING_COLUMNS, [*POINT, "change", "updates"])


def area_table(store: ExperimentStore) -> pd.DataFrame:
    """Return the areas under regret of policies.

    Args:
        store: All experiments.

    Returns:
        ``AREA_COLUMNS``, a row per policy, seed, simulator and path; references as in
        ``moving_table``.
    """
    return _table(store, "areas", AREA_COLUMNS, [*POINT, "path"])


def base_reference(policy: str) -> str | None:
    """Return which reference a policy of these tables is; None for one that learns."""
    name = policy.split("+", maxsplit=1)[0]
    return name if name in (UPPER_REFERENCE, LAUNCH_ORDER) else None


def judge_of(rows: pd.DataFrame) -> str:
    """Return which simulator judges: the true users where the data have them.

    Args:
        rows: Rows of one task with a column ``simulator``.
    """
    return "truth" if rows["simulator"].eq("truth").any() else "eval"


def _table(
    store: ExperimentStore, kept: str, columns: Sequence[str], key: Sequence[str]
) -> pd.DataFrame:
    rows: Rows = []
    references: dict[tuple[str, ...], list[tuple[str, Rows]]] = defaultdict(list)
    for experiment, entry, result in finished_trials(store):
        place = place_of(experiment, entry)
        own = _by_policy(result.get(kept) or (), place, columns)
        for policy, found in own.items():
            if policy.split("@", maxsplit=1)[0] == entry.label:
                rows += found
            elif policy in (UPPER_REFERENCE, LAUNCH_ORDER):
                known = references[(*place.values(), policy)]
                once = [{**row, "seed": None} for row in found]
                if not any(once == others for _, others in known):
                    known.append((entry.label.removeprefix(entry.variant), once))
    for known in references.values():
        for ending, found in known:
            name = found[0]["policy"] + (ending if len(known) > 1 else "")
            rows += [{**row, "policy": name} for row in found]
    table = pd.DataFrame(rows, columns=list(columns)).astype({"seed": "Int64"})
    # a grid that was run once as it is and once with --env may hold the same trial twice
    return table.drop_duplicates(list(key), ignore_index=True)


def _by_policy(
    rows: Iterable[Mapping[str, Any]], place: Mapping[str, str], columns: Sequence[str]
) -> dict[str, Rows]:
    found: dict[str, Rows] = defaultdict(list)
    for row in rows:
        measured = {name: row[name] for name in columns if name not in PLACE}
        found[row["policy"]].append({**place, **measured})
    return found
