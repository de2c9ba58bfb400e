"""How far a simulator fitted to what people chose can be trusted on what they did not choose.

Where it is known how likely each pair of a person and an item was to be chosen, and the test split
holds ratings of items drawn at random, the same fit is judged on both. Weights of one over the
probability of being there (inverse propensities) make either sample speak for all pairs. What is
left between the two weighted samples is what the propensities do not explain.

References:
    Schnabel et al., Recommendations as Treatments, ICML 2016, Eq. 10 and 11.
    Swaminathan and Joachims, The Self-Normalized Estimator for Counterfactual Learning, NIPS 2015.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.config.simulator import SimulatorConfig
from hsrl_pipeline.data.slate_log import ItemTable, SlateLog, UserTable
from hsrl_pipeline.seeding import numpy_generator
from hsrl_pipeline.simulator.response.fidelity_metrics import (
    area_under_curve,
    expected_calibration_error,
    reliability,
    sigmoid,
)
from hsrl_pipeline.simulator.response.fitting import ResponseProblem, fit_response_model
from hsrl_pipeline.simulator.response.part_scaling import slope_of_part
from hsrl_pipeline.simulator.response.taste_fitting import hold_out_latest
from hsrl_pipeline.simulator.response.user_identity import append_user_index

logger = logging.getLogger(__name__)

HELD_OUT_SHARE = 1 / 3
"""Share of each user's chosen slates, the latest, that the judged fit does not see."""

N_RESAMPLES = 1000
"""Bootstrap resamples of users behind every interval."""

TAIL = 0.025
"""Share of the resamples beyond either end of an interval."""

STREAM = "simulator_train_selection"

WEIGHTINGS = ("none", "inverse_propensity")

FIGURES = ("click_rate_log", "click_rate_model", "auc", "ece", "calibration_slope")

COLUMNS = (
    "sample",
    "weighting",
    "n_ratings",
    "effective_n_ratings",
    *(f"{figure}{end}" for figure in FIGURES for end in ("", "_ci_low", "_ci_high")),
)


@dataclass(frozen=True)
class JudgedRatings:
    """Ratings that a simulator has not seen, one entry each.

    Attributes:
        users: (rating,) int64. User indices.
        log_odds: (rating,) float64. What the simulator answers.
        labels: (rating,) int8. What the user answered, 0 or 1.
        chances: (rating,) float64. How likely the pair was to be in this sample, up to a factor.
    """

    users: NDArray[np.int64]
    log_odds: NDArray[np.float64]
    labels: NDArray[np.int8]
    chances: NDArray[np.float64]

    def weights(self, weighting: str) -> NDArray[np.float64]:
        """Return (rating,) float64: 1 (``none``) or one over the chance (``inverse_propensity``).

        Figures are ratios of weighted sums, so weights need not add up to anything.
        """
        return np.ones(len(self.labels)) if weighting == "none" else 1.0 / self.chances


def check_selection(
    log: SlateLog,
    users: UserTable,
    items: ItemTable,
    propensities: pd.DataFrame,
    config: SimulatorConfig,
    *,
    history_size: int,
    seed: int,
) -> pd.DataFrame:
    """Fit Psi_train without each user's latest chosen slates; judge it on these and on drawn ones.

    The sample ``chosen`` holds those slates. Each of its pairs was there with the propensity times
    the share of the user's slates that were held out. The sample ``drawn`` is the test split less
    pairs whose answer the fit has seen; each pair escaped that with one minus the propensity times
    the share of slates fitted.

    Args:
        log: The whole log: its training split was chosen, its test split drawn at random.
        users: Features of every user, without the user index.
        items: Features of every item.
        propensities: Canonical table, probabilities of being in the training split; ratings of
            pairs it lacks are left out.
        config: Parameters of the simulators; one member is fitted, with its own random numbers.
        history_size: Window length H.
        seed: Seed of the run.

    Returns:
        As `compare_samples`; no rows where no propensities are known or nothing is fitted.
    """
    chosen = log.train
    held_out = hold_out_latest(chosen, HELD_OUT_SHARE)
    if propensities.empty or config.kind == "constant" or not held_out.any() or not len(log.test):
        return pd.DataFrame(columns=list(COLUMNS))
    table = np.full((len(users.categories), items.n_items + 1), np.nan)
    pairs = (propensities["user_index"].to_numpy(), propensities["item_index"].to_numpy())
    table[pairs] = propensities["propensity"].to_numpy()
    read_users = append_user_index(users) if config.user_id_embedding else users
    problem = ResponseProblem(read_users, items, history_size, config, seed)
    fitting, unseen = chosen.select(~held_out), chosen.select(held_out)
    model = fit_response_model(
        problem, fitting, STREAM, refit=False, on_epoch=lambda *_: None
    ).model.freeze()
    n_fitted, n_unseen = (
        np.bincount(part.users, minlength=len(table)) for part in (fitting, unseen)
    )
    fitted_share = n_fitted / np.maximum(n_fitted + n_unseen, 1)
    fitted = np.zeros(table.shape, dtype=bool)
    fitted[np.repeat(fitting.users, fitting.slate_size), fitting.slates.ravel()] = True
    samples = {}
    for name, part, chances in (
        ("chosen", unseen, table * (1.0 - fitted_share)[:, None]),
        ("drawn", log.test, 1.0 - table * fitted_share[:, None]),
    ):
        own, shown = np.repeat(part.users, part.slate_size), part.slates.ravel()
        keep = ~fitted[own, shown] & (chances[own, shown] > 0.0)
        samples[name] = JudgedRatings(
            users=own[keep].astype(np.int64),
            log_odds=problem.rows(part).log_odds(model).ravel()[keep].astype(np.float64),
            labels=part.labels.ravel()[keep],
            chances=chances[own, shown][keep],
        )
    compared = compare_samples(samples["chosen"], samples["drawn"], config.n_calibration_bins, seed)
    _warn(compared, config.calibration_warning)
    return compared


