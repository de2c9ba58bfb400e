"""Training and judging through a moving catalogue, on small canonical tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from hsrl_pipeline.agents.hsrl import HsrlAgent
from hsrl_pipeline.agents.policy_snapshots import FilePolicySnapshots
from hsrl_pipeline.catalogue.timetable import after_training
from hsrl_pipeline.config.agent import AgentConfig, AgentsConfig
from hsrl_pipeline.config.catalogue import CatalogueConfig
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.evaluation.kept_rollouts import NOTHING_KEPT
from hsrl_pipeline.evaluation.moving_policies import PolicyRestorer
from hsrl_pipeline.evaluation.moving_tables import RUN_KEYS, SUMMARY_COLUMNS
from hsrl_pipeline.evaluation.serving_sessions import ServingSessions
from hsrl_pipeline.io.shared_tables import KeyedCsvDataset
from hsrl_pipeline.pipelines import moving_evaluation, moving_training
from hsrl_pipeline.simulator.moving_world import MovingWorld
from hsrl_pipeline.simulator.response.checkpoint import build_response_model
from hsrl_pipeline.training.checkpoint_store import FileCheckpointStore

from .offline_eval_inputs import make_simulator, make_truth
from .test_moving_catalogue import MADE, SETTINGS
from .test_moving_catalogue import run as run_catalogue

WORLD = ("dataset_info", "users", "items", "slates", "timeline")
REFERENCES = {"random", "popular", "static_slate", "greedy_full_knowledge"}
ENCODER = {"embedding_size": 8, "n_layers": 1, "n_heads": 2, "feedforward_size": 8}
AGENTS = AgentsConfig.model_validate(
    {
        "hsrl": {"encoder": {**ENCODER, "use_item_ids": False, "use_item_codes": True}}
        | {"warm_start_iterations": 4, "context_size": 4, "log_batch_size": 8},
        "a2c": {"encoder": ENCODER},
    }
)
SESSION = SessionConfig(horizon=6, history_size=8)
MODES = ("training", "serving", "retraining")
CATALOGUE = SETTINGS.model_copy(
    update={"n_changes": 2, "serving_updates": (3,), "references": "few", "modes": MODES}
)


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> DataCatalog:
    return run_catalogue(tmp_path_factory.mktemp("launch"), catalogue=CATALOGUE)


def run(
    launch: DataCatalog,
    folder: Path,
    *,
    summary: Path | None = None,
    catalogue: CatalogueConfig = CATALOGUE,
    agent: AgentConfig | None = None,
    resume: bool = False,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Train and judge with the files of the run in a folder; returns the file's rows and tables."""
    seen: list[tuple[int, dict[str, float]]] = []
    given: dict[str, Any] = {
        **{name: launch.load(name) for name in (*WORLD, *MADE)},
        "simulator_train": launch.load("simulator_train"),
        "simulator_eval": make_simulator(2),
        "synthetic_truth": make_truth(),
        "reference_records": NOTHING_KEPT,
        "training_metrics": lambda step, figures: None,
        "serving_metrics": lambda step, figures: None,
        "retraining_metrics": lambda step, figures: None,
        "moving_metrics": lambda step, figures: seen.append((step, figures)),
        **{f"policies_{mode}": FilePolicySnapshots(folder / mode) for mode in MODES},
        **{f"checkpoints_{mode}": FileCheckpointStore(folder / f"{mode}.pt") for mode in MODES},
        "params:catalogue": catalogue,
        "params:session": SESSION,
        "params:candidates": CandidatesConfig(),
        "params:reward": RewardConfig(),
        "params:seed": 0,
        "params:agent": agent or AgentConfig(),
        "params:agents": AGENTS,
        "params:training": TrainingConfig(
            n_iterations=12,
            acting_batch_size=4,
            fresh_batch_size=4,
            batch_size=4,
            buffer_size=32,
            warmup_transitions=8,
            checkpoint_every=5,
            resume=resume,
            device="cpu",
        ),
        "params:evaluation": EvaluationConfig(
            n_episodes=8, n_resamples=100, split="all", device="cpu"
        ),
    }
    path = summary or folder / "moving_summary.csv"
    catalog = DataCatalog(
        {name: MemoryDataset(data, copy_mode="assign") for name, data in given.items()}
        | {"moving_summary": KeyedCsvDataset(filepath=str(path), keys=list(RUN_KEYS))}
    )
    made: dict[str, Any] = {"seen": seen}
    SequentialRunner().run(moving_training.create_pipeline(), catalog)
    # what is drawn and compared has tests of its own
    judged = moving_evaluation.create_pipeline().filter(
        node_names=["moving_evaluation.judge_moving_policies"]
    )
    outputs = SequentialRunner().run(judged, catalog)
    made |= {name: dataset.load() for name, dataset in outputs.items()}
    for name in ("moving_regret", "moving_recovery", "moving_costs"):
        made.setdefault(name, catalog.load(name) if name in catalog else None)
    return pd.read_csv(path), made


