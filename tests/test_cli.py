"""What is mistyped at the command line is one message."""

import errno
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hsrl_pipeline import cli, settings
from hsrl_pipeline.errors import UserError

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def project(monkeypatch):
    from kedro.framework.project import configure_project

    configure_project("hsrl_pipeline")
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("KEDRO_ENV", raising=False)


@pytest.mark.parametrize(
    ("options", "where", "near"),
    [
        ({"env": "tets"}, "--env", "Did you mean test?"),
        ({"env": "tets", "conf_source": str(ROOT / "conf")}, "--env", "Did you mean test?"),
        ({"pipeline": "ingestio"}, "--pipeline", "Did you mean ingestion?"),
        ({"pipelines": ["ingestion", "x"]}, "--pipeline", "Pipelines: __default__"),
        ({"node_names": ["land_event"]}, "--nodes", "land_events?"),
        ({"from_nodes": ["fit_codebok"]}, "--from-nodes", "fit_codebook"),
        ({"to_nodes": ["fit_codebok"]}, "--to-nodes", "fit_codebook"),
        ({"tags": ["nothing"]}, "--tags", "no tag 'nothing'"),
        ({"to_outputs": ["itms"]}, "--to-outputs", "items"),
        ({"from_inputs": ["itms"]}, "--from-inputs", "items"),
        ({"namespaces": ["nowhere"]}, "--namespaces", "no namespace 'nowhere'"),
        ({"runner": "ThreadRuner"}, "--runner", "Did you mean ThreadRunner"),
        ({"pipeline": "a", "pipelines": ["b"]}, "--pipelines", "at once"),
    ],
)
def test_typos_are_named_with_what_comes_close(options, where, near) -> None:
    with pytest.raises(UserError) as caught:
        cli._check_names(options)
    assert where in str(caught.value)
    assert near in str(caught.value)


def test_a_typo_in_the_environment_variable(monkeypatch) -> None:
    monkeypatch.setenv("KEDRO_ENV", "tets")
    with pytest.raises(UserError, match=r"KEDRO_ENV.*Did you mean test"):
        cli._check_names({})


def test_nodes_in_namespaces_are_found_by_their_last_name() -> None:
    known = ["ingestion.land_events", "ingestion.build"]
    cli._check_known("node", ["ingestion.land_events"], known, "--nodes")
    for typo in ("land_event", "ingestion.land_event", "land_events"):
        with pytest.raises(UserError, match=r"Did you mean ingestion\.land_events"):
            cli._check_known("node", [typo], known, "--nodes")


def test_right_names_pass() -> None:
    cli._check_names({"env": "test", "pipeline": "ingestion", "runner": "SequentialRunner"})


@pytest.mark.parametrize("folder", ["a[1]", "a*"])
def test_a_path_that_kedro_takes_for_a_pattern(tmp_path, monkeypatch, folder) -> None:
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    with pytest.raises(UserError, match="takes for a pattern"):
        cli._check_project()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_cannot_be_written_is_a_message(number, capsys) -> None:
    def run(**_options) -> None:
        try:
            raise OSError(number, "no", "data/file")
        except OSError as error:
            raise ValueError("saving failed") from error

    with pytest.raises(SystemExit) as caught:
        cli._with_messages(run)(env="test")
    assert caught.value.code == 1
    message = capsys.readouterr().err
    assert "data/file" in message
    assert "start again" in message


def test_other_errors_keep_their_traceback() -> None:
    def run(**_options) -> None:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        cli._with_messages(run)()


def test_a_closed_terminal_ends_a_run_like_an_interrupt() -> None:
    assert signal.SIGHUP in cli.STOPS
    with pytest.raises(SystemExit) as caught:
        cli._stop(signal.SIGHUP, None)
    assert caught.value.code == 128 + signal.SIGHUP


def test_kedro_mlflow_is_switched_off_in_both_spellings() -> None:
    assert {"kedro-mlflow", "kedro_mlflow"} <= set(settings.DISABLE_HOOKS_FOR_PLUGINS)


def test_a_taken_port_is_a_message_and_a_failure(tmp_path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "hsrl_pipeline.tracking.serve", "--port", str(port)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"port {port} can't be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_package_runs_from_an_archive_with_its_configuration_beside(tmp_path) -> None:
    package = ROOT / "src" / "hsrl_pipeline"
    with zipfile.ZipFile(tmp_path / "hsrl_pipeline.whl", "w") as archive:
        for file in package.rglob("*.py"):
            archive.write(file, file.relative_to(package.parent))
    with zipfile.ZipFile(tmp_path / "hsrl_pipeline.whl") as archive:
        archive.extractall(tmp_path / "site")
    work = tmp_path / "work"
    work.mkdir()
    arguments = ["--conf-source", str(ROOT / "conf"), "--env", "test", "--pipelines", "ingestion"]
    environment = {**cli.os.environ, "PYTHONPATH": str(tmp_path / "site")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        [sys.executable, "-m", "hsrl_pipeline", *arguments],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (work / "mlflow.db").exists()
    assert any((work / "data").rglob("items.parquet"))


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("serve", ["--replicas", "2", "--events", "served"], "one process alone"),
        ("serve", ["--cluster", "auto", "--events", "served"], "one process alone"),
        ("serve", ["--replicas", "0"], "not in the range"),
        ("register", ["--arm", "both"], "add --moving"),
        ("serve", ["--moving", "both"], "not one of 'serving', 'training'"),
    ],
)
def test_options_of_serving_that_do_not_go_together(
    command: str, options: list[str], message: str
) -> None:
    from click.testing import CliRunner

    from hsrl_pipeline import serving_commands

    done = CliRunner().invoke(getattr(serving_commands, command), options)
    assert done.exit_code == 2
    assert message in done.output


def test_a_grid_that_is_not_there_is_one_message() -> None:
    from click.testing import CliRunner

    done = CliRunner().invoke(cli.experiment, ["table22"])
    assert done.exit_code == 1
    assert "there is no grid 'table22'" in done.output
    assert "table2" in done.output
    assert "Traceback" not in done.output


def test_grids_are_listed_and_are_no_environment() -> None:
    from click.testing import CliRunner

    assert "fig5, fig6" in CliRunner().invoke(cli.experiment, []).output
    with pytest.raises(UserError, match="no environment 'experiments'"):
        cli._check_names({"env": "experiments"})


@pytest.mark.parametrize(
    ("asked", "runs"),
    [
        ({}, ["moving"]),
        ({"pipeline": "__default__"}, ["moving"]),
        (
            {"pipelines": ["agent_training", "offline_eval"]},
            ["moving_training", "moving_evaluation"],
        ),
        ({"pipelines": ["ingestion", "moving_catalogue"]}, ["ingestion", "moving_catalogue"]),
    ],
)
def test_a_moving_catalogue_chooses_its_pipelines(asked, runs) -> None:
    options = {"params": {"catalogue": {"schedule": "moving"}}, **asked}
    cli._follow_schedule(options)
    assert options["pipelines"] == runs and options["pipeline"] is None


@pytest.mark.parametrize("params", [{}, {"catalogue": {"schedule": "fixed"}}, {"catalogue": 3}])
def test_a_fixed_catalogue_chooses_none(params) -> None:
    options = {"params": params, "pipeline": "offline_eval"}
    cli._follow_schedule(options)
    assert options == {"params": params, "pipeline": "offline_eval"}
