import json
import pickle
import shutil
from pathlib import Path

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.io.atomic_datasets import AtomicJSONDataset, AtomicParquetDataset
from hsrl_pipeline.io.checkpoint_dataset import CheckpointDataset
from hsrl_pipeline.io.codebook_dataset import CodebookDataset
from hsrl_pipeline.provenance import with_provenance
from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.residual_quantizer import QuantizerSettings, fit_residual_quantizer
from hsrl_pipeline.simulator.response.recorded import record_answers

from ..pipelines.offline_eval_inputs import INFO, N_ITEMS, SLATE, make_inputs, make_personal

ID = "hsrl_pipeline/SlateRec-v0"
SHORT = {"session": {"history_size": 8, "horizon": 6}}
CONF = Path(__file__).parents[2] / "conf"
ENTRIES = {
    **dict.fromkeys(("items", "users", "slates"), ("AtomicParquetDataset", "03_primary")),
    "timeline": ("AtomicParquetDataset", "04_feature"),
    "item_priors": ("AtomicParquetDataset", "05_model_input"),
    "dataset_info": ("AtomicJSONDataset", "03_primary"),
    "item_vectors": ("CheckpointDataset", "04_feature"),
    "codebook": ("CodebookDataset", "05_model_input"),
    **dict.fromkeys(("simulator_train", "simulator_eval"), ("CheckpointDataset", "06_models")),
}
TYPES = {
    kind.__name__: kind
    for kind in (AtomicJSONDataset, AtomicParquetDataset, CheckpointDataset, CodebookDataset)
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project's own parameters over small artifacts of the dataset ``synthetic``."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(CONF, root / "conf", ignore=shutil.ignore_patterns("catalog*"))
    inputs = make_inputs()
    vectors = inputs["item_vectors"]["state"]["vectors"].numpy()
    quantizer = fit_residual_quantizer(vectors[1:], QuantizerSettings((6, 6)), seed=0)
    inputs["codebook"] = Codebook.build(
        quantizer,
        vectors,
        metadata={
            "dataset_version": INFO["version"],
            "item_vectors_version": inputs["item_vectors"]["config"]["version"],
        },
    )
    catalog = {}
    for name, (kind, folder) in ENTRIES.items():
        TYPES[kind](filepath=str(root / f"data/{folder}/synthetic/{name}")).save(inputs[name])
        module = TYPES[kind].__module__
        path = f"data/{folder}/${{globals:dataset}}/{name}"
        catalog[name] = {"type": f"{module}.{kind}", "filepath": path}
    (root / "conf/base/catalog.yml").write_text(json.dumps(catalog))
    return root


def make(project, **options):
    return gymnasium.make(ID, project=project, parameters=SHORT, **options)


@pytest.mark.parametrize("simulator", ["train", "eval"])
def test_one_line_makes_an_environment_of_a_trained_project(project, simulator):
    env = make(project, simulator=simulator)
    check_env(env.unwrapped, skip_render_check=True)
    observation, _ = env.reset(seed=1)
    assert observation["history"].shape == (8,)
    assert env.action_space.sample().shape == (SLATE,)


@pytest.mark.parametrize("actions", ["items", "tokens", "vector"])
@pytest.mark.parametrize("observations", ["dict", "features"])
def test_every_combination_plays_and_pickles(project, actions, observations):
    env = make(project, actions=actions, observations=observations)
    env.reset(seed=1)
    env.action_space.seed(0)
    twin = pickle.loads(pickle.dumps(env))
    for _ in range(3):
        action = env.action_space.sample()
        assert env.step(action)[1] == twin.step(action)[1]


def test_many_sessions_come_from_the_same_id(project):
    env = gymnasium.make_vec(
        ID,
        num_envs=16,
        vectorization_mode="vector_entry_point",
        project=project,
        actions="tokens",
        observations="features",
        tensors=True,
        parameters=SHORT,
    )
    observation, _ = env.reset(seed=3)
    assert isinstance(observation, torch.Tensor)
    _, rewards, _, _, _ = env.step(env.action_space.sample())
    assert rewards.shape == (16,)
    assert float(rewards.min()) >= -0.2 - 1e-6


def test_the_training_simulator_starts_from_training_users(project):
    def starts(**options):
        env = make(project, **options)
        return len(env.unwrapped.sessions._pool)

    assert starts(simulator="train") == 48
    assert starts(simulator="eval") == 12
    assert starts(simulator="eval", split="all") == 60


def test_overrides_reach_the_rules(project):
    parameters = {**SHORT, "candidates": {"exclude_shown": True}, "reward": {"miss_penalty": 1.0}}
    env = gymnasium.make(ID, project=project, parameters=parameters)
    observation, _ = env.reset(seed=0)
    assert observation["shown"].shape == (6 * SLATE,)
    assert env.unwrapped.sessions.rules.reward.miss_penalty == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"project": "/nowhere"}, "no project"),
        ({"dataset": "ml2m"}, "no dataset named 'ml2m'"),
        ({"dataset": "ml1m"}, "no dataset_info .* --pipeline ingestion --env ml1m"),
        ({"simulator": "test"}, "'test' is not one of train, eval"),
        ({"actions": "words"}, "'words' is not one of items, tokens, vector"),
        ({"observations": "pixels"}, "'pixels' is not one of dict, features"),
        ({"split": "dev"}, "'dev' is not one of train, test, all"),
    ],
)
def test_what_cannot_be_made_says_why(project, options, message):
    with pytest.raises(UserError, match=message):
        make(**({"project": project} | options))


