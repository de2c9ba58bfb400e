import math

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from hsrl_pipeline.config.agent import REFERENCE_NAMES, AgentConfig
from hsrl_pipeline.config.evaluation import EvaluationConfig
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.evaluation import kept_rollouts, references
from hsrl_pipeline.io.atomic_datasets import AtomicCSVDataset
from hsrl_pipeline.io.figure_dataset import AtomicFigureDataset
from hsrl_pipeline.io.reference_records_dataset import ReferenceRecordsDataset
from hsrl_pipeline.io.shared_tables import KeyedCsvDataset, SessionDataset, SummaryDataset
from hsrl_pipeline.pipelines.offline_eval import create_pipeline
from hsrl_pipeline.simulator.response.recorded import record_answers

from .offline_eval_inputs import N_ITEMS, SESSION, make_inputs, make_personal, make_truth

TABLES = (
    "evaluation_steps",
    "evaluation_users",
    "policy_differences",
    "policy_truth",
    "simulator_agreement",
    "train_eval_gap",
)


def run(
    folder,
    *,
    seed=0,
    inputs=None,
    compare_with="static_slate",
    evaluation_seed=0,
    candidates=None,
    figures=False,
    **evaluation,
):
    """Run the pipeline with its tables in a folder and return the catalog.

    Figures take as long as all else and are drawn where a test is about them.
    """
    settings = {"n_episodes": 60, "n_resamples": 100, "split": "all", "device": "cpu"}
    settings["seed"] = evaluation_seed
    parameters = {
        "agent": AgentConfig(name="sl"),
        "evaluation": EvaluationConfig(compare_with=compare_with, **(settings | evaluation)),
        "session": SESSION,
        "reward": RewardConfig(),
        "candidates": candidates or CandidatesConfig(),
        "seed": seed,
    }
    datasets = {
        **{
            name: MemoryDataset(value, copy_mode="assign")
            for name, value in (inputs or make_inputs()).items()
        },
        **{f"params:{name}": MemoryDataset(value) for name, value in parameters.items()},
        "summary": SummaryDataset(filepath=str(folder / "summary.csv")),
        "evaluation_sessions": SessionDataset(filepath=str(folder / "sessions.parquet")),
        "evaluation_metrics": MemoryDataset(),
        "simulator_agreement_metrics": MemoryDataset(),
        "reference_records": ReferenceRecordsDataset(filepath=str(folder / "references")),
        **{
            name: KeyedCsvDataset(
                filepath=str(folder / f"{name}.csv"), keys=["policy", "seed", "regime"]
            )
            for name in ("ranking_summary", "off_policy_summary")
        },
        **{
            name: AtomicCSVDataset(filepath=str(folder / name), save_args={"index": False})
            for name in TABLES
        },
        **{
            name: AtomicFigureDataset(filepath=str(folder / f"{name}.png"))
            for name in ("reward_by_step_plot", "policy_differences_plot")
        },
    }
    catalog = DataCatalog(datasets)
    pipeline = create_pipeline()
    if not figures:
        pipeline -= pipeline.only_nodes("offline_eval.plot_evaluation")
    SequentialRunner().run(pipeline, catalog)
    return catalog


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return run(tmp_path_factory.mktemp("eval"), figures=True)


def test_the_summary_has_the_agent_and_the_five_references_on_both_simulators(catalog):
    summary = catalog.load("summary")
    assert len(summary) == 12
    assert set(summary["policy"]) == {"sl", *REFERENCE_NAMES}
    assert set(summary["simulator"]) == {"train", "eval"}
    assert (summary["n_episodes"] == 60).all()
    assert (summary["total_reward_ci_low"] <= summary["total_reward"]).all()
    assert (summary["total_reward"] <= summary["total_reward_ci_high"]).all()
    assert (summary["depth_ci_low"] <= summary["depth"]).all()
    assert summary["codebook_version"].eq("c0deb00c").all()
    assert summary["simulator_version"].nunique() == 2
    best = summary.query("simulator == 'eval'").set_index("policy")["total_reward"]
    assert best.idxmax() == "greedy_eval_simulator"


def test_tracked_figures_are_those_of_the_evaluation_simulator(catalog):
    metrics = catalog.load("evaluation_metrics")
    rows = catalog.load("summary").set_index(["policy", "simulator"])
    for name in ("total_reward", "total_reward_ci_low", "depth", "depth_ci_high", "coverage"):
        assert metrics[name] == pytest.approx(rows.loc[("sl", "eval"), name])
    assert metrics["train_total_reward"] == pytest.approx(rows.loc[("sl", "train"), "total_reward"])
    assert metrics["train_eval_gap"] == pytest.approx(
        metrics["train_total_reward"] - metrics["total_reward"]
    )
    assert metrics["reference_popular_total_reward"] == pytest.approx(
        rows.loc[("popular", "eval"), "total_reward"]
    )
    assert all(isinstance(value, float) and math.isfinite(value) for value in metrics.values())


