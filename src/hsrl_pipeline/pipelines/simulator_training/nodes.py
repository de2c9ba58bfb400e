"""Nodes of the simulator_training pipeline: thin over the library."""

from __future__ import annotations

from typing import Any, Literal

import hsrl_pipeline.pipelines.lazy_pandas as pd
from hsrl_pipeline.config.session import SessionConfig
from hsrl_pipeline.config.simulator import SimulatorConfig


def fit_user_simulator(
    *,
    users: pd.DataFrame,
    items: pd.DataFrame,
    slates: pd.DataFrame,
    timeline: pd.DataFrame,
    dataset_info: dict[str, Any],
    simulator_curves: Any,
    simulator: SimulatorConfig,
    session: SessionConfig,
    seed: int,
    recorded_answers: pd.DataFrame | None = None,
    role: Literal["train", "eval"],  # last: Kedro counts the others from the first
) -> dict[str, Any]:
    """Fit one of the two simulators.

    Psi_train is fitted to the training split and is the only simulator a learner may touch;
    Psi_eval is fitted to all rows with other random numbers, or holds recorded answers, and only
    judges.

    Args:
        users: Canonical table.
        items: Canonical table.
        slates: Canonical table, all of it.
        timeline: Canonical table.
        dataset_info: Sizes and field names.
        simulator_curves: Gets the figures of every epoch.
        simulator: Parameters of the simulators.
        session: History window.
        seed: Seed of the run.
        recorded_answers: Canonical table; Psi_eval is made of it if ``simulator.eval: recorded``.
        role: ``"train"`` or ``"eval"``; the pipeline binds it, once for each of its two nodes.

    Returns:
        Checkpoint of the simulator.
    """
    from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable, SlateLog, UserTable
    from hsrl_pipeline.provenance import with_provenance
    from hsrl_pipeline.simulator.response.recorded import record_answers
    from hsrl_pipeline.simulator.response.simulators import fit_simulator

    info = DatasetInfo.from_dict(dataset_info)
    if role == "eval" and simulator.eval == "recorded":
        embedded = simulator.user_id_embedding
        answers = record_answers(
            recorded_answers,
            users,
            items,
            history_size=session.history_size,
            provenance={"role": "eval", "seed": seed, "user_id_embedding": embedded},
        )
        return with_provenance(answers, info.version)
    fitted = fit_simulator(
        role,
        SlateLog.from_frames(slates, timeline),
        UserTable.from_frame(users, info),
        ItemTable.from_frame(items, info),
        simulator,
        history_size=session.history_size,
        seed=seed,
        on_metrics=simulator_curves,
    )
    return with_provenance(fitted, info.version)


def report_fidelity(
    *,
    simulator_train: dict[str, Any],
    simulator_eval: dict[str, Any],
    users: pd.DataFrame,
    slates: pd.DataFrame,
    timeline: pd.DataFrame,
    dataset_info: dict[str, Any],
    simulator: SimulatorConfig,
) -> tuple[Any, ...]:
    """Compare both simulators with the log, split by split.

    Args:
        simulator_train: Checkpoint of Psi_train.
        simulator_eval: Checkpoint of Psi_eval.
        users: Canonical table.
        slates: Canonical table.
        timeline: Canonical table.
        dataset_info: Sizes and field names.
        simulator: Bins and warning threshold.

    Returns:
        Scores, reliability, slate clicks, popularity and what taste is worth as tables; figures
        for MLflow by name; the reliability, slate-click and popularity plots.
    """
    from hsrl_pipeline.data.slate_log import DatasetInfo, SlateLog, UserTable
    from hsrl_pipeline.simulator.response.fidelity import measure_fidelity
    from hsrl_pipeline.simulator.response.fidelity_plots import (
        plot_popularity,
        plot_reliability,
        plot_slate_clicks,
    )

    info = DatasetInfo.from_dict(dataset_info)
    tables = measure_fidelity(
        {"train": simulator_train, "eval": simulator_eval},
        SlateLog.from_frames(slates, timeline),
        UserTable.from_frame(users, info),
        info,
        simulator,
    )
    return (
        tables.scores,
        tables.reliability,
        tables.slate_clicks,
        tables.popularity,
        tables.personal,
        tables.metrics(),
        plot_reliability(tables),
        plot_slate_clicks(tables),
        plot_popularity(tables),
    )


def check_selection(
    *,
    users: pd.DataFrame,
    items: pd.DataFrame,
    slates: pd.DataFrame,
    timeline: pd.DataFrame,
    propensities: pd.DataFrame,
    dataset_info: dict[str, Any],
    simulator: SimulatorConfig,
    session: SessionConfig,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Judge Psi_train's fit on what people chose and on what was drawn at random.

    Args:
        users: Canonical table.
        items: Canonical table.
        slates: Canonical table.
        timeline: Canonical table.
        propensities: Canonical table; empty where nobody knows them.
        dataset_info: Sizes and field names.
        simulator: Parameters of the simulators.
        session: History window.
        seed: Seed of the run.

    Returns:
        The table, without rows where no propensities are known, and its figures by name.
    """
    from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable, SlateLog, UserTable
    from hsrl_pipeline.simulator.response import fidelity_selection

    info = DatasetInfo.from_dict(dataset_info)
    table = fidelity_selection.check_selection(
        SlateLog.from_frames(slates, timeline),
        UserTable.from_frame(users, info),
        ItemTable.from_frame(items, info),
        propensities,
        simulator,
        history_size=session.history_size,
        seed=seed,
    )
    return table, fidelity_selection.selection_metrics(table)