def test_a_missing_simulator_names_its_pipeline(project, tmp_path):
    shutil.copytree(project, tmp_path / "copy")
    model = tmp_path / "copy/data/06_models/synthetic/simulator_eval"
    model.unlink()
    with pytest.raises(UserError, match=r"Run first: kedro run --pipeline simulator_training$"):
        make(tmp_path / "copy", simulator="eval")


def test_hyper_actions_have_the_width_of_the_item_vectors(project):
    env = make(project, actions="vector")
    assert env.action_space.shape == (4,)
    env.reset(seed=0)
    slate = env.step(np.ones(4, np.float32))[4]["slate"]
    assert len(set(slate.tolist())) == SLATE
    assert slate.max() <= N_ITEMS


@pytest.fixture
def judged_project(project, tmp_path):
    """The project with what the users 3 and 5 answered as evaluation simulator."""
    root = tmp_path / "judged"
    shutil.copytree(project, root)
    tables = make_inputs()
    pairs = [(user, item, user == 5) for user in (3, 5) for item in range(1, N_ITEMS + 1)]
    checkpoint = record_answers(
        pd.DataFrame(pairs, columns=["user_index", "item_index", "label"]),
        tables["users"],
        tables["items"],
        history_size=8,
        provenance={"role": "eval", "user_id_embedding": False},
    )
    checkpoint = with_provenance(checkpoint, INFO["version"])
    path = root / "data/06_models/synthetic/simulator_eval"
    CheckpointDataset(filepath=str(path)).save(checkpoint)
    return root


def test_recorded_answers_can_be_played_against(judged_project):
    env = make(judged_project, simulator="eval")
    check_env(env.unwrapped, skip_render_check=True)
    for seed in range(6):
        observation, _ = env.reset(seed=seed)
        assert observation["user_dense"].shape == (1,)
        user = int(env.unwrapped.sessions.users[0])
        _, reward, *_ = env.step(np.arange(1, SLATE + 1))
        assert reward == pytest.approx({3: -0.2, 5: 1.0}[user])


def test_recorded_answers_have_people_of_their_own(judged_project):
    with pytest.raises(UserError, match="do not start from the split 'test'"):
        make(judged_project, simulator="eval", split="test")


def test_users_without_training_rows_are_met_with_what_they_answered_before(project, tmp_path):
    shutil.copytree(project, tmp_path / "p")
    path = tmp_path / "p/data/06_models/synthetic/simulator_train"
    CheckpointDataset(filepath=str(path)).save(make_personal(1, known=range(1, 7)))

    def numbers(**overrides):
        parameters = SHORT | {"evaluation": overrides}
        options = {"simulator": "train", "split": "test", "parameters": parameters}
        return gymnasium.make(
            ID, project=tmp_path / "p", **options
        ).unwrapped.sessions._pool.numbers

    # the users 7 and 8 have 8 and 4 test slates; the first of each has nothing before it
    assert numbers().tolist() == [7, *range(9, 16), 8, *range(16, 19)]
    assert numbers(infer_tastes=False) is None


ALWAYS = np.arange(1, SLATE + 1)


def course(env, steps=12):
    """Return users and rewards of a constant slate over several sessions."""
    told = []
    _, info = env.reset()
    for _ in range(steps):
        _, reward, terminated, truncated, step_info = env.step(ALWAYS)
        told.append((info["user_index"], reward, step_info["clicks"].tolist()))
        if terminated or truncated:
            _, info = env.reset()
    return told