def test_sessions_steps_and_users_add_up_to_the_summary(catalog):
    summary = catalog.load("summary").set_index(["policy", "simulator"])
    sessions = catalog.load("evaluation_sessions")
    means = sessions.groupby(["policy", "simulator"])[["total_reward", "depth"]].mean()
    pd.testing.assert_series_equal(
        means["total_reward"].sort_index(), summary["total_reward"].sort_index()
    )
    steps = catalog.load("evaluation_steps").set_index(["policy", "simulator"])
    depth = (steps["survival"]).groupby(level=[0, 1]).sum()
    np.testing.assert_allclose(depth.sort_index(), summary["depth"].sort_index())
    users = catalog.load("evaluation_users").set_index(["policy", "simulator"])
    total = (users["n_sessions"] * users["total_reward"]).groupby(level=[0, 1]).sum() / 60
    np.testing.assert_allclose(total.sort_index(), summary["total_reward"].sort_index())


def test_differences_are_from_the_named_policy_and_gaps_between_simulators(catalog):
    differences = catalog.load("policy_differences")
    assert len(differences) == 10
    assert differences["compared_with"].eq("static_slate").all()
    gaps = catalog.load("train_eval_gap")
    assert set(gaps["policy"]) == {"sl", *REFERENCE_NAMES}
    assert catalog.exists("reward_by_step_plot")
    assert catalog.exists("policy_differences_plot")


def test_the_order_on_both_simulators_is_compared(catalog):
    row = catalog.load("simulator_agreement").iloc[0]  # a single agent has no order
    assert (row["policies"], row["n_policies"], row["current"]) == ("all", 6, True)
    assert -1.0 <= row["kendall_tau_ci_low"] <= row["kendall_tau"]
    metrics = catalog.load("simulator_agreement_metrics")
    assert metrics["simulator_agreement_all_kendall_tau"] == row["kendall_tau"]


def test_all_policies_rank_the_test_slates(catalog):
    ranking = catalog.load("ranking_summary").set_index("policy")
    assert set(ranking.index) == {"sl", *REFERENCE_NAMES}
    assert (ranking["dataset_version"] == "0123456789ab").all()
    assert (ranking["k"] == 3).all()
    assert (ranking["larger_k"] == 12).all()
    assert (ranking["n_slates"] + ranking["n_slates_without_click"] == 12).all()
    metrics = catalog.load("evaluation_metrics")
    assert metrics["recall_at_k"] == pytest.approx(ranking["recall"]["sl"])
    assert catalog.load("off_policy_summary").empty
    assert not any(name.startswith("off_policy") for name in metrics)


def test_click_rates_are_estimated_where_the_log_has_propensities(tmp_path):
    inputs = make_inputs()
    for slot in range(3):
        inputs["slates"][f"propensity_{slot}"] = np.float32(1 / N_ITEMS)
    catalog = run(tmp_path, inputs=inputs, off_policy_draws=3)
    table = catalog.load("off_policy_summary")
    assert len(table) == 7 * 4
    assert set(table["log_part"]) == {"test_slots"}
    assert set(table.query("acting == 'exploring'")["policy"]) == {"sl"}
    assert set(table["estimator"]) == {"direct", "ips", "snips", "doubly_robust"}
    own = table.query("policy == 'sl' and acting == 'greedy'").set_index("estimator")
    metrics = catalog.load("evaluation_metrics")
    assert metrics["off_policy_doubly_robust"] == pytest.approx(own["value"]["doubly_robust"])


def test_nobody_knows_the_truth_of_a_real_log(catalog):
    assert catalog.load("policy_truth").empty
    assert "true_total_reward" not in catalog.load("evaluation_metrics")


