"""Nodes of the reporting pipeline: thin over the library."""

from __future__ import annotations

from typing import Any

import hsrl_pipeline.pipelines.lazy_pandas as pd
from hsrl_pipeline.config.evaluation import EvaluationConfig


def collect_trials(experiment_results: Any) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read the finished trials of all experiments.

    Args:
        experiment_results: All experiments.

    Returns:
        One row per trial, one per reference and table, and the critic's level weights.
    """
    from hsrl_pipeline.experiments.trial_tables import (
        level_weight_table,
        reference_table,
        trial_table,
    )

    return (
        trial_table(experiment_results),
        reference_table(experiment_results),
        level_weight_table(experiment_results),
    )


def collect_moving_results(experiment_results: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read what finished trials under a moving catalogue found.

    Args:
        experiment_results: All experiments.

    Returns:
        What policies earn under every version of the catalogue, and their areas under regret.
    """
    from hsrl_pipeline.experiments.moving_results import area_table, moving_table

    return moving_table(experiment_results), area_table(experiment_results)


def compare_trials(
    experiment_results: Any,
    experiment_trials: pd.DataFrame,
    experiment_references: pd.DataFrame,
    evaluation: EvaluationConfig,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score policies over their seeds and compare them.

    Args:
        experiment_results: All experiments; they name what policies are compared with.
        experiment_trials: One row per trial.
        experiment_references: What the policies that do not learn earn.
        evaluation: Resamples of the intervals and their seed.

    Returns:
        Scores with intervals, and comparisons.
    """
    from hsrl_pipeline.experiments.comparison_tables import comparison_table, score_table

    baselines = {
        (experiment.name, experiment.size, part): info.baseline
        for experiment in experiment_results.experiments()
        for part, info in experiment.parts.items()
    }
    resampling = (evaluation.n_resamples, evaluation.seed)
    return (
        score_table(experiment_trials, experiment_references, *resampling),
        comparison_table(experiment_trials, experiment_references, baselines, *resampling),
    )


def plot_trials(experiment_scores: pd.DataFrame) -> Any:
    """Draw all tables of the report below each other.

    Args:
        experiment_scores: Scores with intervals.

    Returns:
        A matplotlib figure.
    """
    from hsrl_pipeline.experiments.plots import plot_experiments

    return plot_experiments(experiment_scores)


def write_report(
    *,
    experiment_results: Any,
    experiment_trials: pd.DataFrame,
    experiment_scores: pd.DataFrame,
    experiment_comparisons: pd.DataFrame,
    experiment_level_weights: pd.DataFrame,
    experiment_moving: pd.DataFrame,
    experiment_areas: pd.DataFrame,
) -> str:
    """Write the page that tells what was compared and what came out.

    Args:
        experiment_results: All experiments.
        experiment_trials: One row per trial.
        experiment_scores: Scores with intervals.
        experiment_comparisons: Comparisons.
        experiment_level_weights: The critic's level weights during training.
        experiment_moving: What policies earn under every version of a moving catalogue.
        experiment_areas: Their areas under regret.

    Returns:
        A whole HTML page.
    """
    from hsrl_pipeline.experiments.report import report_page

    return report_page(
        experiment_results,
        trials=experiment_trials,
        scores=experiment_scores,
        comparisons=experiment_comparisons,
        level_weights=experiment_level_weights,
        moving=experiment_moving,
        areas=experiment_areas,
    )
