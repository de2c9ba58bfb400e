"""What the report says of policies under a moving catalogue: areas, differences, sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from hsrl_pipeline.experiments.area_comparisons import area_differences, mean_areas
from hsrl_pipeline.experiments.moving_results import base_reference, judge_of
from hsrl_pipeline.html_page import bullets, element, table

HOW_TO_READ_MOVING = [
    "Where the catalogue moves, regret is what greedy_full_knowledge, the greedy policy that knows"
    " all items, earns more in the same sessions. The area under regret adds it up over the changes"
    " of the catalogue: smaller is better. Frozen means that a policy has no update after the"
    " launch; updated, that it is trained on after each change; a policy named @retraining starts"
    " from scratch after each change, one named @training learns while the changes come. Total"
    " Reward in the first table of such a part is the mean over all versions after a change,"
    " frozen, on the evaluation simulator.",
    "Areas are means over the seeds with a 95 % t interval; references have no seeds and no"
    " interval. A difference is the area of a policy minus that of the baseline, in pairs of the"
    " same seed: below 0 the policy misses less. Whether an interval is clear of 0 is decided"
    " before rounding, and intervals are not corrected for the number of comparisons. The true"
    " users judge where the data have them, else the evaluation simulator.",
]

SIMULATORS = {
    "truth": "true users",
    "eval": "evaluation simulator",
    "train": "training simulator",
}

PATHS = {"frozen": "Without updates", "updated": "With updates after each change"}

Cells = list[tuple[str, str]]


def moving_section(
    title: str, moving: pd.DataFrame, areas: pd.DataFrame, baseline: str | None
) -> Iterator[str]:
    """Yield what the report says of one task of a part under a moving catalogue.

    Args:
        title: The task in words.
        moving: Rows of one dataset and regime, as ``moving_table`` returns them.
        areas: Rows of the same dataset and regime, as ``area_table`` returns them.
        baseline: The policy that the others are compared with, if there is one.

    Returns:
        HTML: areas under regret, differences from the baseline with sentences, and how many slots
        went to released items; nothing where the task has no such rows.
    """
    if len(areas):
        judge = judge_of(areas)
        cells = _cells(areas, judge)
        yield element("h4", f"Area under regret: {title}")
        yield _area_table(mean_areas(areas), cells, "n_seeds", "seeds")
        found = area_differences(areas, baseline) if baseline else pd.DataFrame()
        if len(found):
            yield element("h5", f"Area under regret minus that of {baseline}, paired by seed")
            yield bullets(difference_sentences(found, str(baseline), judge))
            yield _area_table(found, cells, "n_pairs", "pairs of seeds")
    if len(moving):
        yield _released_slots(moving)


def difference_sentences(differences: pd.DataFrame, baseline: str, judge: str) -> list[str]:
    """Return for each path who misses less and who misses more than the baseline.

    Args:
        differences: As ``area_differences`` returns them.
        baseline: The policy that the others are compared with.
        judge: The simulator that judges.
    """
    said = []
    judged = differences[differences["simulator"] == judge]
    for path, rows in judged.groupby("path", sort=True):
        less = list(rows.loc[rows["ci_high"] < 0, "policy"])
        more = list(rows.loc[rows["ci_low"] > 0, "policy"])
        rest = [name for name in rows["policy"] if name not in (*less, *more)]
        parts = []
        if less:
            parts.append(f"{_listed(less)} {_verb(less, 'miss')} less than {baseline}")
        if more:
            parts.append(f"{_listed(more)} {_verb(more, 'miss')} more than {baseline}")
        if rest:
            are = "is" if len(rest) == 1 else "are"
            parts.append(f"{_listed(rest)} {are} not told apart from {baseline}")
        start = f"{PATHS.get(str(path), str(path))}, judged by the {SIMULATORS[judge]}"
        said.append(f"{start}: {'; '.join(parts)}.")
    if len(judged) and judged["n_pairs"].max() == 1:
        said.append("With one seed nothing can be told from chance.")
    return said


def _released_slots(moving: pd.DataFrame) -> str:
    slots = moving.groupby("policy", sort=False)["released_item_slots"].sum()
    total = int(slots.sum())
    if total == 0:
        text = f"Slots on items that had been released: 0, in {len(moving):,} rows of moving.csv."
        return element("p", text, class_="small")
    named = ", ".join(f"{policy} ({int(count)})" for policy, count in slots[slots > 0].items())
    return element(
        "p",
        f"ERROR: {total:,} slots went to items that had been released, which must never happen:"
        f" {named}. Do not use the figures of this part before the cause is found.",
        class_="failed",
    )


def _cells(areas: pd.DataFrame, judge: str) -> Cells:
    """Return the simulators and paths of a table's columns, the judge's first."""
    paths = sorted(set(areas["path"]), key=lambda path: (path not in PATHS, path))
    there = set(zip(areas["simulator"], areas["path"], strict=True))
    wanted = [(simulator, path) for simulator in (judge, "train") for path in paths]
    return [cell for cell in wanted if cell in there]


def _area_table(figures: pd.DataFrame, cells: Cells, counted: str, counts: str) -> str:
    """Return a table of means with their intervals.

    Args:
        figures: As ``mean_areas`` or ``area_differences`` returns them.
        cells: The columns.
        counted: The column of ``figures`` with the number of seeds; references have none.
        counts: Its heading.
    """
    rows, classes = [], []
    for policy, found in _by_cell(figures, cells):
        reference = base_reference(policy) is not None
        seeds = "" if reference else _counts([row[counted] for row in found.values()])
        rows.append([policy, seeds, *(_with_interval(found.get(cell)) for cell in cells)])
        classes.append("reference" if reference else "")
    return table(["policy", counts, *_headings(cells)], rows, classes)


def _by_cell(
    rows: pd.DataFrame, cells: Cells
) -> list[tuple[str, dict[tuple[str, str], dict[str, Any]]]]:
    """Return the figures of each policy by column, best first in the first it has."""
    found: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for row in rows.to_dict("records"):
        cell = (row["simulator"], row["path"])
        if cell in cells:
            found.setdefault(row["policy"], {})[cell] = {str(k): v for k, v in row.items()}

    def order(policy: str) -> tuple[float, str]:
        first = next(cell for cell in cells if cell in found[policy])
        return found[policy][first]["mean"], policy

    return [(policy, found[policy]) for policy in sorted(found, key=order)]


def _headings(cells: Cells) -> list[str]:
    return [f"{path}, {SIMULATORS[simulator]}" for simulator, path in cells]


def _with_interval(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    mean = _two_digits(row["mean"])
    if pd.isna(row["ci_low"]):
        return mean
    return f"{mean} [{_two_digits(row['ci_low'])}, {_two_digits(row['ci_high'])}]"


def _two_digits(value: float) -> str:
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text


def _counts(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _verb(names: Sequence[str], stem: str) -> str:
    return f"{stem}es" if len(names) == 1 else stem
