import pytest

from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.training.run_identity import check_same_run, run_identity


def identity(seed=0, facts=None, **training):
    return run_identity(facts or {}, "a2c", TrainingConfig(**training), seed)


@pytest.mark.parametrize(
    "free",
    [
        {"n_iterations": 7},
        {"resume": True},
        {"device": "cpu"},
        {"collapse_items": 0.5},
        {"checkpoint_every": 1},
        {"return_decay": 0.5},
    ],
)
def test_what_leaves_the_result_alone_may_change(free):
    check_same_run(identity(), identity(**free))


@pytest.mark.parametrize(
    ("kept", "own", "message"),
    [
        (identity(), identity(seed=3), r"seed \(was 0, is 3\)"),
        (identity(), identity(return_steps=3), r"return_steps \(was null, is 3\)"),
        (identity(), identity(batch_size=16), r"training\.batch_size \(was 64, is 16\)"),
        (
            identity(final_learning_rate_share=0.5),
            identity(final_learning_rate_share=0.5, n_iterations=7),
            r"training\.n_iterations \(was 2000, is 7\)",
        ),
        (
            identity(facts={"agents": {"a2c": {"gamma": 0.9, "learning_rate": None}}}),
            identity(facts={"agents": {"a2c": {"gamma": 0.9, "learning_rate": 0.1}}}),
            r"settings: agents\.a2c\.learning_rate \(was null, is 0\.1\) \(training\.resume\)",
        ),
        (
            identity(facts={"codebook_version": "a", "dataset": "x"}),
            identity(facts={"codebook_version": "b", "dataset": "y"}),
            r'codebook_version \(was "a", is "b"\), dataset \(was "x", is "y"\)',
        ),
    ],
)
def test_what_decides_the_result_is_named_with_both_values(kept, own, message):
    with pytest.raises(UserError, match=message):
        check_same_run(kept, own)


def test_checkpoints_without_a_penalty_resume_whatever_version_wrote_them():
    assert "disagreement_penalty" not in identity(feedback="expected")["training"]
    own = identity(feedback="expected", disagreement_penalty=0.5)
    check_same_run(own, own)
    with pytest.raises(UserError, match=r"training\.disagreement_penalty \(was null, is 0\.5\)"):
        check_same_run(identity(feedback="expected"), own)


@pytest.mark.parametrize("layout", [{"state_layout": 1}, {"state_layout": None}])
def test_another_version_is_told_apart_from_other_settings(layout):
    with pytest.raises(UserError, match="another version"):
        check_same_run({**identity(seed=3), **layout}, identity())
