"""Fitting one response model to logged slates: schedule, early stopping, calibration, refit."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hsrl_pipeline.config.simulator import SimulatorConfig
from hsrl_pipeline.data.slate_log import ItemTable, SlateLog, UserTable, split_latest
from hsrl_pipeline.device import one_thread
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.progress import Progress
from hsrl_pipeline.seeding import derive_seed, numpy_generator
from hsrl_pipeline.simulator.response.attention import AttentionResponse, ResponseSizes
from hsrl_pipeline.simulator.response.holdout import HoldoutReport
from hsrl_pipeline.simulator.response.item_features import build_item_features
from hsrl_pipeline.simulator.response.log_batches import ResponseRows
from hsrl_pipeline.simulator.response.personal import PersonalResponse
from hsrl_pipeline.simulator.response.taste_fitting import TasteFit, TasteReport, UserTastes

WARM_UP_SHARE = 0.1
"""Share of the one-cycle schedule in which the learning rate rises."""

OnEpoch = Callable[[int, Mapping[str, float]], None]
"""Called with the number of the finished epoch, from 1, and its figures."""


@dataclass(frozen=True)
class ResponseProblem:
    """What every member of every simulator of a run is fitted with.

    Attributes:
        users: Features of every user.
        items: Features of every item.
        history_size: Window length H.
        config: Parameters of the simulators.
        seed: Seed of the run.
    """

    users: UserTable
    items: ItemTable
    history_size: int
    config: SimulatorConfig
    seed: int

    def rows(self, log: SlateLog) -> ResponseRows:
        """Return a log's rows as batches."""
        return ResponseRows(log, self.users, self.history_size)


class FittedModel(NamedTuple):
    """A fitted response model and what held-out rows said about it.

    Attributes:
        model: In evaluation mode.
        holdout: The rows held out to choose the number of epochs.
        taste: The rows held out to choose how much of a taste counts; None without tastes.
    """

    model: AttentionResponse | PersonalResponse
    holdout: HoldoutReport
    taste: TasteReport | None = None


@one_thread()
def fit_response_model(
    problem: ResponseProblem,
    log: SlateLog,
    stream: str,
    *,
    refit: bool,
    on_epoch: OnEpoch,
) -> FittedModel:
    """Fit a model to the earlier rows of a log and choose its epoch on the latest ones.

    Args:
        problem: Features, parameters and seed.
        log: All rows that this model may see.
        stream: Name of the random stream; another name gives another model.
        refit: Whether to fit again on all rows, for as many epochs as served best. Such a model
            is not calibrated: no row is left that it has not seen.
        on_epoch: Called with the figures of every epoch.

    Returns:
        The model in evaluation mode, and what the rows held out in the first fit said.

    Raises:
        UserError: The log is too short, a feature is not finite, or the loss is not.
    """
    config = problem.config
    fitting, held_out = split_latest(log, config.holdout_fraction)
    held_out_rows = problem.rows(held_out)
    tastes = _Tastes.of(problem, fitting, stream) if config.user_taste else None
    personal = None if tastes is None else tastes.users.log_odds(held_out).astype(np.float32)
    best: dict[str, torch.Tensor] = {}
    report: HoldoutReport | None = None
    with _Fit(problem, fitting, stream, config.max_epochs, tastes) as fit:
        for epoch in range(1, config.max_epochs + 1):
            train_loss = fit.run_epoch()
            current = HoldoutReport.measure(
                epoch,
                held_out_rows.log_odds(fit.model),
                held_out.labels,
                config.n_calibration_bins,
                personal,
            )
            on_epoch(
                epoch,
                {
                    "loss": train_loss,
                    "holdout_log_loss": current.log_loss,
                    "holdout_auc": current.auc,
                },
            )
            if report is None or current.log_loss < report.log_loss:
                report = current
                best = copy.deepcopy(fit.model.state_dict())
            elif epoch - report.n_epochs >= config.patience:
                break
    assert report is not None  # max_epochs is at least 1
    if refit:
        tastes = None if tastes is None else tastes.refitted(log)
        with _Fit(problem, log, stream, report.n_epochs, tastes) as fit:
            for _ in range(report.n_epochs):
                fit.run_epoch()
    else:
        fit.model.load_state_dict(best)
        # Rows of nobody with a taste say nothing of the level of users who have one.
        if config.calibrate and (personal is None or personal.any()):
            fit.model.calibrate(report.scale, report.shift)
    model = fit.model.eval()
    if tastes is None:
        return FittedModel(model, report)
    known = tastes.users if refit else tastes.users.inferred_from(log)
    return FittedModel(PersonalResponse.of(model, known).eval(), report, known.report)


