"""From trials to the tables of the report: scores with intervals, and comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.experiments.measures import (
    Scores,
    difference_p_value,
    holm,
    improvement_interval,
    improvement_probability,
    interquartile_mean,
    interquartile_mean_interval,
)
from hsrl_pipeline.experiments.trial_tables import MEASURES, PART, PLACE

REFERENCE = "static_slate"
"""The policy without learning that every agent is compared with."""

FLOOR, CEILING = "random", "greedy_eval_simulator"
"""What a normalised score of 0 and of 1 earns."""

OVERALL = "all"
"""Dataset and regime of rows over several tasks; their scores are normalised."""

SCORE_COLUMNS = [
    *PLACE,
    "policy",
    "variant",
    "kind",
    "axes",
    "n_seeds",
    "iqm",
    "iqm_ci_low",
    "iqm_ci_high",
    *MEASURES,
    "train_total_reward",
]

COMPARISON_COLUMNS = [
    *PLACE,
    "policy",
    "compared_with",
    "n_seeds",
    "n_seeds_compared",
    "difference",
    "probability_of_improvement",
    "probability_ci_low",
    "probability_ci_high",
    "p_value",
    "p_holm",
]


def score_table(
    trials: pd.DataFrame, references: pd.DataFrame, n_resamples: int, seed: int
) -> pd.DataFrame:
    """Return what each policy earns in each table of the report, best first.

    Args:
        trials: As ``trial_table`` returns them.
        references: As ``reference_table`` returns them.
        n_resamples: Bootstrap resamples.
        seed: Seed of the resampling.

    Returns:
        ``SCORE_COLUMNS``. ``iqm`` is the interquartile mean of the seeds' Total Reward on the
        evaluation simulator, with a 95 % bootstrap interval over the seeds; for references, which
        have no seeds, it is their Total Reward with its interval over sessions. Other columns are
        means. Rows of dataset ``all`` pool several tasks on a scale where ``random`` is 0 and
        ``greedy_eval_simulator`` is 1.
    """
    rows: list[dict[str, Any]] = []
    for place, own in _places(trials):
        for (policy, variant, axes), runs in own.groupby(["policy", "variant", "axes"], sort=False):
            own_scores: Scores = [runs["total_reward"].to_numpy(float)]
            rows.append(
                {
                    **place,
                    "policy": policy,
                    "variant": variant,
                    "kind": "agent",
                    "axes": axes,
                    "n_seeds": len(runs),
                    **_with_interval(own_scores, n_resamples, seed),
                    **{name: runs[name].mean() for name in [*MEASURES, "train_total_reward"]},
                }
            )
    for row in references.to_dict("records"):
        rows.append(
            {
                **{name: row[name] for name in [*PLACE, "policy", *MEASURES, "train_total_reward"]},
                "variant": row["policy"],
                "kind": "reference",
                "axes": "{}",
                "n_seeds": 0,
                "iqm": row["total_reward"],
                "iqm_ci_low": row["total_reward_ci_low"],
                "iqm_ci_high": row["total_reward_ci_high"],
            }
        )
    for place, tasks in _several_tasks(trials):
        for policy, scores in _normalised(tasks, references).items():
            rows.append(
                {
                    **place,
                    "policy": policy,
                    "variant": policy,
                    "kind": "agent",
                    "axes": "{}",
                    "n_seeds": min(len(task) for task in scores),
                    **_with_interval(scores, n_resamples, seed),
                }
            )
    table = pd.DataFrame(rows, columns=SCORE_COLUMNS)
    return table.sort_values(
        [*PLACE, "iqm", "policy"], ascending=[True] * len(PLACE) + [False, True], ignore_index=True
    )


def comparison_table(
    trials: pd.DataFrame,
    references: pd.DataFrame,
    baselines: Mapping[tuple[str, str, str], str],
    n_resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Return how each policy compares with ``static_slate`` and with the baseline of its part.

    Args:
        trials: As ``trial_table`` returns them.
        references: As ``reference_table`` returns them.
        baselines: Policy that the others are compared with, by (experiment, size, part).
        n_resamples: Bootstrap resamples.
        seed: Seed of the resampling.

    Returns:
        ``COMPARISON_COLUMNS``. ``difference`` is that of the means; ``p_value`` is of a t-test over
        seeds, ``p_holm`` the same after Holm's correction over all comparisons of one part.
    """
    rows: list[dict[str, Any]] = []
    for place, own in _places(trials):
        runs = {
            str(policy): group["total_reward"].to_numpy(float)
            for policy, group in own.groupby("policy", sort=False)
        }
        targets = _targets(place, runs, references, baselines)
        for policy, scores in runs.items():
            for target, others in targets.items():
                if target == policy:
                    continue
                low, high = improvement_interval([scores], [others], n_resamples, seed)
                rows.append(
                    {
                        **place,
                        "policy": policy,
                        "compared_with": target,
                        "n_seeds": len(scores),
                        "n_seeds_compared": len(others),
                        "difference": scores.mean() - others.mean(),
                        "probability_of_improvement": improvement_probability([scores], [others]),
                        "probability_ci_low": low,
                        "probability_ci_high": high,
                        "p_value": difference_p_value(scores, others),
                    }
                )
    table = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    for _, part in table.groupby(PART):
        table.loc[part.index, "p_holm"] = holm(part["p_value"].to_numpy(float))
    return table