def test_known_truth_ranks_the_policies_beside_the_simulators(catalog, tmp_path):
    known = run(tmp_path, inputs=make_inputs() | {"synthetic_truth": make_truth()})
    truth = known.load("policy_truth")
    assert truth["policy"].iloc[0] == "greedy_truth"
    assert set(truth["policy"]) == {"greedy_truth", "sl", *REFERENCE_NAMES}
    ranked = truth.dropna().set_index("policy")
    assert ranked["true_rank"].sum() == 21.0  # of six policies; equal ones share a rank
    summary = known.load("summary").set_index(["policy", "simulator"])
    assert ranked.loc["sl", "eval_total_reward"] == pytest.approx(
        summary.loc[("sl", "eval"), "total_reward"]
    )
    metrics = known.load("evaluation_metrics")
    assert metrics["true_total_reward"] == pytest.approx(ranked.loc["sl", "true_total_reward"])
    assert -1.0 <= metrics["truth_rank_agreement"] <= 1.0
    paid = truth.set_index("policy")["true_total_reward"]
    way = paid["greedy_truth"] - paid["static_slate"]
    found = paid["greedy_train_simulator"] - paid["static_slate"]
    assert metrics["truth_share_found"] == pytest.approx(found / way)
    pd.testing.assert_frame_equal(known.load("summary"), catalog.load("summary"))


def test_the_same_run_gives_the_same_bytes(catalog, tmp_path):
    run(tmp_path)
    for name in ("summary.csv", "policy_differences", "train_eval_gap", "evaluation_steps"):
        first = catalog.get("summary")._filepath.parent / name
        assert (tmp_path / name).read_bytes() == first.read_bytes()


def count_rollouts(monkeypatch):
    """Return a list that fills with the names of the policies that are rolled out."""
    rolled_out, evaluate = [], kept_rollouts.evaluate_policy

    def counted(policy, *args):
        rolled_out.append(policy.name)
        return evaluate(policy, *args)

    monkeypatch.setattr(kept_rollouts, "evaluate_policy", counted)
    return rolled_out


def test_a_second_agent_is_judged_without_rolling_the_references_out_again(tmp_path, monkeypatch):
    inputs = make_inputs() | {"synthetic_truth": make_truth()}
    first = run(tmp_path, inputs=inputs).load("summary")
    rolled_out = count_rollouts(monkeypatch)
    monkeypatch.setattr(references, "fit_static_slate", None)
    again = run(tmp_path, inputs=inputs, seed=1)
    assert rolled_out == ["sl"] * 3
    other = again.load("summary").query("seed == 1").assign(seed=0).reset_index(drop=True)
    pd.testing.assert_frame_equal(other, first)
    truth = again.load("policy_truth")
    assert set(truth["policy"]) == {"greedy_truth", "sl", *REFERENCE_NAMES}


@pytest.mark.parametrize("change", [{"n_episodes": 61}, {"evaluation_seed": 5}, {"batch_size": 16}])
def test_references_are_rolled_out_anew_in_other_sessions(tmp_path, monkeypatch, change):
    run(tmp_path)
    rolled_out = count_rollouts(monkeypatch)
    run(tmp_path, **change)
    assert set(rolled_out) == {"sl", *REFERENCE_NAMES}


def test_a_damaged_file_of_sessions_is_made_anew(tmp_path, caplog):
    first = run(tmp_path).load("summary")
    damaged = sorted((tmp_path / "references").iterdir())[0]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:100])
    pd.testing.assert_frame_equal(run(tmp_path).load("summary"), first)
    assert "can't be read and is made anew" in caplog.text
    assert damaged.stat().st_size == len(whole)


def test_runs_of_other_seeds_meet_the_same_sessions_and_add_their_rows(tmp_path):
    run(tmp_path)
    again = run(tmp_path, seed=1, compare_with="popular")
    assert len(again.load("summary")) == 24
    sessions = again.load("evaluation_sessions")
    assert sessions["sessions_version"].nunique() == 1
    users = sessions.groupby(["policy", "seed", "simulator"])["user_index"].apply(list)
    assert users.map(tuple).nunique() == 1
    assert len(again.load("policy_differences")) == 20


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"agent": "td3"}, "agent 'td3', this run has 'sl'"),
        ({"codebook_version": "old"}, "trained_policy was made from codebook version old, this is"),
        ({"dataset_version": "old"}, "trained_policy was made from dataset version old, this is"),
    ],
)
def test_a_policy_of_another_run_is_refused(tmp_path, config, message):
    with pytest.raises(UserError, match=message):
        run(tmp_path, inputs=make_inputs(**config))
    assert not (tmp_path / "summary.csv").exists()


def test_rows_of_both_regimes_stand_side_by_side(tmp_path):
    run(tmp_path)
    both = run(tmp_path, candidates=CandidatesConfig(exclude_shown=True), figures=True)
    summary = both.load("summary").set_index(["regime", "policy", "simulator"]).sort_index()
    assert len(summary) == 24
    assert (summary.loc["no_repeats", "repetition_rate"] == 0.0).all()
    assert (summary.loc["repeats"].loc["popular", "repetition_rate"] > 0.0).all()
    assert len(both.load("policy_differences")) == 20
    agreement = both.load("simulator_agreement")
    assert agreement["regime"].tolist() == ["no_repeats", "repeats"]
    assert agreement["current"].tolist() == [True, False]
    assert set(both.load("evaluation_steps")["regime"]) == {"no_repeats"}


