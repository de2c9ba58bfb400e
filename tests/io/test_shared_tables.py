import multiprocessing

import pandas as pd
import pytest
from kedro.io import DatasetError

from hsrl_pipeline.io.shared_tables import KeyedCsvDataset, SessionDataset, SummaryDataset

FIXED = (
    "policy,seed,simulator,n_episodes,total_reward,total_reward_ci_low,total_reward_ci_high,"
    "depth,depth_ci_low,depth_ci_high,clicks_per_slot,coverage,repetition_rate,"
    "intra_list_diversity"
)


def make_rows(policy="hsrl", reward=1.0, seed=0, **extra):
    row = dict.fromkeys(SummaryDataset.COLUMNS, 0.1)
    row |= {"policy": policy, "seed": seed, "n_episodes": 10, "total_reward": reward} | extra
    return pd.DataFrame([row | {"simulator": name} for name in ("train", "eval")])


@pytest.fixture
def summary(tmp_path):
    return SummaryDataset(filepath=str(tmp_path / "deep" / "summary.csv"))


def test_columns_are_those_of_the_interface_in_order(summary):
    summary.save(make_rows(gini=0.5)[["gini", *reversed(SummaryDataset.COLUMNS)]])
    header = summary._filepath.read_text().splitlines()[0]
    assert header == f"{FIXED},regime,gini"


def test_a_run_replaces_its_own_rows_and_loses_no_others(summary):
    summary.save(make_rows("hsrl", 1.0))
    summary.save(make_rows("sl", 2.0))
    summary.save(make_rows("hsrl", 3.0, seed=1))
    summary.save(make_rows("hsrl", 4.0))
    table = summary.load()
    assert len(table) == 6
    rewards = table.set_index(["policy", "seed", "simulator"])["total_reward"]
    assert rewards["hsrl", 0, "eval"] == 4.0
    assert rewards["hsrl", 1, "train"] == 3.0
    assert rewards["sl", 0, "eval"] == 2.0


def test_regimes_do_not_replace_each_other(summary):
    summary.save(make_rows(reward=1.0, regime="repeats"))
    summary.save(make_rows(reward=2.0, regime="no_repeats"))
    summary.save(make_rows(reward=3.0, regime="repeats"))
    table = summary.load().query("simulator == 'eval'")
    assert table["regime"].tolist() == ["no_repeats", "repeats"]
    assert table["total_reward"].tolist() == [2.0, 3.0]


@pytest.mark.parametrize("default", ["repeats", "no_repeats"])
def test_rows_of_before_regimes_are_read_as_what_their_settings_were(tmp_path, default):
    path = tmp_path / "summary.csv"
    summary = SummaryDataset(filepath=str(path), earlier_no_repeats=default == "no_repeats")
    rows = [
        make_rows("popular", sessions_version="aa", repetition_rate=0.6),
        make_rows("random", sessions_version="aa", repetition_rate=0.0),
        make_rows("popular", sessions_version="bb", repetition_rate=0.0, seed=1),
        make_rows("popular", seed=2),
    ]
    pd.concat(rows).drop(columns="regime").to_csv(path, index=False)
    regimes = summary.load().query("simulator == 'eval'")["regime"]
    assert regimes.tolist() == ["repeats", "repeats", "no_repeats", default]
    summary.save(make_rows("popular", sessions_version="aa", regime="repeats"))
    assert len(summary.load()) == 8


def test_new_columns_are_added_and_old_rows_stay_without_them(summary):
    summary.save(make_rows("sl"))
    summary.save(make_rows("hsrl", codebook_version="0012e5"))
    summary.save(make_rows("td3"))
    table = summary.load().set_index(["policy", "simulator"])
    assert table.loc[("hsrl", "eval"), "codebook_version"] == "0012e5"
    assert pd.isna(table.loc[("sl", "eval"), "codebook_version"])


def test_digits_survive_any_number_of_runs(summary):
    value = 0.1 + 0.2
    summary.save(make_rows("hsrl", value))
    for seed in range(3):
        summary.save(make_rows("sl", seed=seed))
    assert (summary.load().query("policy == 'hsrl'")["total_reward"] == value).all()