def _targets(
    place: Mapping[str, str],
    runs: Mapping[str, NDArray[np.float64]],
    references: pd.DataFrame,
    baselines: Mapping[tuple[str, str, str], str],
) -> dict[str, NDArray[np.float64]]:
    """Return what the policies of one table are compared with."""
    targets: dict[str, NDArray[np.float64]] = {}
    earned = _reference(references, place, REFERENCE)
    if len(earned) == 1:  # of several settings of a session, none is the one to compare with
        targets[REFERENCE] = earned
    baseline = baselines.get((place["experiment"], place["size"], place["part"]))
    if baseline is not None and baseline in runs:
        targets[baseline] = runs[baseline]
    return targets


def _reference(
    references: pd.DataFrame, place: Mapping[str, str], policy: str
) -> NDArray[np.float64]:
    own = references[references["policy"] == policy]
    for name in PLACE:
        own = own[own[name] == place[name]]
    earned: NDArray[np.float64] = own["total_reward"].drop_duplicates().to_numpy(float)
    return earned


def _places(trials: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    for key, own in trials.groupby(PLACE, sort=False):
        yield dict(zip(PLACE, map(str, key), strict=True)), own


def _several_tasks(
    trials: pd.DataFrame,
) -> Iterator[tuple[dict[str, str], list[tuple[dict[str, str], pd.DataFrame]]]]:
    """Yield the parts that have more than one task, with their tasks."""
    for key, part in trials.groupby(PART, sort=False):
        tasks = list(_places(part))
        if len(tasks) > 1:
            place = dict(zip(PART, map(str, key), strict=True))
            yield {**place, "dataset": OVERALL, "regime": OVERALL}, tasks


def _normalised(
    tasks: Sequence[tuple[dict[str, str], pd.DataFrame]], references: pd.DataFrame
) -> dict[str, Scores]:
    """Return the normalised scores by task of the policies that have runs in all tasks."""
    by_task = []
    for place, runs in tasks:
        floor = _reference(references, place, FLOOR)
        ceiling = _reference(references, place, CEILING)
        if len(floor) != 1 or len(ceiling) != 1 or ceiling[0] <= floor[0]:
            return {}
        by_task.append(
            {
                str(policy): (group["total_reward"].to_numpy(float) - floor) / (ceiling - floor)
                for policy, group in runs.groupby("policy", sort=False)
            }
        )
    everywhere = [name for name in by_task[0] if all(name in task for task in by_task)]
    return {name: [task[name] for task in by_task] for name in everywhere}


def _with_interval(scores: Scores, n_resamples: int, seed: int) -> dict[str, float]:
    low, high = interquartile_mean_interval(scores, n_resamples, seed)
    return {"iqm": interquartile_mean(scores), "iqm_ci_low": low, "iqm_ci_high": high}