def compare_samples(
    chosen: JudgedRatings, drawn: JudgedRatings, n_bins: int, seed: int
) -> pd.DataFrame:
    """Return a simulator's figures on two samples, without and with weights, and how they differ.

    Args:
        chosen: Ratings of what people chose.
        drawn: Ratings of what was drawn at random.
        n_bins: Bins of the calibration error.
        seed: Seed of the bootstrap over users, who are resampled in both samples together.

    Returns:
        One row per sample (``chosen``, ``drawn``, ``drawn_minus_chosen``) and weighting (``none``,
        ``inverse_propensity``): ``n_ratings``; ``effective_n_ratings`` (squared sum of the weights
        over the sum of their squares); and with the ends of a 95 % interval ``click_rate_log``,
        ``click_rate_model``, ``auc``, ``ece`` and ``calibration_slope`` (of clicks on the
        log-odds; 1 is honest, below 1 overconfident).
    """
    samples = {"chosen": chosen, "drawn": drawn}
    people = np.unique(np.concatenate([chosen.users, drawn.users]))
    places = {name: np.searchsorted(people, sample.users) for name, sample in samples.items()}
    weights = {
        (name, weighting): sample.weights(weighting)
        for name, sample in samples.items()
        for weighting in WEIGHTINGS
    }
    points = {
        (name, weighting): _figures(samples[name], own, n_bins)
        for (name, weighting), own in weights.items()
    }
    resampled = {key: np.empty((N_RESAMPLES, len(FIGURES))) for key in weights}
    generator = numpy_generator(seed, "simulator.selection.bootstrap")
    evenly = np.full(len(people), 1.0 / len(people))
    for number in range(N_RESAMPLES):
        picked = generator.multinomial(len(people), evenly)
        for (name, weighting), own in weights.items():
            counted = own * picked[places[name]]
            resampled[name, weighting][number] = _figures(samples[name], counted, n_bins)
    rows = [_row(key, points[key], resampled[key], own) for key, own in weights.items()]
    for weighting in WEIGHTINGS:
        both = [("drawn", weighting), ("chosen", weighting)]
        difference = points[both[0]] - points[both[1]]
        spread = resampled[both[0]] - resampled[both[1]]
        rows.append(_row(("drawn_minus_chosen", weighting), difference, spread))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def selection_metrics(table: pd.DataFrame) -> dict[str, float]:
    """Return the finite figures by name, ``simulator_selection_<sample>_<weighting>_<figure>``."""
    figures = {
        f"simulator_selection_{row['sample']}_{row['weighting']}_{figure}": float(row[figure])
        for row in table.to_dict("records")
        for figure in FIGURES
    }
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def _warn(table: pd.DataFrame, threshold: float) -> None:
    """Warn where clicks on drawn items are badly predicted."""
    drawn = table[(table["sample"] == "drawn") & (table["weighting"] == "none")].iloc[0]
    if drawn["ece"] > threshold:
        logger.warning(
            "On items drawn at random, Psi_train's fit promises %.3f clicks per slot where %.3f "
            "were given: calibration error %.3f is above %g; area under the curve %.3f",
            *drawn[["click_rate_model", "click_rate_log", "ece"]],
            threshold,
            drawn["auc"],
        )


def _figures(
    sample: JudgedRatings, weights: NDArray[np.float64], n_bins: int
) -> NDArray[np.float64]:
    """Return (figure,) float64: ``FIGURES`` of a weighted sample, ratings of weight 0 left out."""
    kept = weights > 0.0
    weights, labels, log_odds = weights[kept], sample.labels[kept], sample.log_odds[kept]
    probabilities = sigmoid(log_odds)
    bins = reliability(probabilities, labels, n_bins, weights)
    return np.array(
        [
            np.average(labels, weights=weights),
            np.average(probabilities, weights=weights),
            area_under_curve(log_odds, labels, weights),
            expected_calibration_error(bins),
            slope_of_part(np.zeros_like(log_odds), log_odds, labels, weights),
        ]
    )


def _row(
    key: tuple[str, str],
    points: NDArray[np.float64],
    resampled: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """Return one row of the table: figures with the ends of their percentile intervals."""
    row: dict[str, Any] = dict(zip(("sample", "weighting"), key, strict=True))
    if weights is not None:
        row["n_ratings"] = len(weights)
        row["effective_n_ratings"] = float(weights.sum() ** 2 / (weights**2).sum())
    low, high = np.nanquantile(resampled, [TAIL, 1.0 - TAIL], axis=0)
    for number, figure in enumerate(FIGURES):
        row[figure] = points[number]
        row[f"{figure}_ci_low"], row[f"{figure}_ci_high"] = low[number], high[number]
    return row
