"""Psi_train and Psi_eval of a dataset, as checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Literal

from hsrl_pipeline.config.simulator import SimulatorConfig
from hsrl_pipeline.data.slate_log import ItemTable, SlateLog, UserTable
from hsrl_pipeline.simulator.response.checkpoint import describe_response_model
from hsrl_pipeline.simulator.response.constant import ConstantResponse
from hsrl_pipeline.simulator.response.fitting import (
    FittedModel,
    ResponseProblem,
    fit_response_model,
)
from hsrl_pipeline.simulator.response.user_identity import append_user_index

OnMetrics = Callable[[int, Mapping[str, float]], None]
"""Called with the number of an epoch, from 1, and named figures."""


def fit_simulator(
    role: Literal["train", "eval"],
    log: SlateLog,
    users: UserTable,
    items: ItemTable,
    config: SimulatorConfig,
    *,
    history_size: int,
    seed: int,
    on_metrics: OnMetrics,
) -> dict[str, Any]:
    """Fit one of the two simulators (docs/protocol.md#two-simulators; paper, App. B).

    Psi_train sees the training split alone and keeps its latest rows for early stopping and
    calibration. Psi_eval is fitted on all rows, with other random numbers, for as many epochs as
    served best with the latest rows held out.

    Args:
        role: ``"train"`` or ``"eval"``.
        log: The whole log.
        users: Features of every user.
        items: Features of every item.
        config: Parameters of the simulators.
        history_size: Window length H.
        seed: Seed of the run.
        on_metrics: Called with the points of the curves, named ``simulator_<role>_...``.

    Returns:
        Checkpoint for ``build_response_model``; its config says what the model was fitted on.

    Raises:
        UserError: The log is too short, or a feature is not finite.
    """
    own = log.train if role == "train" else log
    provenance: dict[str, Any] = {
        "role": role,
        "seed": seed,
        "n_fitted_slates": len(own),
        "user_id_embedding": config.user_id_embedding,
        "settings": _settings(config),
    }
    if role == "train" and config.kind == "constant":
        constant = ConstantResponse(_click_rate(own), items.n_items, history_size)
        return describe_response_model(constant, {**provenance, "holdout": []})
    problem = ResponseProblem(
        users=append_user_index(users) if config.user_id_embedding else users,
        items=items,
        history_size=history_size,
        config=config,
        seed=seed,
    )
    fits: list[FittedModel] = []
    for number in range(config.n_members):
        name = f"simulator_{role}" + (f"_{number + 1}" if config.n_members > 1 else "")
        fits.append(
            fit_response_model(
                problem,
                own,
                name,
                refit=role == "eval",
                on_epoch=_named(name, on_metrics),
            )
        )
    provenance["holdout"] = [asdict(fit.holdout) for fit in fits]
    if config.user_taste:
        provenance["taste"] = [fit.taste._asdict() for fit in fits if fit.taste is not None]
    return describe_response_model([fit.model for fit in fits], provenance)


def _settings(config: SimulatorConfig) -> dict[str, Any]:
    """Return what the simulators were fitted with; nothing of tastes where users have none."""
    unused = {"eval"} if config.user_taste else {"eval", "user_taste", "taste"}
    return config.model_dump(exclude=unused)


def _click_rate(log: SlateLog) -> float:
    """Return the share of clicks, kept inside (0, 1) by half a click each way."""
    return (float(log.labels.sum()) + 0.5) / (log.labels.size + 1.0)


def _named(name: str, on_metrics: OnMetrics) -> OnMetrics:
    def forward(epoch: int, figures: Mapping[str, float]) -> None:
        on_metrics(epoch, {f"{name}_{figure}": value for figure, value in figures.items()})

    return forward