def test_saving_twice_gives_the_same_bytes(summary):
    summary.save(pd.concat([make_rows("sl"), make_rows("hsrl")]))
    first = summary._filepath.read_bytes()
    summary.save(make_rows("sl"))
    assert summary._filepath.read_bytes() == first


def test_missing_columns_are_refused_and_nothing_is_written(summary):
    with pytest.raises(DatasetError, match="depth_ci_low"):
        summary.save(make_rows().drop(columns="depth_ci_low"))
    assert not summary.exists()


def test_a_damaged_table_is_refused_and_left_as_it_is(summary):
    summary.save(make_rows())
    summary._filepath.write_text("something,else\n1,2\n")
    with pytest.raises(DatasetError, match="lacks the columns policy, seed, simulator"):
        summary.save(make_rows())
    assert summary._filepath.read_text() == "something,else\n1,2\n"


def test_loading_before_any_run_names_the_file(summary):
    assert not summary.exists()
    with pytest.raises(DatasetError, match="does not exist"):
        summary.load()


def test_preview_is_a_table(summary):
    summary.save(make_rows())
    assert summary.preview()["columns"][0] == "policy"
    assert len(summary.preview()["data"]) == 2


def _save_many(path, policy):
    for seed in range(5):
        SummaryDataset(filepath=path).save(make_rows(policy, seed=seed))


def test_runs_in_parallel_lose_no_rows(tmp_path):
    path = str(tmp_path / "summary.csv")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_save_many, args=(path, name)) for name in ("a", "b", "c")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(SummaryDataset(filepath=path).load()) == 3 * 5 * 2


def test_a_lock_that_is_never_released_is_reported(summary, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr("hsrl_pipeline.io.shared_tables.LOCK_SECONDS", 0.05)
    summary.save(make_rows())
    lock = FileLock(summary._filepath.with_name(".summary.csv.lock"))
    with lock, pytest.raises(DatasetError, match="another run has been writing"):
        summary.save(make_rows())


def test_sessions_are_replaced_by_policy_seed_and_simulator(tmp_path):
    sessions = SessionDataset(filepath=str(tmp_path / "sessions.parquet"))

    def rows(policy, rewards):
        frame = pd.DataFrame({"total_reward": rewards, "episode": range(len(rewards))})
        constants = dict.fromkeys(SessionDataset.COLUMNS, 0) | {"policy": policy}
        constants |= {"simulator": "eval", "sessions_version": "a", "simulator_version": "b"}
        return frame.assign(**{k: v for k, v in constants.items() if k not in frame})

    sessions.save(rows("hsrl", [1.0, 2.0, 3.0]))
    sessions.save(rows("sl", [4.0]))
    sessions.save(rows("hsrl", [5.0, 6.0]))
    table = sessions.load()
    assert table["total_reward"].tolist() == [5.0, 6.0, 4.0]
    assert list(table.columns) == list(SessionDataset.COLUMNS)


def test_a_keyed_table_replaces_the_rows_of_its_own_keys_in_order(tmp_path):
    keys = ["policy", "seed"]
    table = KeyedCsvDataset(filepath=str(tmp_path / "off_policy.csv"), keys=keys)

    def rows(policy, *values):
        names = [f"estimator_{place}" for place in range(len(values))][::-1]
        frame = pd.DataFrame({"estimator": names, "value": values, "data_version": "012"})
        return frame.assign(policy=policy, seed=0)

    table.save(rows("sl", 0.1, 0.2).iloc[:0])
    assert table.load().empty
    table.save(rows("sl", 0.1, 0.2))
    table.save(rows("hsrl", 0.3))
    table.save(rows("sl", 0.4, 0.5))
    assert table.load()["value"].tolist() == [0.3, 0.4, 0.5]
    assert table.load()["estimator"].tolist() == ["estimator_0", "estimator_1", "estimator_0"]
    assert set(table.load()["data_version"]) == {"012"}
    assert table.preview()["columns"][:2] == keys
    with pytest.raises(DatasetError, match="needs the columns seed"):
        table.save(rows("sl", 0.1).drop(columns="seed"))
