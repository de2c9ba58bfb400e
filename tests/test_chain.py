"""The whole chain as a user runs it: `kedro run` in a project folder, toy sizes."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.project_copy import copy_project, kedro

from hsrl_pipeline.io.project_artifacts import ProjectArtifacts
from hsrl_pipeline.io.served_moving import moving_model
from hsrl_pipeline.serving import Recommender, RecommendRequest, RequestError
from hsrl_pipeline.serving.catalogue_change import AskedChange, follow
from hsrl_pipeline.serving.item_features import NewItem
from hsrl_pipeline.tracking.store import open_client

PROJECT = Path(__file__).parents[1]
REFERENCES = {
    "random",
    "popular",
    "static_slate",
    "greedy_train_simulator",
    "greedy_eval_simulator",
}
SUMMARY_COLUMNS = [
    "policy",
    "seed",
    "simulator",
    "n_episodes",
    "total_reward",
    "total_reward_ci_low",
    "total_reward_ci_high",
    "depth",
    "depth_ci_low",
    "depth_ci_high",
    "clicks_per_slot",
    "coverage",
    "repetition_rate",
    "intra_list_diversity",
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("project"))
    done = kedro(folder, "run", "--env", "test")
    assert done.returncode == 0, done.stderr[-3000:]
    (folder / "printed.txt").write_text(done.stdout + done.stderr)
    return folder


@pytest.fixture(scope="module")
def compared(project: Path) -> subprocess.CompletedProcess:
    """The finished policy against itself, with draws, while two items leave."""
    live = pd.read_parquet(project / "data/03_primary/toy/items.parquet")["item_id"]
    changes = [{"at": 0.5, "release": live[:2].tolist()}]
    (project / "changes.json").write_text(json.dumps(changes))
    done = kedro(
        project,
        *("ab", "hsrl", "hsrl", "--env", "test", "--sessions", "150", "--changes", "changes.json"),
        *("--explore", "--events", "data/01_raw/tabular/served"),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done


@pytest.fixture(scope="module")
def empty_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("empty"))


def read_summary(project: Path) -> pd.DataFrame:
    return pd.read_csv(project / "data" / "08_reporting" / "toy" / "summary.csv")


@pytest.mark.slow
class TestWholeChain:
    def test_summary_has_the_agent_and_all_references_on_both_simulators(self, project) -> None:
        summary = read_summary(project)
        assert list(summary.columns[: len(SUMMARY_COLUMNS)]) == SUMMARY_COLUMNS
        for simulator in ("train", "eval"):
            rows = summary[summary.simulator == simulator]
            assert set(rows.policy) == REFERENCES | {"hsrl"}
        assert (summary.total_reward_ci_low <= summary.total_reward).all()
        assert (summary.total_reward <= summary.total_reward_ci_high).all()
        assert summary.depth.between(1, 20).all()

    def test_two_models_are_compared_while_the_catalogue_moves(self, project, compared) -> None:
        assert "0 failed, 0 slots on released items" in compared.stdout
        folder = project / "data/08_reporting/toy/ab/hsrl-hsrl"
        report = json.loads((folder / "report.json").read_text())
        assert [change["refused"] for change in report["changes"]] == ["", ""]
        assert report["differences"]["total_reward"]["clear_after_sessions"] is None
        assert "A/B test: hsrl-seed0@toy" in (folder / "report.html").read_text()

    def test_a_served_day_is_ingested_trained_on_and_read_by_off_policy_estimates(
        self, project, compared
    ) -> None:
        served = pd.read_parquet(project / "data/01_raw/tabular/served")
        (told,) = re.findall(
            r"^```yaml\n(ingestion:.*?events: served.*?)^```",
            (PROJECT / "docs/serving.md").read_text(),
            flags=re.DOTALL | re.MULTILINE,
        )
        (project / "conf/tabular/parameters_ingestion.yml").write_text(told)
        small = (PROJECT / "conf/test/parameters.yml").read_text().split("sid:", 1)[1]
        (project / "conf/tabular/parameters.yml").write_text(f"sid:{small}")
        done = kedro(project, "run", "--env", "tabular")
        assert done.returncode == 0, done.stderr[-3000:]
        slates = pd.read_parquet(project / "data/03_primary/tabular/slates.parquet")
        assert len(slates) == served["slate_id"].nunique()
        clicks = slates.filter(regex=r"^label_\d").to_numpy().sum()
        assert clicks == served["label"].sum() > 0
        chances = np.sort(slates.filter(regex=r"^propensity_\d").to_numpy().ravel())
        np.testing.assert_allclose(chances, np.sort(np.exp(served["log_prob"])), rtol=1e-4)
        estimates = pd.read_csv(project / "data/08_reporting/tabular/off_policy_summary.csv")
        own = estimates[(estimates["policy"] == "hsrl") & (estimates["acting"] == "exploring")]
        assert set(own["log_part"]) == {"test_slots"}
        assert (own["n_events"] == 10 * (slates["split"] == "test").sum()).all()
        assert (own["effective_sample_size"].dropna() > 0).all()
        assert "hsrl" in set(
            pd.read_csv(project / "data/08_reporting/tabular/summary.csv")["policy"]
        )

    def test_the_finished_policy_is_registered_and_served(self, project) -> None:
        done = kedro(project, "register", "--env", "test")
        assert done.returncode == 0, done.stderr[-2000:]
        assert "models:/hsrl-toy/1 is the challenger" in done.stdout
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = subprocess.Popen(
            [sys.executable, "-m", "kedro", "serve", "--env", "test", "--port", str(port)],
            cwd=project,
            env={**os.environ, "DO_NOT_TRACK": "true"},
        )
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    with urllib.request.urlopen(f"{address}/ready") as ready:
                        assert ready.status == 200
                    break
                except (urllib.error.URLError, ConnectionError):
                    assert server.poll() is None
                    time.sleep(0.1)
            body = (
                b'{"history": ["1", 2], "user": {"region": "region 1", "activity": 0.3}, "n": 10}'
            )
            request = urllib.request.Request(
                f"{address}/recommend", body, {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request) as answer:
                assert len(set(json.load(answer)["items"])) == 10
        finally:
            server.terminate()
            server.wait()

    def test_prints_the_table_and_where_to_look_next(self, project) -> None:
        printed = (project / "printed.txt").read_text()
        for part in ("Total Reward", "static_slate", "make ui", "make viz", "Time by pipeline"):
            assert part in printed

    def test_one_finished_run_with_name_tags_metrics_curves_and_artifacts(self, project) -> None:
        client = open_client(project)
        experiment = client.get_experiment_by_name("hsrl/toy")
        (run,) = client.search_runs([experiment.experiment_id])
        assert run.info.run_name == "hsrl-seed0"
        assert run.info.status == "FINISHED"
        assert run.data.tags["agent"] == "hsrl"
        assert run.data.tags["dataset"] == "toy"
        assert run.data.tags["seed"] == "0"
        assert run.data.tags["codebook_version"]
        names = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert {"policy.safetensors", "codebook.safetensors", "summary.csv"} <= names
        for name in ("total_reward", "depth"):
            low, high = (run.data.metrics[f"{name}_ci_{end}"] for end in ("low", "high"))
            assert low <= run.data.metrics[name] <= high
        curve = client.get_metric_history(run.info.run_id, "train_reward")
        assert [point.step for point in curve] == [20, 40, 60]

    def test_a_second_agent_adds_rows_and_loses_none_from_another_folder(self, project) -> None:
        before = read_summary(project)
        done = kedro(
            project,
            "run",
            "--env=test",
            "--pipelines=agent_training,offline_eval",
            "--params=agent.name=sl,agent.label=sl_again",
            cwd=project / "conf" / "base",
        )
        assert done.returncode == 0, done.stderr[-3000:]
        after = read_summary(project)
        assert set(after.policy) == set(before.policy) | {"sl_again"}
        kept = after[after.policy != "sl_again"].reset_index(drop=True)
        pd.testing.assert_frame_equal(kept, before, check_like=True)
        assert not (project / "conf" / "base" / "mlflow.db").exists()
        experiment = open_client(project).get_experiment_by_name("hsrl/toy")
        names = {
            r.info.run_name for r in open_client(project).search_runs([experiment.experiment_id])
        }
        assert names == {"hsrl-seed0", "sl_again-seed0"}

    def test_nodes_run_alone_with_or_without_their_namespace(self, project) -> None:
        nodes = "diagnose_semantic_ids,sid_tokenization.compare_semantic_ids"
        done = kedro(project, "run", "--env=test", f"--nodes={nodes}")
        assert done.returncode == 0, done.stderr[-3000:]
        printed = done.stdout + done.stderr
        assert "Completed 2 out of 2 tasks" in printed
        assert "Time by pipeline: sid_tokenization" in printed

    def test_same_seed_same_summary(self, project, tmp_path) -> None:
        again = copy_project(tmp_path / "again")
        done = kedro(again, "run", "--env", "test")
        assert done.returncode == 0, done.stderr[-3000:]
        first = read_summary(project)
        first = first[first.policy != "sl_again"].reset_index(drop=True)
        pd.testing.assert_frame_equal(read_summary(again), first)

    def test_a_policy_of_a_moving_catalogue_is_served_with_its_live_items(self, project) -> None:
        moving = "catalogue.schedule=moving,catalogue.n_changes=2,catalogue.serving_updates=[0]"
        done = kedro(
            project,
            "run",
            "--env=test",
            "--pipelines=moving_catalogue,moving_training",
            f"--params={moving}",
        )
        assert done.returncode == 0, done.stderr[-3000:]
        artifacts = ProjectArtifacts(project, "test")
        changes = artifacts.load("catalogue_changes")
        schedule = artifacts.load("catalogue_schedule")
        at_launch, at_end = (moving_model(artifacts, mode) for mode in ("serving", "training"))
        assert at_launch.catalogue.version == changes["versions"][0]
        assert at_end.catalogue.version == changes["versions"][-1]
        assert at_launch.catalogue.live_items.tolist() == sorted(schedule["launch"])
        recommender = Recommender(at_launch)
        later = at_launch.item_ids[at_launch.arrivals.items[0]]
        following = follow(recommender, AskedChange(recommender.version, add=[later]))
        new = NewItem("a new one", content={"trait_0": 1.0})  # not all of its traits
        with pytest.raises(RequestError, match="trait_1"):
            follow(following, AskedChange(following.version, new=[new]))
        n_live = len(following.catalogue.live_items)
        assert later in following.recommend(RecommendRequest(n=n_live)).items
        table, raw = artifacts.load("items"), artifacts.load("item_features").set_index("item_id")
        encoder = at_launch.publisher.encoder
        for _, row in table.iterrows():
            told = {c.name: raw.loc[row["item_id"], f"content_{c.name}"] for c in encoder.columns}
            made, _ = encoder.table([NewItem(row["item_id"], content=told)], np.array([1]))
            expected = [row[f"content_{column.name}"] for column in encoder.columns]
            np.testing.assert_allclose(made.content[1], expected, atol=1e-5)
        done = kedro(project, "register", "--env", "test", "--moving", "training")
        assert done.returncode == 0, done.stderr[-2000:]
        assert "models:/hsrl-toy-moving-training/1 is the challenger" in done.stdout
        names = ("hsrl@serving", "hsrl@training")
        done = kedro(project, "ab", *names, "--env=test", "--sessions=100", "--moving")
        assert done.returncode == 0, done.stderr[-2000:]
        assert "0 failed, 0 slots on released items" in done.stdout
        file = project / "data/08_reporting/toy/ab/hsrl_serving-hsrl_training/report.json"
        made = json.loads(file.read_text())["changes"]
        # the second model has the items of the end live and is first led to those of the launch
        assert [change["arm"] for change in made] == ["B", "A", "B", "A", "B"]
        assert not any(change["refused"] for change in made)


def broken_zip(project: Path, content: bytes | None) -> None:
    path = project / "data" / "01_raw" / "ml-1m.zip"
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)


@pytest.mark.slow
class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "parts"),
        [
            (["--params=agent.name=dqn"], ["agent.name", "'dqn'", "'td3'"]),
            (["--params=training.n_iteration=5"], ["training.n_iteration", "n_iterations"]),
            (["--params=training.n_iterations=0"], ["training.n_iterations", "greater"]),
            (["--env=ml2m"], ["no environment 'ml2m'", "ml1m"]),
            (["--pipeline=agent_trainin"], ["no pipeline 'agent_trainin'", "agent_training"]),
            (
                ["--env=test", "--pipeline=offline_eval"],
                ["kedro run --pipeline ingestion --env test"],
            ),
            (["--env=ml1m"], ["ml-1m.zip", "make data DATASET=ml1m"]),
        ],
    )
    def test_is_one_message_and_nothing_is_written(self, empty_project, arguments, parts) -> None:
        done = kedro(empty_project, "run", *arguments)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        (message,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        for part in parts:
            assert part in message
        made = [path for path in (empty_project / "data").rglob("*") if path.is_file()]
        assert made == []

    @pytest.mark.parametrize(
        ("content", "part"), [(b"not a zip", "ml-1m.zip"), ("empty", "ratings.dat")]
    )
    def test_a_bad_zip_is_named(self, empty_project, tmp_path, content, part) -> None:
        if content == "empty":
            with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
                archive.writestr("ml-1m/README", "nothing")
            content = (tmp_path / "empty.zip").read_bytes()
        broken_zip(empty_project, content)
        done = kedro(empty_project, "run", "--env=ml1m", "--pipeline=ingestion")
        broken_zip(empty_project, None)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert part in next(line for line in done.stderr.splitlines() if line.startswith("Error: "))
        made = [path for path in (empty_project / "data").rglob("*") if path.is_file()]
        assert made == []