@pytest.fixture(scope="module")
def first(launch: DataCatalog, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    folder = tmp_path_factory.mktemp("first")
    return folder, *run(launch, folder)


def test_the_table_has_its_columns_and_no_slot_on_a_released_item(first) -> None:
    _, rows, _ = first
    assert tuple(rows.columns) == SUMMARY_COLUMNS
    assert (rows["released_item_slots"] == 0).all()
    assert set(rows["policy"]) == {*REFERENCES, "hsrl", "hsrl@training", "hsrl@retraining"}
    assert set(rows["simulator"]) == {"train", "eval", "truth"}
    own = rows[(rows["policy"] == "hsrl") & (rows["simulator"] == "eval")]
    assert own[["change", "updates"]].to_numpy().tolist() == [
        [0, 0],
        [1, 0],
        [1, 3],
        [2, 0],
        [2, 3],
    ]
    retrained = rows[(rows["policy"] == "hsrl@retraining") & (rows["simulator"] == "eval")]
    assert retrained[["change", "updates"]].to_numpy().tolist() == [[1, 15], [2, 18]]
    upper = rows[rows["policy"] == "greedy_full_knowledge"]
    assert (upper["regret"] == 0).all()
    keys = ["simulator", "change"]
    paired = own.merge(upper, on=keys, suffixes=("", "_upper"))
    np.testing.assert_allclose(
        paired["regret"], paired["total_reward_upper"] - paired["total_reward"]
    )
    static = rows[rows["policy"] == "static_slate"]
    assert (static["new_item_share"] == 0).all()


def test_areas_recovery_and_costs(first) -> None:
    _, rows, made = first
    frozen = rows[(rows["updates"] == 0) & (rows["change"] > 0)]
    areas = made["moving_regret"].set_index(["policy", "simulator", "path"])["area_under_regret"]
    for policy in ("hsrl", "popular"):
        own = frozen[(frozen["policy"] == policy) & (frozen["simulator"] == "eval")]
        assert areas[policy, "eval", "frozen"] == pytest.approx(own["regret"].sum())
    assert {path for policy, _, path in areas.index if policy == "hsrl"} == {"frozen", "updated"}
    recovery = made["moving_recovery"]
    assert set(recovery["policy"]) == {"hsrl", "hsrl@training"}
    served = recovery[recovery["policy"] == "hsrl"]
    assert (served["censored_at"] == 3).all()
    costs = made["moving_costs"]
    assert costs["change"].tolist() == [1, 2]
    assert (costs["checkpoint_bytes"] > 0).all() and costs["checkpoint_bytes"].nunique() == 1
    assert [step for step, _ in made["seen"]] == [0, 1, 2]
    assert {"total_reward_frozen", "total_reward_updated", "total_reward_training"} <= set(
        made["seen"][1][1]
    )


@pytest.mark.parametrize(
    "killed_at", [("serving", None, 15), ("retraining", 1, 15), ("retraining", 2, 5)], ids=str
)
def test_equal_seeds_give_equal_bytes_and_a_killed_run_goes_on(
    first, launch, tmp_path, monkeypatch, killed_at
) -> None:
    folder, _, _ = first
    mode, change, iteration = killed_at
    save = FileCheckpointStore.save

    def killed(self, state):
        save(self, state)
        own = state["state"] if "change" in state else state
        if self._path.name == f"{mode}.pt" and own["iteration"] == iteration:
            if state.get("change") == change:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FileCheckpointStore, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run(launch, tmp_path)
    run(launch, tmp_path, resume=True)
    name = "moving_summary.csv"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    kept = [sorted(path.name for path in (place / mode).iterdir()) for place in (folder, tmp_path)]
    assert kept[0] == kept[1]


def test_a_policy_trained_after_a_change_goes_on_where_it_was_killed(
    launch, tmp_path, monkeypatch
) -> None:
    """Those of earlier changes are not trained again, nor are its own first updates."""
    alone = CATALOGUE.model_copy(update={"modes": ("retraining",)})
    save, update = FileCheckpointStore.save, HsrlAgent.update

    def killed(self, state):
        save(self, state)
        if state["change"] == 2 and state["state"]["iteration"] == 10:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FileCheckpointStore, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run(launch, tmp_path, catalogue=alone)
    updates = []
    monkeypatch.setattr(
        HsrlAgent, "update", lambda self, *given: (updates.append(1), update(self, *given))[1]
    )
    run(launch, tmp_path, catalogue=alone, resume=True)
    assert len(updates) == 18 - 10


def test_a_run_replaces_its_own_rows_and_loses_no_others(first, launch, tmp_path) -> None:
    _, rows, _ = first
    path = tmp_path / "moving_summary.csv"
    rows.to_csv(path, index=False)
    shuffled = CATALOGUE.model_copy(
        update={"codes": "shuffled", "modes": ("serving",), "serving_updates": (0,)}
    )
    both, _ = run(
        launch,
        tmp_path / "other",
        summary=path,
        catalogue=shuffled,
        agent=AgentConfig(label="hsrl_shuffled"),
    )
    assert set(both["policy"]) == {*rows["policy"], "hsrl_shuffled"}
    own = both[both["policy"].isin(rows["policy"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, rows)
    dealt = both[both["policy"] == "hsrl_shuffled"]
    assert (dealt["updates"] == 0).all() and (dealt["released_item_slots"] == 0).all()


def test_policies_of_another_run_are_refused(first, launch, tmp_path) -> None:
    folder, _, _ = first
    with pytest.raises(UserError, match="regime repeats instead of no_repeats"):
        judge_alone(launch, folder, tmp_path)


def judge_alone(launch: DataCatalog, folder: Path, place: Path) -> None:
    world = make_world(launch)
    other = CandidatesConfig(exclude_shown=True)
    sessions = world.data.setting(SESSION, RewardConfig(), other, torch.device("cpu"))
    table = after_training(2, 12, (3,))
    restore = PolicyRestorer(world, "hsrl", 0, sessions)
    restore.policy(table, FilePolicySnapshots(folder / "serving"), table.points[0], [])


def make_world(launch: DataCatalog) -> MovingWorld:
    return MovingWorld.from_tables(
        **{name: launch.load(name) for name in WORLD},
        **{name: launch.load(name) for name in MADE if name in WORLD_MADE},
        catalogue=CATALOGUE,
        session=SESSION,
        candidates=CandidatesConfig(),
        seed=0,
    )


def test_a_policy_without_updates_that_follows_clicks_serves_between_changes(
    launch, tmp_path, monkeypatch
) -> None:
    """Of items of the first change it knows what it has served since; of newer ones nothing."""
    settings = AGENTS.hsrl.model_copy(update={"arrival_prior": 1.0})
    monkeypatch.setitem(globals(), "AGENTS", AGENTS.model_copy(update={"hsrl": settings}))
    told = []
    observe = HsrlAgent.observe

    def heard(self, observation, slates, clicks):
        told.append(len(slates))
        observe(self, observation, slates, clicks)

    monkeypatch.setattr(HsrlAgent, "observe", heard)
    served = {"modes": ("serving",), "serving_updates": (0,), "served_slates": 300}
    run(launch, tmp_path, catalogue=CATALOGUE.model_copy(update=served))
    # 12 updates of 4; then two steps of 256 before the first change, and again before the second
    assert told == [4] * 12 + [256] * 2 + [256] * 4

    world = make_world(launch)
    sessions = world.data.setting(SESSION, RewardConfig(), CandidatesConfig(), torch.device("cpu"))
    serving = ServingSessions(
        build_response_model(launch.load("simulator_train")),
        world.data.pool("train", SESSION),
        sessions,
        n_slates=300,
        seed=0,
    )
    restore = PolicyRestorer(world, "hsrl", 0, sessions, serving)
    known = []
    for point in after_training(2, 12, ()).points:
        table, kept = after_training(2, 12, ()), FilePolicySnapshots(tmp_path / "serving")
        weights = restore.policy(table, kept, point, []).policy_state()
        effects = weights["head.statistics.effects"]
        known.append(set(effects.nonzero()[:, 0].tolist()))
    assert known[0] == known[1] == set()
    assert known[2] and known[2] <= set(world.schedule.steps[0].added.tolist())


WORLD_MADE = {
    "catalogue_schedule",
    "launch_item_vectors",
    "launch_codebook",
    "launch_item_priors",
    "arriving_items",
}