@dataclass(frozen=True)
class _Tastes:
    """Users' tastes of a fit.

    Attributes:
        fit: Fits tastes to rows.
        users: The tastes inferred from all fitting rows.
        personal: (row, slate) float32. What tastes add to the log-odds of the fitting rows, each
            from fits that never saw the row.
    """

    fit: TasteFit
    users: UserTastes
    personal: torch.Tensor

    @classmethod
    def of(cls, problem: ResponseProblem, log: SlateLog, stream: str) -> _Tastes:
        """Return the tastes that held-out rows of the same users ask for."""
        n_users = len(problem.users.categories)
        seed = derive_seed(problem.seed, f"{stream}.user_taste") % 2**32
        fit = TasteFit(problem.config.taste, n_users, problem.items.n_items, seed)
        return cls._fitted(fit, log, fit.choose(log))

    def refitted(self, log: SlateLog) -> _Tastes:
        """Return the tastes of other rows, shrunk as before."""
        return self._fitted(self.fit, log, self.users.report)

    @classmethod
    def _fitted(cls, fit: TasteFit, log: SlateLog, report: TasteReport) -> _Tastes:
        personal = torch.from_numpy(fit.cross_fit(log, report))
        return cls(fit, fit.fit(log, report), personal)


class _Fit:
    """A whole learning-rate schedule on fixed rows; a context with its own random numbers."""

    def __init__(
        self,
        problem: ResponseProblem,
        log: SlateLog,
        stream: str,
        n_epochs: int,
        tastes: _Tastes | None,
    ) -> None:
        self._problem = problem
        self._tastes = tastes
        self._rows = problem.rows(log)
        self._stream = stream
        self._steps_per_epoch = math.ceil(len(log) / problem.config.batch_size)
        self._n_steps = self._steps_per_epoch * n_epochs
        self._progress = Progress(
            f"Fitting {stream} to {len(log)} slates", self._n_steps, unit="steps"
        )

    def __enter__(self) -> _Fit:
        seed = self._problem.seed
        self._order = numpy_generator(seed, f"{self._stream}.order")
        self._fork = torch.random.fork_rng(devices=[])
        self._fork.__enter__()
        torch.manual_seed(derive_seed(seed, self._stream))
        self.model = _initial_model(self._problem, self._rows.log, self._stream)
        config = self._problem.config
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            config.learning_rate,
            total_steps=self._n_steps + 1,
            pct_start=WARM_UP_SHARE,
        )
        self._progress.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self._progress.__exit__(None, None, None)
        self._fork.__exit__(None, None, None)

    def run_epoch(self) -> float:
        """Visit every row once in a new order; return the mean loss in nats."""
        self.model.train()
        order: NDArray[np.int64] = self._order.permutation(len(self._rows))
        total = torch.zeros(())
        for rows in np.array_split(order, self._steps_per_epoch):
            batch = self._rows.batch(rows)
            log_odds = self.model.logits(*batch[:4])
            if self._tastes is not None:
                log_odds = log_odds + self._personal(rows)
            loss = nn.functional.binary_cross_entropy_with_logits(log_odds, batch.labels)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            self._schedule.step()
            total += loss.detach()
            self._progress.advance(1, **({"loss": loss.item()} if self._progress.due() else {}))
        mean = float(total) / self._steps_per_epoch
        if not math.isfinite(mean):
            raise UserError(
                f"The loss of {self._stream} is not finite",
                where="simulator.learning_rate",
                remedy="Lower simulator.learning_rate and check the user and item features.",
            )
        return mean

    def _personal(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Return (row, slate) float32: the rows' personal parts, zero for users made unknown."""
        assert self._tastes is not None  # asked for only where users have tastes
        known = torch.rand(len(rows), 1) >= self._problem.config.taste.dropout
        return self._tastes.personal[rows] * known


def _initial_model(problem: ResponseProblem, log: SlateLog, stream: str) -> AttentionResponse:
    """Return a model with initial weights and the item statistics of its fitting rows."""
    network = problem.config.network
    items, users = problem.items, problem.users
    svd_seed = derive_seed(problem.seed, f"{stream}.taste") % 2**32
    features = build_item_features(items, log, network.taste_size, svd_seed)
    return AttentionResponse(
        ResponseSizes(
            n_items=items.n_items,
            category_sizes=users.category_sizes,
            n_dense=users.dense.shape[1],
            content_size=features.content.shape[1],
            statistics_size=features.statistics.shape[1],
            history_size=problem.history_size,
            embed_dim=network.embedding_size,
            n_heads=network.n_heads,
        ),
        features.content,
        features.counts.clicks,
        features.counts.exposures,
        features.statistics,
        dropout=network.dropout,
        history_dropout=network.history_dropout,
        id_dropout=network.id_dropout,
    )