def test_a_policy_of_the_other_regime_is_judged_under_its_own_name(tmp_path):
    inputs = make_inputs(regime="no_repeats")
    with pytest.raises(UserError, match=r"of the regime no_repeats, not of repeats"):
        run(tmp_path, inputs=inputs)
    both = run(tmp_path, inputs=inputs, policy_regime="no_repeats")
    assert "sl@no_repeats" in set(both.load("summary")["policy"])
    own = run(tmp_path, inputs=inputs, candidates=CandidatesConfig(exclude_shown=True))
    assert set(own.load("summary").query("regime == 'no_repeats'")["policy"]) == {
        "sl",
        *REFERENCE_NAMES,
    }


def test_a_policy_never_evaluated_cannot_be_compared_with(tmp_path):
    with pytest.raises(UserError, match=r"agent\.name=hsrl"):
        run(tmp_path, compare_with="hsrl")
    assert (tmp_path / "summary.csv").exists()


def test_a_split_without_slates_is_refused(tmp_path):
    inputs = make_inputs()
    inputs["slates"] = inputs["slates"].assign(split="train")
    with pytest.raises(UserError, match="pool is empty"):
        run(tmp_path, inputs=inputs, split="test")


def recorded_inputs(users):
    """Return inputs whose evaluation simulator is what some users answered to every item."""
    inputs = make_inputs()
    pairs = [(user, item) for user in users for item in range(1, N_ITEMS + 1)]
    answers = pd.DataFrame(pairs, columns=["user_index", "item_index"])
    answers["label"] = ((answers["user_index"] + answers["item_index"]) % 3 == 0).astype(np.int8)
    inputs["simulator_eval"] = record_answers(
        answers,
        inputs["users"],
        inputs["items"],
        history_size=SESSION.history_size,
        provenance={"role": "eval", "user_id_embedding": False},
    )
    return inputs


def test_recorded_answers_judge_sessions_of_the_people_who_gave_them(catalog, tmp_path):
    judged = run(tmp_path, inputs=recorded_inputs([2, 5]))
    assert set(judged.load("evaluation_sessions")["user_index"]) == {2, 5}
    summary = judged.load("summary").set_index(["policy", "simulator"])
    # all of a slate that greedy_eval_simulator shows was liked, so that nobody ever leaves
    assert summary.loc[("greedy_eval_simulator", "eval"), "total_reward"] == SESSION.horizon
    others = summary.xs("eval", level="simulator").drop(index="greedy_eval_simulator")
    assert (others["total_reward"] < SESSION.horizon).all()
    versions = set(summary["sessions_version"])
    assert versions.isdisjoint(catalog.load("summary")["sessions_version"])


def test_other_answers_are_other_sessions(tmp_path):
    first = run(tmp_path / "a", inputs=recorded_inputs([2, 5])).load("summary")
    other = run(tmp_path / "b", inputs=recorded_inputs([2, 6])).load("summary")
    assert set(first["sessions_version"]).isdisjoint(other["sessions_version"])


def judged_with_tastes(folder, *, split, infer, truth=False):
    """Judge with a training simulator that knows the users 1 to 6, who alone have training rows."""
    inputs = make_inputs() | {"simulator_train": make_personal(1, known=range(1, 7))}
    if truth:
        inputs["synthetic_truth"] = make_truth()
    catalog = run(folder, inputs=inputs, split=split, infer_tastes=infer)
    rewards = catalog.load("evaluation_sessions").set_index(["policy", "simulator", "episode"])
    return rewards["total_reward"], set(catalog.load("summary")["sessions_version"])


def test_users_without_training_rows_are_inferred_from_before_their_sessions(tmp_path):
    off, old = judged_with_tastes(tmp_path / "off", split="test", infer=False)
    on, new = judged_with_tastes(tmp_path / "on", split="test", infer=True)
    assert old.isdisjoint(new)
    changed = (on != off).groupby(["policy", "simulator"]).any().unstack()
    assert changed["train"].all()
    # nobody but the reference that is told the taste does anything else
    assert changed.index[changed["eval"]].tolist() == ["greedy_train_simulator"]


def test_sessions_of_known_users_alone_are_what_they_were(tmp_path):
    off, old = judged_with_tastes(tmp_path / "off", split="train", infer=False)
    on, new = judged_with_tastes(tmp_path / "on", split="train", infer=True)
    assert old == new
    pd.testing.assert_series_equal(on, off)
