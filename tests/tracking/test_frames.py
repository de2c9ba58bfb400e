"""Runs out of a small store as frames, and the notebook that draws them."""

from __future__ import annotations

import json
from pathlib import Path

import IPython.display
import pytest
from matplotlib.figure import Figure

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.tracking.frames import curves_frame, runs_frame
from hsrl_pipeline.tracking.store import open_client
from hsrl_pipeline.tracking.trial_frames import references_frame, trials_frame

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

REWARDS = {("hsrl", 0): 3.0, ("hsrl", 1): 3.2, ("hsrl", 2): 3.1, ("sl", 0): 1.0, ("sl", 1): 1.5}
REFERENCES = {"random": 0.0, "popular": 1.0, "static_slate": 2.0}


def add_run(client, place: str, label: str, seed: int, reward: float, **tags: str) -> str:
    from mlflow.entities import Metric, Param, RunTag

    own = {
        "experiment": "mine",
        "size": "quick",
        "behaviour": "b2",
        "trial": f"{label}{seed}",
        "part": "all",
        "variant": label,
        "axes": "{}",
        "dataset": "toy",
        "regime": "repeats",
        "agent": label,
        "label": label,
        "seed": str(seed),
        **tags,
    }
    figures = {"total_reward": reward, "depth": 4.0}
    figures |= {f"reference_{name}_total_reward": value for name, value in REFERENCES.items()}
    curve = [Metric("train_reward", reward * step / 20, 0, step) for step in (20, 10)]
    run = client.create_run(place, run_name=f"{label}-seed{seed}")
    client.log_batch(
        run.info.run_id,
        metrics=[*(Metric(name, value, 0, 0) for name, value in figures.items()), *curve],
        params=[Param("training.n_iterations", "20")],
        tags=[RunTag(name, value) for name, value in own.items()],
    )
    client.set_terminated(run.info.run_id, status=own.get("status", "FINISHED"))
    return str(run.info.run_id)


@pytest.fixture(scope="module")
def project(tmp_path_factory, with_store) -> Path:
    folder = with_store(tmp_path_factory.mktemp("project"))
    (folder / "notebooks").mkdir()
    (folder / "pyproject.toml").touch()
    client = open_client(folder)
    place = client.create_experiment("hsrl/toy")
    other = client.create_experiment("hsrl/other")
    add_run(client, place, "hsrl", 0, 9.0, behaviour="b1")
    add_run(client, place, "hsrl", 0, 8.0)
    for (label, seed), reward in REWARDS.items():
        add_run(client, place, label, seed, reward, experiment="first,mine")
    add_run(client, place, "sl", 2, 7.0, status="FAILED")
    add_run(client, other, "hsrl", 0, 5.0, experiment="elsewhere", dataset="other")
    return folder


def test_one_row_per_run_with_parameters_tags_and_metrics(project) -> None:
    runs = runs_frame(project)
    assert len(runs) == 9
    assert runs.loc[0, "run_name"] == "hsrl-seed0"
    assert runs.loc[0, "tags.dataset"] == "other"
    assert runs.loc[0, "metrics.total_reward"] == 5.0
    assert set(runs["params.training.n_iterations"]) == {"20"}
    assert runs["metrics.train_reward"].dtype == "float64"
    assert runs["start_time"].is_monotonic_decreasing


def test_runs_of_one_experiment_also_those_it_shares_and_of_one_dataset(project) -> None:
    assert len(runs_frame(project, experiment="first")) == 5
    assert len(runs_frame(project, experiment="mine", dataset="toy")) == 8
    assert len(runs_frame(project, dataset="other")) == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"experiment": "tabel2"},
            r"no run of experiment 'tabel2' .*`kedro experiment tabel2`\. "
            r"Experiments with runs: elsewhere, first, mine\.",
        ),
        ({"dataset": "ml1m"}, "no run on dataset 'ml1m'"),
    ],
)
def test_no_run_is_one_clear_message(project, asked, said) -> None:
    with pytest.raises(UserError, match=said):
        runs_frame(project, **asked)


def test_points_of_a_curve_in_the_order_of_their_steps(project) -> None:
    runs = runs_frame(project, dataset="other")
    curve = curves_frame(project, runs["run_id"], "train_reward")
    assert curve["step"].tolist() == [10, 20]
    assert curve["value"].tolist() == [2.5, 5.0]
    assert curves_frame(project, runs["run_id"], "unknown").empty


def test_trials_are_those_of_the_newest_behaviour_each_once(project) -> None:
    trials = trials_frame(project, "mine")
    found = {
        (label, seed): reward
        for label, seed, reward in zip(
            trials["policy"], trials["seed"], trials["total_reward"], strict=True
        )
    }
    assert found == REWARDS
    references = references_frame(trials).set_index("policy")
    assert references.loc["static_slate", "total_reward"] == 2.0
    assert set(references.index) == set(REFERENCES)  # what runs say nothing about has no row


def test_no_finished_trial_is_one_clear_message(project) -> None:
    with pytest.raises(
        UserError, match="no trial of experiment 'mine' of size 'full' has finished"
    ):
        trials_frame(project, "mine", size="full")


def test_the_notebook_runs_and_draws_its_figures(project, monkeypatch) -> None:
    monkeypatch.chdir(project / "notebooks")
    monkeypatch.setenv("HSRL_EXPERIMENT", "mine")
    shown, drawn, draw = [], [], Figure.savefig
    monkeypatch.setattr(IPython.display, "display", lambda *parts: shown.extend(parts))
    monkeypatch.setattr(
        Figure, "savefig", lambda own, *to, **how: drawn.append(own) or draw(own, *to, **how)
    )
    notebook = json.loads((NOTEBOOKS / "result_analysis.ipynb").read_text())
    names: dict[str, object] = {}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    side_by_side, curves, ablation = drawn
    assert sum(isinstance(part, IPython.display.SVG) for part in shown) == 3
    assert [text.get_text() for text in side_by_side.axes[0].get_yticklabels()][-1] == "hsrl"
    assert [text.get_text() for text in curves.axes[0].get_legend().get_texts()] == ["hsrl", "sl"]
    (bar,) = ablation.axes[0].patches
    assert bar.get_width() == pytest.approx(1.25 - 3.1)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_committed_without_outputs(path) -> None:
    for cell in json.loads(path.read_text())["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