class TestSeeds:
    def test_environments_without_a_seed_are_no_copies(self, project):
        courses = [course(make(project)) for _ in range(4)]
        assert len({repr(told) for told in courses}) == 4

    @pytest.mark.parametrize("vectorization_mode", ["sync", "vector_entry_point"])
    def test_sub_environments_without_a_seed_differ(self, project, vectorization_mode):
        def first_clicks():
            envs = gymnasium.make_vec(
                ID,
                num_envs=6,
                vectorization_mode=vectorization_mode,
                project=project,
                parameters=SHORT,
            )
            _, infos = envs.reset()
            clicks = [envs.step(np.tile(ALWAYS, (6, 1)))[4]["clicks"] for _ in range(3)]
            rows = [
                (infos["user_index"][row], *(c[row].tolist() for c in clicks)) for row in range(6)
            ]
            return [repr(row) for row in rows]

        first, second = first_clicks(), first_clicks()
        assert len(set(first)) > 1
        assert first != second

    def test_equal_seeds_repeat_and_others_do_not(self, project):
        one, twin, other = (course(make(project, seed=seed)) for seed in (5, np.int64(5), 6))
        assert one == twin
        assert one != other

    def test_the_seed_of_make_is_that_of_reset(self, project):
        _, info = make(project).reset(seed=5)
        assert course(make(project, seed=5), 4)[0][0] == info["user_index"]

    def test_a_reset_without_a_seed_goes_on_with_the_stream(self, project):
        env, twin = make(project), make(project)
        env.reset(seed=5)
        twin.reset(seed=5)
        one, two = course(env, 30), course(twin, 30)
        assert one == two
        assert len({user for user, *_ in one}) > 1

    @pytest.mark.parametrize("seed", [1.0, -1, True, "1"])
    def test_what_is_no_seed_is_refused(self, project, seed):
        with pytest.raises(UserError, match=r"is no seed \(seed\)"):
            make(project, seed=seed)


class TestStale:
    @pytest.fixture
    def copy(self, project, tmp_path):
        shutil.copytree(project, tmp_path / "copy")
        return tmp_path / "copy"

    def new_dataset(self, copy):
        path = copy / "data/03_primary/synthetic"
        (path / "dataset_info").write_text(json.dumps({**INFO, "version": "new"}))
        for name in ("items", "users"):
            frame = pd.read_parquet(path / name)
            frame.attrs["dataset_version"] = "new"
            frame.to_parquet(path / name)

    def test_a_simulator_of_another_dataset_is_no_environment(self, copy):
        self.new_dataset(copy)
        said = (
            r"^simulator_train was made from dataset version 0123456789ab, this is new. "
            r"Run first: kedro run --pipeline simulator_training$"
        )
        for make_any in (make, lambda copy: gymnasium.make_vec(ID, num_envs=2, project=copy)):
            with pytest.raises(UserError, match=said):
                make_any(copy)

    def test_tables_and_simulator_are_named_at_once(self, copy):
        path = copy / "data/03_primary/synthetic/dataset_info"
        path.write_text(json.dumps({**INFO, "version": "new"}))
        with pytest.raises(UserError, match=r"^users, items, simulator_eval were made from"):
            make(copy, simulator="eval")

    def test_codes_of_other_vectors_are_no_actions(self, copy):
        vectors = CheckpointDataset(filepath=str(copy / "data/04_feature/synthetic/item_vectors"))
        kept = vectors.load()
        other = {"config": {}, "state": {"vectors": kept["state"]["vectors"] * 2}}
        vectors.save(with_provenance(other, INFO["version"]))
        make(copy)
        with pytest.raises(UserError, match="codebook was made from item vectors version"):
            make(copy, actions="tokens", observations="features")

    def test_codes_of_another_dataset_are_no_actions(self, copy):
        self.new_dataset(copy)
        path = copy / "data/06_models/synthetic/simulator_train"
        simulator = CheckpointDataset(filepath=str(path))
        simulator.save(with_provenance(simulator.load(), "new"))
        make(copy)
        with pytest.raises(UserError, match=r"codebook was made .*--pipeline sid_tokenization$"):
            make(copy, actions="tokens")


def test_bad_overrides_are_one_message(project):
    with pytest.raises(UserError, match="'sesion': did you mean 'session'"):
        gymnasium.make(ID, project=project, parameters={"sesion": {"horizon": 3}})
    with pytest.raises(UserError, match=r"'session.horizon' is 0"):
        gymnasium.make(ID, project=project, parameters={"session": {"horizon": 0}})
