import pytest
import torch

from hsrl_pipeline.simulator.response.checkpoint import build_response_model
from hsrl_pipeline.simulator.response.constant import ConstantResponse
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse
from hsrl_pipeline.simulator.response.fidelity_metrics import area_under_curve
from hsrl_pipeline.simulator.response.log_batches import ResponseRows
from hsrl_pipeline.simulator.response.simulators import fit_simulator
from hsrl_pipeline.simulator.response.user_identity import append_user_index

from .response_world import COLD_ITEM, FAST, HISTORY, make_items, make_log, make_users, state_bytes


def fit(role="train", *, users=None, curves=None, **overrides):
    return fit_simulator(
        role,
        make_log(),
        users or make_users(),
        make_items(),
        FAST.model_copy(update={"max_epochs": 2, **overrides}),
        history_size=HISTORY,
        seed=3,
        on_metrics=lambda epoch, figures: None if curves is None else curves.append(figures),
    )


@pytest.fixture(scope="module")
def fitted():
    """Return the checkpoint and curves of both simulators."""
    curves = {"train": [], "eval": []}
    return {role: (fit(role, curves=points), points) for role, points in curves.items()}


def test_the_two_simulators_see_different_rows(fitted):
    train, evaluation = (build_response_model(fitted[role][0]) for role in ("train", "eval"))
    assert not train.items.seen[COLD_ITEM]
    assert evaluation.items.seen[COLD_ITEM]
    assert fitted["train"][0]["config"]["n_fitted_slates"] == 800
    assert fitted["eval"][0]["config"]["n_fitted_slates"] == 1000


def test_curves_are_named_by_role(fitted):
    assert set(fitted["eval"][1][0]) == {
        "simulator_eval_loss",
        "simulator_eval_holdout_log_loss",
        "simulator_eval_holdout_auc",
    }


def test_the_same_seed_gives_the_same_bytes(fitted):
    assert state_bytes(fit("eval")) == state_bytes(fitted["eval"][0])


def test_the_checkpoint_says_how_it_was_made(fitted):
    config = fitted["train"][0]["config"]
    assert (config["kind"], config["role"], config["seed"]) == ("learned", "train", 3)
    assert config["settings"]["max_epochs"] == 2
    assert len(config["holdout"]) == 1
    assert config["holdout"][0]["n_slates"] == 80


def test_an_ensemble_has_different_members():
    curves = []
    checkpoint = fit(n_members=2, max_epochs=1, curves=curves)
    model = build_response_model(checkpoint)
    assert isinstance(model, EnsembleResponse)
    first, second = model.members
    assert not torch.equal(first.base_user, second.base_user)
    assert "simulator_train_2_loss" in curves[-1]
    assert ResponseRows(make_log().test, make_users(), HISTORY).disagreement(model) > 0


def test_the_constant_simulator_answers_with_the_click_rate_of_the_training_split():
    checkpoint = fit(kind="constant")
    model = build_response_model(checkpoint)
    assert isinstance(model, ConstantResponse)
    assert model.probability == pytest.approx(make_log().train.labels.mean(), abs=1e-3)
    assert fit("eval", kind="constant", max_epochs=1)["config"]["kind"] == "learned"


def test_a_free_embedding_per_user_memorises():
    users, log = make_users(known_camp=False), make_log().train
    figures = {}
    for with_index in (False, True):
        checkpoint = fit(users=users, user_id_embedding=with_index, max_epochs=5, patience=5)
        model = build_response_model(checkpoint)
        rows = ResponseRows(log, append_user_index(users) if with_index else users, HISTORY)
        figures[with_index] = area_under_curve(rows.log_odds(model), log.labels)
    assert figures[True] > figures[False] + 0.05
