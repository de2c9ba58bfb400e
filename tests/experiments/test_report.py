"""From kept trials to tables, sentences and the page."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.experiments.comparison_tables import comparison_table, score_table
from hsrl_pipeline.experiments.findings import findings
from hsrl_pipeline.experiments.moving_results import area_table, moving_table
from hsrl_pipeline.experiments.plots import crossed_parameter
from hsrl_pipeline.experiments.report import report_page
from hsrl_pipeline.experiments.store import Experiment, ExperimentStore, TrialEntry
from hsrl_pipeline.experiments.trial import PartInfo
from hsrl_pipeline.experiments.trial_tables import (
    level_weight_table,
    reference_table,
    trial_table,
)

REFERENCES = {
    "random": 0.0,
    "popular": 1.0,
    "static_slate": 2.0,
    "greedy_train_simulator": 2.5,
    "greedy_eval_simulator": 4.0,
}

REWARDS = {"hsrl": [2.9, 3.0, 3.1], "hac": [1.4, 1.5, 1.6], "sl": [0.5, 0.6, 0.7]}

BASELINES = {("mine", "quick", "all"): "hac"}


def row(policy: str, simulator: str, reward: float) -> dict[str, object]:
    return {
        "policy": policy,
        "simulator": simulator,
        "total_reward": reward if simulator == "eval" else reward + 1.0,
        "total_reward_ci_low": reward - 0.1,
        "total_reward_ci_high": reward + 0.1,
        "depth": 5.0,
        "clicks_per_slot": 0.5,
        "coverage": 20,
        "repetition_rate": 0.2,
    }


def keep(store: ExperimentStore, entry: TrialEntry, reward: float) -> None:
    earned = {**REFERENCES, entry.label: reward}
    training, judging = {"n_iterations": 20000}, {"n_episodes": 4000}
    store.save_result(
        entry.key,
        {
            "experiment": "mine",
            "overrides": {"training.n_iterations": 20000},
            "parameters": {"training": training, "evaluation": judging},
            "commit": "abc1234",
            "behaviour": "b1",
            "simulators": "simulator_training-1",
            "seconds": 36.0,
            "rows": [
                row(name, simulator, value)
                for name, value in earned.items()
                for simulator in ("train", "eval")
            ],
            "level_weights": [{"iteration": 50, "level_weight_0": 0.25, "level_weight_1": 0.75}],
        },
    )


def entries(regime: str = "repeats", dataset: str = "toy") -> list[TrialEntry]:
    return [
        TrialEntry(
            f"{policy}{seed}{regime}{dataset}", "all", policy, policy, policy, seed, dataset, regime
        )
        for policy in REWARDS
        for seed in range(3)
    ]


def experiment(trials: list[TrialEntry]) -> Experiment:
    parts = {"all": PartInfo("The only part", "hac", level_weights=True)}
    return Experiment("mine", "quick", "My <grid>", "Who & why?", parts, "b1", "abc1234", trials)


@pytest.fixture
def store(tmp_path) -> ExperimentStore:
    store = ExperimentStore(tmp_path)
    trials = entries()
    for trial in trials:
        keep(store, trial, REWARDS[trial.label][trial.seed])
    failed = TrialEntry("x", "all", "td3", "td3", "td3", 0, "toy", "repeats", error="no memory")
    store.save_experiment(experiment([*trials, failed]), None)
    return store


def tables(store: ExperimentStore) -> tuple[pd.DataFrame, ...]:
    trials, references = trial_table(store), reference_table(store)
    scores = score_table(trials, references, 200, 0)
    return trials, scores, comparison_table(trials, references, BASELINES, 200, 0)


def html(store: ExperimentStore) -> str:
    trials, scores, comparisons = tables(store)
    return report_page(
        store,
        trials=trials,
        scores=scores,
        comparisons=comparisons,
        level_weights=level_weight_table(store),
        moving=moving_table(store),
        areas=area_table(store),
    )


def test_a_trial_is_a_row_with_settings_and_commit(store) -> None:
    trials = trial_table(store)
    assert len(trials) == 9
    first = trials.iloc[0]
    assert (first["policy"], first["seed"], first["commit"]) == ("hsrl", 0, "abc1234")
    assert first["settings"] == '{"training.n_iterations": 20000}'
    assert first["total_reward"] == pytest.approx(2.9)
    assert first["train_total_reward"] == pytest.approx(3.9)


def test_references_come_once(store) -> None:
    references = reference_table(store)
    assert list(references["policy"]) == list(REFERENCES)
    assert list(references["total_reward"]) == list(REFERENCES.values())


def test_scores_are_sorted_and_those_of_references_have_no_seeds(store) -> None:
    _, scores, _ = tables(store)
    assert list(scores["policy"]) == [
        "greedy_eval_simulator",
        "hsrl",
        "greedy_train_simulator",
        "static_slate",
        "hac",
        "popular",
        "sl",
        "random",
    ]
    hsrl = scores.set_index("policy").loc["hsrl"]
    assert (hsrl["iqm"], hsrl["n_seeds"]) == (pytest.approx(3.0), 3)
    assert 2.9 <= hsrl["iqm_ci_low"] < 3.0 < hsrl["iqm_ci_high"] <= 3.1


def test_comparisons_are_with_the_static_slate_and_the_baseline(store) -> None:
    _, _, comparisons = tables(store)
    pairs = comparisons.set_index(["policy", "compared_with"])
    assert set(pairs.index) == {
        ("hsrl", "static_slate"),
        ("hac", "static_slate"),
        ("sl", "static_slate"),
        ("hsrl", "hac"),
        ("sl", "hac"),
    }
    assert pairs.loc[("hsrl", "hac"), "probability_of_improvement"] == 1.0
    assert pairs.loc[("sl", "static_slate"), "probability_of_improvement"] == 0.0
    assert pairs.loc[("hac", "static_slate"), "difference"] == pytest.approx(-0.5)
    # t = 0.5 / (0.1 / sqrt 3) = 8.66 with 2 degrees of freedom
    assert pairs.loc[("hac", "static_slate"), "p_value"] == pytest.approx(0.0131, abs=1e-4)
    assert (comparisons["p_holm"] >= comparisons["p_value"]).all()


def test_tasks_are_put_on_one_scale(tmp_path) -> None:
    store = ExperimentStore(tmp_path)
    trials = [*entries(), *entries("no_repeats")]
    for trial in trials:
        better = 1.0 if trial.regime == "no_repeats" else 0.0
        keep(store, trial, REWARDS[trial.label][trial.seed] + better)
    store.save_experiment(experiment(trials), None)
    _, scores, _ = tables(store)
    overall = scores[scores["dataset"] == "all"].set_index("policy")
    # (2.9, 3.0, 3.1)/4 and (3.9, 4.0, 4.1)/4 without the lowest and the highest
    assert overall.loc["hsrl", "iqm"] == pytest.approx(np.mean([3.0, 3.1, 3.9, 4.0]) / 4)
    text = html(store)
    assert text.count("All tasks together") == 1
    assert text.index("toy, items may return") < text.index("All tasks together")


def test_other_behaviour_is_another_table(store) -> None:
    # the same grid, started later on other data by code that behaves otherwise
    trials = [replace(trial, key=f"{trial.key}-2") for trial in entries(dataset="other")]
    for trial in trials:
        keep(store, trial, REWARDS[trial.label][trial.seed])
    store.save_experiment(replace(experiment(trials), behaviour="b2"), "other")
    _, scores, _ = tables(store)
    assert set(zip(scores["behaviour"], scores["dataset"], strict=True)) == {
        ("b1", "toy"),
        ("b2", "other"),
    }


def test_sentences_name_who_fails_to_beat_the_references(store) -> None:
    _, scores, comparisons = tables(store)
    said = " ".join(findings(scores, comparisons))
    assert "hsrl earns most: 3.00" in said
    assert "More than static_slate (2.00): hsrl." in said
    assert "Less than static_slate, after correction for all comparisons: " in said
    assert "hac (by 0.50)" in said
    assert "Below popular (1.00): sl." in said
    assert "More than hac: hsrl." in said
    assert "3 seeds can show a large difference only" in said


def test_nobody_beats_the_static_slate(store) -> None:
    _, scores, comparisons = tables(store)
    lost = scores[scores["policy"] != "hsrl"]
    said = findings(lost, comparisons[comparisons["policy"] != "hsrl"])
    assert "No agent earns more than static_slate (2.00)." in said


class Links(HTMLParser):
    """Collects what a page would load or link to."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.targets += [value for name, value in attrs if name in {"src", "href", "srcset"}]
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_beside_itself_and_is_well_formed(store) -> None:
    text = html(store)
    links = Links()
    links.feed(text)
    assert links.open == []
    assert len(links.targets) >= 3
    assert all(target.startswith(("#", "data:image/svg+xml;base64,")) for target in links.targets)
    assert not re.search(r"https?://|@import|url\(", text)
    assert {target for target in links.targets if target.startswith("#")} == {"#e0"}
    assert 'id="e0"' in text


