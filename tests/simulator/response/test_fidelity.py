import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.data.slate_log import DatasetInfo
from hsrl_pipeline.simulator.response.checkpoint import describe_response_model
from hsrl_pipeline.simulator.response.constant import ConstantResponse
from hsrl_pipeline.simulator.response.fidelity import FIGURES, measure_fidelity
from hsrl_pipeline.simulator.response.fidelity_personal import GAINS
from hsrl_pipeline.simulator.response.fidelity_plots import (
    plot_popularity,
    plot_reliability,
    plot_slate_clicks,
)
from hsrl_pipeline.simulator.response.simulators import fit_simulator

from ...pipelines.offline_eval_inputs import INFO as TINY_INFO
from .response_world import FAST, HISTORY, N_ITEMS, SLATE, make_items, make_log, make_users

LOG = make_log()
INFO = replace(DatasetInfo.from_dict(TINY_INFO), n_items=N_ITEMS)


def constant(probability):
    return describe_response_model(
        ConstantResponse(probability, N_ITEMS, HISTORY), {"user_id_embedding": False, "holdout": []}
    )


@pytest.fixture(scope="module")
def tables():
    """A learned training simulator beside a constant one that is 0.3 too low."""
    learned = fit_simulator(
        "train",
        LOG,
        make_users(),
        make_items(),
        FAST.model_copy(update={"n_members": 2, "max_epochs": 2}),
        history_size=HISTORY,
        seed=0,
        on_metrics=lambda epoch, figures: None,
    )
    return measure_fidelity(
        {"train": learned, "eval": constant(0.2)}, LOG, make_users(), INFO, FAST
    )


def score(tables, simulator, split):
    rows = tables.scores.set_index(["simulator", "split"])
    return rows.loc[(simulator, split)]


def test_every_simulator_and_split_has_its_row(tables):
    assert list(zip(tables.scores.simulator, tables.scores.split, strict=True)) == [
        ("train", "train"),
        ("train", "test"),
        ("train", "known"),
        ("train", "latest"),
        ("eval", "train"),
        ("eval", "test"),
        ("eval", "known"),
    ]
    assert tables.scores.seen.tolist() == [True, False, False, False, True, True, True]
    assert tables.scores.n_slates.tolist() == [800, 200, 200, 80, 800, 200, 200]


def test_scores_of_a_constant_are_known(tables):
    row = score(tables, "eval", "test")
    rate = LOG.test.labels.mean()
    assert row.auc == pytest.approx(0.5)
    assert row.click_rate_log == pytest.approx(rate)
    assert row.click_rate_model == pytest.approx(0.2)
    assert row.ece == pytest.approx(rate - 0.2)
    assert row.log_loss == pytest.approx(-(rate * np.log(0.2) + (1 - rate) * np.log(0.8)))


def test_poor_calibration_is_warned_of_in_table_and_log(caplog):
    with caplog.at_level(logging.WARNING):
        tables = measure_fidelity({"eval": constant(0.2)}, LOG, make_users(), INFO, FAST)
    assert "above 0.03" in score(tables, "eval", "test").warning
    assert "Simulator eval, test rows: calibration error 0.2" in caplog.text


def test_good_calibration_is_not_warned_of():
    tables = measure_fidelity(
        {"eval": constant(float(LOG.labels.mean()))}, LOG, make_users(), INFO, FAST
    )
    assert tables.scores.warning.tolist() == ["", "", ""]


def test_members_disagree_and_a_single_model_does_not(tables):
    assert score(tables, "train", "test").disagreement > 0
    assert np.isnan(score(tables, "eval", "test").disagreement)


def test_metrics_are_flat_and_finite(tables):
    metrics = tables.metrics()
    assert metrics["simulator_train_test_auc"] == score(tables, "train", "test").auc
    places = ("train_train", "train_test", "train_known", "eval_train", "eval_test", "eval_known")
    of_slates = {f"simulator_{place}_{figure}" for place in places for figure in FIGURES}
    of_fit = {f"simulator_train_latest_{figure}" for figure in ("auc", "log_loss", "ece")}
    gains = {
        f"simulator_{simulator}_{regime}_{figure}"
        for simulator in ("train", "eval")
        for regime in ("repeats", "no_repeats")
        for figure in GAINS
    }
    without_taste = {name for name in of_slates if name.endswith("slope_of_taste")}
    assert set(metrics) == (of_slates - without_taste) | of_fit | gains


def test_a_figure_that_does_not_exist_is_no_metric():
    silent = LOG.select(LOG.labels.sum(axis=1) == 0)
    tables = measure_fidelity({"eval": constant(0.2)}, silent, make_users(), INFO, FAST)
    assert not any(name.endswith("_auc") for name in tables.metrics())


def test_slate_clicks_of_the_log_are_counted(tables):
    rows = tables.slate_clicks.query("simulator == 'eval' and split == 'train'")
    clicks = LOG.train.labels.sum(axis=1)
    assert rows.share_log.tolist() == [np.mean(clicks == n) for n in range(SLATE + 1)]
    binomial = [1, 5, 10, 10, 5, 1] * 0.2 ** np.arange(6) * 0.8 ** (5 - np.arange(6))
    assert rows.share_model.to_numpy() == pytest.approx(binomial)


def test_reliability_covers_the_unit_interval(tables):
    rows = tables.reliability.query("simulator == 'train' and split == 'test'")
    assert len(rows) == FAST.n_calibration_bins
    assert (rows.bin_low.iloc[0], rows.bin_high.iloc[-1]) == (0.0, 1.0)
    assert rows.n_predictions.sum() == LOG.test.slates.size


def test_popularity_table_adds_up_to_the_log(tables):
    rows = tables.popularity.query("simulator == 'eval' and split == 'test'")
    assert rows.decile.tolist() == list(range(1, 11))
    assert rows.n_shown.sum() == LOG.test.slates.size
    assert (rows.n_shown * rows.click_rate_log).sum() == pytest.approx(LOG.test.labels.sum())
    assert rows.click_rate_model.to_numpy() == pytest.approx([0.2] * 10)


def test_a_log_without_test_rows_is_reported_on_what_there_is():
    tables = measure_fidelity({"eval": constant(0.5)}, LOG.train, make_users(), INFO, FAST)
    assert tables.scores.split.tolist() == ["train"]


@pytest.mark.parametrize("plot", [plot_reliability, plot_slate_clicks, plot_popularity])
def test_figures_have_a_panel_per_simulator(tables, plot, tmp_path):
    figure = plot(tables)
    titles = [axes.get_title() for axes in figure.axes]
    assert [title.split(": ")[1] for title in titles] == ["simulator_train", "simulator_eval"]
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 0


def test_the_reliability_plot_shows_the_table(tables):
    lines = plot_reliability(tables).axes[1].get_lines()
    rows = tables.reliability.query("simulator == 'eval' and split == 'test'")
    drawn = pd.Series(lines[2].get_ydata()).dropna().to_numpy()
    assert drawn == pytest.approx(rows.observed.dropna().to_numpy())
