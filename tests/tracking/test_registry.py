"""Registered models: what MLflow loads, and who becomes champion."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.serving.small_model import IDS, small_model, small_publisher

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.serving import Recommender, RecommendRequest
from hsrl_pipeline.tracking.registry import (
    Registered,
    in_store,
    load_served_model,
    promote,
    register,
)
from hsrl_pipeline.tracking.store import tracking_uri


def sessions(reward: float, version: str = "s1") -> pd.DataFrame:
    """Return 200 judged sessions that earn so much more than chance."""
    noise = np.random.default_rng(0).normal(size=200)
    return pd.DataFrame(
        {
            "policy": "hsrl",
            "seed": 0,
            "simulator": "eval",
            "regime": "repeats",
            "episode": range(200),
            "total_reward": 5.0 + noise + reward * (1.0 + 0.1 * noise),
            "depth": 7,
            "sessions_version": version,
            "simulator_version": "e1",
        }
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, with_store) -> Path:
    return with_store(tmp_path_factory.mktemp("project"))


def enter(project: Path, judged: pd.DataFrame, dataset: str) -> Registered:
    return register(
        project,
        small_model(publisher=small_publisher()),
        judged,
        dataset=dataset,
        tags={"agent": "hsrl", "seed": "0"},
    )


@pytest.fixture(scope="module")
def first(project: Path) -> Registered:
    return enter(project, sessions(0.0), "small")


def test_mlflow_loads_it_without_pickle(
    project: Path, first: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    with in_store(project):
        model = mlflow.pyfunc.load_model("models:/hsrl-small@challenger")
    frame = pd.DataFrame(
        {
            "history": [[IDS[1], IDS[2], IDS[4]], None],
            "responses": [[1, 1, 0], None],
            "user": [{"country": "NL"}, None],
            "exclude": [[IDS[3]], None],
            "n": [3, 3],
        }
    )
    answers = model.predict(frame)
    recommender = Recommender(small_model())
    asked = [
        RecommendRequest([IDS[1], IDS[2]], {"country": "NL"}, None, [IDS[3]], 3),
        RecommendRequest(n=3),
    ]
    for row, request in enumerate(asked):
        assert list(answers["items"][row]) == recommender.recommend(request).items
    assert list(model.predict(pd.DataFrame({"n": [2]}))["items"][0]) == (
        recommender.recommend(RecommendRequest(n=2)).items
    )
    with pytest.raises(ValueError, match="row 0, n"):
        model.predict(pd.DataFrame({"n": [0]}))
    assert model.metadata.get_input_schema().input_names()[0] == "history"


def test_a_batch_is_answered_under_a_change_of_the_catalogue(
    project: Path, first: Registered
) -> None:
    import mlflow

    with in_store(project):
        model = mlflow.pyfunc.load_model(first.uri)
    item = {"item_id": "film 13", "content": {"length": 90.0}, "vector": [1.0, 0.5, -1.0]}
    change = json.dumps({"release": [IDS[1]], "new": [item]})
    frame = pd.DataFrame({"n": [12]})
    changed = set(model.predict(frame, params={"catalogue": change})["items"][0])
    assert changed == {*IDS[2:], "film 13"}
    assert set(model.predict(frame)["items"][0]) == set(IDS[1:])
    for wrong, message in (
        ({"new": [{**item, "vector": [1.0]}]}, "new.0.vector: it has 1 numbers"),
        ({"new": [{"content": {}}]}, "new.0.item_id: Field required"),
        ({"release": ["film 99"]}, "release.0: there is no item"),
        ({"version_before": "x"}, "the change is for version x"),
    ):
        with pytest.raises(ValueError, match=message):
            model.predict(frame, params={"catalogue": json.dumps(wrong)})
    for no_object in ("{", "[1]", "1"):
        with pytest.raises(ValueError, match="no JSON object"):
            model.predict(frame, params={"catalogue": no_object})


def test_a_registered_model_is_served(project: Path, first: Registered) -> None:
    served = load_served_model(project, first.uri)
    assert served.name == "small (models:/hsrl-small/1)"
    assert served.item_ids == IDS
    with pytest.raises(UserError, match="can't be read"):
        load_served_model(project, "models:/hsrl-small@champion-of-nothing")


def test_a_challenger_must_be_clearly_better(project: Path) -> None:
    enter(project, sessions(0.0), "rivals")
    assert "there was none before" in promote(project, "hsrl-rivals")
    enter(project, sessions(0.005), "rivals")
    enter(project, sessions(0.5), "rivals")
    assert "[+" in promote(project, "hsrl-rivals")
    with pytest.raises(UserError, match=r"Version 2 is not clearly better: -0\.4"):
        promote(project, "hsrl-rivals", "2")
    assert champion(project) == "3"
    assert "already" in promote(project, "hsrl-rivals")
    assert "without a comparison" in promote(project, "hsrl-rivals", "1", force=True)
    assert champion(project) == "1"


def champion(project: Path) -> str:
    from mlflow.tracking import MlflowClient

    uri = tracking_uri(project)
    version = MlflowClient(uri, uri).get_model_version_by_alias("hsrl-rivals", "champion").version
    return str(version)


def test_other_sessions_cannot_be_compared(project: Path) -> None:
    enter(project, sessions(0.0), "apart")
    promote(project, "hsrl-apart")
    enter(project, sessions(9.0, version="s2"), "apart")
    with pytest.raises(UserError, match="not judged in the same sessions"):
        promote(project, "hsrl-apart")
    with pytest.raises(UserError, match=r"Registered models: .*hsrl-apart"):
        promote(project, "hsrl-nothing")