def test_the_page_tells_what_was_compared_and_what_failed(store) -> None:
    text = html(store)
    assert "My &lt;grid&gt;" in text
    assert "Who &amp; why?" in text
    assert "9 of 10 trials have a result, 1 failed. Commit abc1234; behaviour b1" in text
    assert "Failed: td3, seed 0, toy, repeats: no memory" in text
    assert "Seeds: 0, 1, 2. Updates: 20,000. Sessions that judge each policy: 4,000." in text


def test_level_weights_are_drawn_where_a_grid_asks_for_them(store) -> None:
    assert "Weights of the critic&#x27;s levels" in html(store)
    weights = level_weight_table(store)
    assert len(weights) == 9 * 2
    assert list(weights["weight"][:2]) == [0.25, 0.75]


def test_the_page_is_the_same_each_time(store) -> None:
    assert html(store) == html(store)


def test_a_grid_without_results_says_so(tmp_path) -> None:
    store = ExperimentStore(tmp_path)
    store.save_experiment(experiment(entries()), None)
    assert "0 of 9 trials have a result" in html(store)


def test_one_crossed_parameter_of_numbers_makes_a_curve() -> None:
    def scores(*axes: str) -> pd.DataFrame:
        return pd.DataFrame({"kind": "agent", "axes": axes})

    assert crossed_parameter(scores('{"sid.n_levels": 2}', '{"sid.n_levels": 3}')) == "sid.n_levels"
    assert crossed_parameter(scores('{"a.b": "x"}')) is None
    assert crossed_parameter(scores('{"a": 1, "b": 2}')) is None
    assert crossed_parameter(scores("{}")) is None
