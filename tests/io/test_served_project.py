"""Who visits a project's server in a test, and how its catalogue moves."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.catalogue.schedule import CatalogueSchedule, Step
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.io.atomic_datasets import AtomicJSONDataset, AtomicParquetDataset
from hsrl_pipeline.io.project_artifacts import ProjectArtifacts
from hsrl_pipeline.io.served_project import scheduled_moves, simulated_visitors
from hsrl_pipeline.serving.ab.visitors import Visitors

from ..pipelines.offline_eval_inputs import N_ITEMS, make_tables
from .test_project_env import SHORT, judged_project, project  # noqa: F401 (fixtures)

IDS = ("", *(str(number) for number in range(N_ITEMS)))


def add(root: Path, name: str, dataset: type, data: object) -> None:
    """Give a project one more entry of its catalog."""
    path = f"data/03_primary/synthetic/{name}"
    dataset(filepath=str(root / path)).save(data)
    catalog = json.loads((root / "conf/base/catalog.yml").read_text())
    catalog[name] = {"type": f"{dataset.__module__}.{dataset.__name__}", "filepath": path}
    (root / "conf/base/catalog.yml").write_text(json.dumps(catalog))


def with_names(root: Path) -> Path:
    """Add the names of categories, and numbers before they were standardised (age = 40 + 10 z)."""
    users = make_tables()[0]
    add(root, "category_values", AtomicJSONDataset, {"group": ["x", "y"]})
    raw = pd.DataFrame({"user_id": users["user_id"], "dense_age": 40.0 + 10.0 * users["dense_age"]})
    add(root, "user_features", AtomicParquetDataset, raw)
    return root


def visitors_of(root: Path, seed: int | None = 1) -> Visitors:
    return simulated_visitors(ProjectArtifacts(root, "synthetic", SHORT), seed, 50)


def test_people_with_recorded_answers_visit(judged_project: Path) -> None:  # noqa: F811
    visitors = visitors_of(with_names(judged_project))
    visits = [visitors.begin(number, "A") for number in range(20)]
    users = make_tables()[0].set_index("user_id")
    # the users 3 and 5 have the ids 2 and 4; the first likes nothing and the other everything
    assert {visit.user_id for visit in visits} == {"2", "4"}
    for visit in visits:
        body = visitors.request(visit)
        own = users.loc[visit.user_id]
        assert body["user"]["group"] == ("x", "y")[int(own["category_group"]) - 1]
        assert body["user"]["age"] == pytest.approx(40.0 + 10.0 * own["dense_age"], abs=1e-4)
        assert body["n"] == 3
        visit.answer = {"items": ["0", "7", "29"]}
    visitors.react(visits)
    assert {(visit.user_id, visit.clicks) for visit in visits} == {("2", 0), ("4", 3)}


def test_users_of_the_evaluation_simulator_visit(project: Path) -> None:  # noqa: F811
    visitors = visitors_of(with_names(project), seed=None)
    assert visitors.seed == 0
    assert visitors.item_ids == IDS
    histories = [visitors.request(visitors.begin(n, "A")).get("history", []) for n in range(20)]
    assert max(map(len, histories)) == SHORT["session"]["history_size"]
    assert all(set(history) <= set(IDS) - {""} for history in histories)


def test_the_catalogue_moves_as_the_project_has_scheduled(judged_project: Path) -> None:  # noqa: F811
    schedule = CatalogueSchedule(
        N_ITEMS, np.arange(1, 21), (Step(np.array([25]), np.array([2])),), (0.5,)
    )
    add(judged_project, "catalogue_schedule", AtomicJSONDataset, schedule.to_document())
    artifacts = ProjectArtifacts(judged_project, "synthetic", SHORT)
    live = np.array([False] + [True] * N_ITEMS)
    model = SimpleNamespace(
        name="m",
        item_ids=IDS,
        item_index=dict.fromkeys(IDS[1:]),
        catalogue=SimpleNamespace(live=live),
    )
    start, change = scheduled_moves(artifacts, model)
    assert (start.at, start.add, len(start.release)) == (0.0, (), 10)
    assert (change.at, change.add, change.release) == (0.5, ("24",), ("1",))
    model.item_index = dict.fromkeys(IDS[1:5])
    with pytest.raises(UserError, match="schedule is of 30 items, the model of 4"):
        scheduled_moves(artifacts, model)
