"""The page that tells what has been compared, how, and what came out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from hsrl_pipeline.experiments.comparison_tables import OVERALL
from hsrl_pipeline.experiments.findings import findings, interval
from hsrl_pipeline.experiments.moving_pictures import plot_moving_part
from hsrl_pipeline.experiments.moving_report import HOW_TO_READ_MOVING, moving_section
from hsrl_pipeline.experiments.plots import plot_level_weights, plot_part
from hsrl_pipeline.experiments.store import Experiment, ExperimentStore
from hsrl_pipeline.html_page import bullets, element, page, picture, table

TITLE = "Experiments"

HOW_TO_READ = [
    "Total Reward is what a simulated session earns, Depth how many steps it lasts. All policies of"
    " a table meet the same users and the same random draws.",
    "Agents learn on one simulator and are judged on another one, which they never see. In training"
    " is the Total Reward on the first: what is earned there and not on the other one was learned"
    " about the simulator and not about users.",
    "IQM is the mean of the middle half of the seeds (of three seeds, of all three). Its interval"
    " is a 95 % bootstrap over the seeds; with few seeds it is too narrow rather than too wide. The"
    " interval of a reference, which has no seeds, is over sessions.",
    "P(better) is the probability that a run of the one earns more than a run of the other. The"
    " p-value is of a t-test over seeds, corrected by Holm's method for all comparisons of one"
    " part; below 0.05 a comparison counts as decided.",
    "References (in italics) do not learn. static_slate is one good slate that is the same for"
    " everyone: an agent that does not earn more has learned what is popular and nothing personal.",
]


def report_page(
    store: ExperimentStore,
    *,
    trials: pd.DataFrame,
    scores: pd.DataFrame,
    comparisons: pd.DataFrame,
    level_weights: pd.DataFrame,
    moving: pd.DataFrame,
    areas: pd.DataFrame,
) -> str:
    """Return the report on all experiments as one HTML page that needs nothing beside itself.

    Args:
        store: All experiments.
        trials: As ``trial_table`` returns them.
        scores: As ``score_table`` returns them.
        comparisons: As ``comparison_table`` returns them.
        level_weights: As ``level_weight_table`` returns them.
        moving: As ``moving_table`` returns them.
        areas: As ``area_table`` returns them.
    """
    experiments = store.experiments()
    body = [element("h1", TITLE), _contents(experiments), element("h4", "How to read this page")]
    body.append(bullets(HOW_TO_READ + (HOW_TO_READ_MOVING if len(moving) or len(areas) else [])))
    for number, experiment in enumerate(experiments):
        frames = [
            _of_experiment(frame, experiment)
            for frame in (trials, scores, comparisons, level_weights, moving, areas)
        ]
        body += _experiment(store, experiment, number, frames)
    return page(TITLE, body)


def _of_experiment(frame: pd.DataFrame, experiment: Experiment) -> pd.DataFrame:
    """Return the rows of one list of trials; several lists of one grid differ in their data."""
    own = frame["experiment"].eq(experiment.name) & frame["size"].eq(experiment.size)
    own &= frame["behaviour"].eq(experiment.behaviour)
    datasets = {entry.dataset for entry in experiment.trials}
    return frame[own & frame["dataset"].isin(datasets | {OVERALL})]


def _contents(experiments: Sequence[Experiment]) -> str:
    links = [
        element("a", _heading(experiment), href=f"#e{number}")
        for number, experiment in enumerate(experiments)
    ]
    return f"<nav>{''.join(links)}</nav>"


def _heading(experiment: Experiment) -> str:
    datasets = ", ".join(dict.fromkeys(entry.dataset for entry in experiment.trials))
    return f"{experiment.title} ({experiment.size}, {datasets})"


def _experiment(
    store: ExperimentStore, experiment: Experiment, number: int, frames: Sequence[pd.DataFrame]
) -> Iterator[str]:
    trials, scores, comparisons, level_weights, moving, areas = frames
    yield element("h2", _heading(experiment), id=f"e{number}")
    if experiment.question:
        yield element("p", experiment.question)
    yield element("p", _how_many(experiment, trials), class_="small")
    yield bullets(
        [
            f"Failed: {entry.label}, seed {entry.seed}, {entry.dataset}, {entry.regime}:"
            f" {entry.error}"
            for entry in experiment.trials
            if entry.error
        ],
        class_="failed",
    )
    if trials.empty:
        return
    yield _settings(trials)
    yield from _simulators(store, trials)
    for name, part in experiment.parts.items():
        if part.title:
            yield element("h3", part.title)
        own = [frame[frame["part"] == name] for frame in (scores, comparisons, moving, areas)]
        yield from _part(own, part.baseline)
        weights = level_weights[level_weights["part"] == name]
        if part.level_weights and len(weights):
            text = "Weights of the critic's levels during training"
            yield element("h4", text)
            yield picture(plot_level_weights(weights), text)


def _how_many(experiment: Experiment, trials: pd.DataFrame) -> str:
    total = len(experiment.trials)
    failed = sum(entry.error is not None for entry in experiment.trials)
    commits = ", ".join(sorted(set(trials["commit"]))) or experiment.commit
    text = f"{len(trials)} of {total} trials have a result"
    text += f", {failed} failed" if failed else ""
    text += f". Commit {commits}; behaviour {experiment.behaviour}, the same for all of them."
    minutes = trials["seconds"].sum() / 60
    took = f"{minutes:.0f} minutes" if minutes < 100 else f"{minutes / 60:.1f} hours"
    return text + f" They took {took} of processor time."


def _settings(trials: pd.DataFrame) -> str:
    """Return what distinguishes the policies of an experiment and what they share."""
    settings = {
        str(policy): json.loads(rows["settings"].iloc[0])
        for policy, rows in trials.groupby("policy", sort=False)
    }
    shared = {
        name: value
        for name, value in next(iter(settings.values())).items()
        if all(other.get(name) == value for other in settings.values())
    }
    agents = trials.drop_duplicates("policy").set_index("policy")["agent"]
    lines = [
        f"Seeds: {', '.join(map(str, sorted(set(trials['seed']))))}."
        f" Updates: {_values(trials['n_iterations'])}."
        f" Sessions that judge each policy: {_values(trials['n_episodes'])}."
    ]
    if shared:
        lines.append(f"For all: {_assignments(shared)}.")
    for policy, own in settings.items():
        different = {name: value for name, value in own.items() if name not in shared}
        if different or agents[policy] != policy:
            changes = f" with {_assignments(different)}" if different else ""
            lines.append(f"{policy}: {agents[policy]}{changes}.")
    return element("h4", "What was compared") + bullets(lines)


def _simulators(store: ExperimentStore, trials: pd.DataFrame) -> Iterator[str]:
    lines = []
    judged = trials[["dataset", "simulators"]].drop_duplicates().astype(str)
    for dataset, name in zip(judged["dataset"], judged["simulators"], strict=True):
        metrics = store.simulator_metrics(name)
        fits = [
            f"{title} ranks items of test slates with an AUC of {metrics[key]:.3f}"
            for title, key in (
                ("the one that agents learn on", "simulator_train_test_auc"),
                ("the one that judges", "simulator_eval_test_auc"),
            )
            if key in metrics
        ]
        lines.append(f"{dataset}: {'; '.join(fits)}." if fits else f"{dataset}: {name}.")
    yield element("h4", "Under which simulators")
    yield bullets(
        [*lines, "Both are models fitted to the log. The judge has also seen the test split."]
    )


def _part(frames: Sequence[pd.DataFrame], baseline: str | None) -> Iterator[str]:
    scores, comparisons, moving, areas = frames
    tasks = sorted(
        scores.groupby(["dataset", "regime"], sort=False), key=lambda task: task[0][0] == OVERALL
    )
    for key, own in tasks:
        dataset, regime = map(str, key)
        overall = dataset == OVERALL
        title = "All tasks together" if overall else f"{dataset}, {_regime_in_words(regime)}"
        yield element("h4", title)
        compared, moved, missed = (
            frame[(frame["dataset"] == dataset) & (frame["regime"] == regime)]
            for frame in (comparisons, moving, areas)
        )
        yield bullets(findings(own, compared))
        yield _score_table(own, compared)
        yield from moving_section(title, moved, missed, baseline)
    if len(scores):
        yield picture(plot_part(scores), "Total Reward of each policy with 95 % intervals")
    if len(moving):
        text = "Total Reward and regret through the changes of the catalogue"
        yield element("h4", text)
        yield picture(plot_moving_part(moving), text)


def _score_table(scores: pd.DataFrame, comparisons: pd.DataFrame) -> str:
    targets = list(dict.fromkeys(comparisons["compared_with"]))
    overall = (scores["dataset"] == OVERALL).all()
    columns = ["policy", "score (0 random, 1 ceiling)" if overall else "Total Reward, IQM"]
    if not overall:
        columns += ["in training", "Depth", "clicks/slot", "items shown"]
    columns += [
        f"{what} {target}" for target in targets for what in ("P(better) than", "p against")
    ]
    rows, classes = [], []
    for row in scores.to_dict("records"):
        cells = [str(row["policy"]), interval(pd.Series(row))]
        if not overall:
            cells += [
                _figure(row["train_total_reward"], 2),
                _figure(row["depth"], 2),
                _figure(row["clicks_per_slot"], 3),
                _figure(row["coverage"], 0),
            ]
        for target in targets:
            cells += _comparison(comparisons, row, target)
        rows.append(cells)
        classes.append(str(row["kind"]))
    filled = [number for number in range(len(columns)) if any(cells[number] for cells in rows)]
    kept = [[cells[number] for number in filled] for cells in rows]
    return table([columns[number] for number in filled], kept, classes)


def _comparison(comparisons: pd.DataFrame, row: dict[Any, Any], target: str) -> list[str]:
    own = comparisons[
        (comparisons["policy"] == row["policy"]) & (comparisons["compared_with"] == target)
    ]
    if own.empty or row["kind"] != "agent":
        return ["", ""]
    found = own.iloc[0]
    better = f"{found['probability_of_improvement']:.2f}"
    if pd.notna(found["probability_ci_low"]):
        better += f" [{found['probability_ci_low']:.2f}, {found['probability_ci_high']:.2f}]"
    return [better, _figure(found["p_holm"], 3)]


def _figure(value: float, digits: int) -> str:
    return "" if pd.isna(value) else f"{value:.{digits}f}"


def _values(column: pd.Series[Any]) -> str:
    return ", ".join(f"{value:,}" for value in sorted(set(column)))


def _assignments(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in parameters.items())


def _regime_in_words(regime: str) -> str:
    return "items may return" if regime == "repeats" else "no item twice in a session"
