"""Simulators whose users have a taste of their own: fitted, saved, asked, rolled out."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.config.simulator import SimulatorConfig, UserTasteConfig
from hsrl_pipeline.evaluation.references import build_references
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting, evaluate_policy
from hsrl_pipeline.io.checkpoint_dataset import CheckpointDataset
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.response.checkpoint import build_response_model
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse
from hsrl_pipeline.simulator.response.fidelity_metrics import area_under_curve
from hsrl_pipeline.simulator.response.log_batches import ResponseRows
from hsrl_pipeline.simulator.response.personal import PersonalResponse
from hsrl_pipeline.simulator.response.recorded import with_user_numbers
from hsrl_pipeline.simulator.response.simulators import fit_simulator
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.simulator.user_pool import UserPool

from .response_world import (
    FAST,
    HISTORY,
    N_ITEMS,
    SLATE,
    make_items,
    make_log,
    make_users,
    state_bytes,
)

USERS = make_users(known_camp=False)
LOG = make_log()


def fit(role="train", **overrides):
    config = {"max_epochs": 2, "user_taste": True, "taste": UserTasteConfig(size=2), **overrides}
    return fit_simulator(
        role,
        LOG,
        USERS,
        make_items(content=False),
        FAST.model_copy(update=config),
        history_size=HISTORY,
        seed=3,
        on_metrics=lambda epoch, figures: None,
    )


@pytest.fixture(scope="module")
def checkpoint():
    return fit()


@pytest.fixture(scope="module")
def model(checkpoint):
    return build_response_model(checkpoint)


def observation(users):
    """Return users without features or history who have a number."""
    rows = len(users)
    empty = torch.zeros((rows, HISTORY), dtype=torch.int64)
    categories = torch.ones((rows, 1), dtype=torch.int64)
    nothing = Observation(categories, torch.zeros(rows, 0), empty, torch.zeros(rows).long())
    return with_user_numbers(nothing, torch.tensor(users))


def test_unseen_rows_of_known_users_are_told_better(model):
    plain = build_response_model(fit(user_taste=False))
    auc = [
        area_under_curve(ResponseRows(LOG.test, USERS, HISTORY).log_odds(each), LOG.test.labels)
        for each in (model, plain)
    ]
    assert isinstance(model, PersonalResponse)
    assert auc[0] > auc[1] + 0.02


def test_all_scores_agree_with_the_log_odds_of_slates(model):
    seen = observation([3, 8, 11])
    slates = torch.tensor([[1, 2, 3], [4, 5, 6], [39, 38, 37]])
    scores = model.scores_all(seen)
    assert scores.shape == (3, N_ITEMS + 1)
    assert torch.isneginf(scores[:, 0]).all()
    torch.testing.assert_close(scores.gather(1, slates), model.logits(*seen[:3], slates))


def test_only_users_with_rows_have_a_taste(model):
    rows = torch.tensor([0, 1, 200, 201, -1])
    assert model.knows(rows).tolist() == [False, True, True, False, False]
    strangers = observation([0, 201, -1])
    anonymous = strangers._replace(user_dense=strangers.user_dense[:, :0])
    torch.testing.assert_close(model.scores_all(strangers), model.base.scores_all(anonymous))
    assert not torch.allclose(
        model.scores_all(observation([1]))[:, 1:],
        model.base.scores_all(anonymous.rows(torch.tensor([0])))[:, 1:],
    )


def test_checkpoints_survive_the_disk(checkpoint, model, tmp_path):
    dataset = CheckpointDataset(filepath=str(tmp_path / "simulator.safetensors"))
    dataset.save(checkpoint)
    again = build_response_model(dataset.load())
    seen = observation([3, 8])
    assert torch.equal(again.scores_all(seen), model.scores_all(seen))
    assert dataset.load()["config"]["taste"][0]["held_out"] == "latest"


def test_the_same_seed_gives_the_same_bytes(checkpoint):
    assert state_bytes(fit()) == state_bytes(checkpoint)


def test_without_taste_nothing_of_it_is_in_the_checkpoint():
    plain = fit(user_taste=False, max_epochs=1)
    assert not {"user_taste", "taste"} & {*plain["config"], *plain["config"]["settings"]}
    assert all(name.startswith("member_0.") for name in plain["state"])


def test_an_ensemble_knows_its_users_too():
    ensemble = build_response_model(fit("eval", n_members=2, max_epochs=1))
    assert isinstance(ensemble, EnsembleResponse)
    assert ensemble.identified
    log_odds = ResponseRows(LOG.test, USERS, HISTORY).log_odds(ensemble)
    assert area_under_curve(log_odds, LOG.test.labels) > 0.7


def test_members_who_know_and_members_who_do_not_make_no_ensemble(model):
    with pytest.raises(ValueError, match="must know the user"):
        EnsembleResponse([model, model.base])


def test_there_is_one_way_to_know_a_user():
    with pytest.raises(ValidationError, match="choose one"):
        SimulatorConfig(user_taste=True, user_id_embedding=True)


@pytest.fixture(scope="module")
def setting():
    return SessionSetting(
        session=SessionConfig(history_size=HISTORY),
        reward=RewardConfig(),
        candidates=CandidatesConfig(),
        slate_size=SLATE,
        n_items=N_ITEMS,
        shelves=None,
        device=torch.device("cpu"),
    )


def test_sessions_ask_the_user_and_tell_the_policy_nothing(model, setting):
    pool = UserPool.from_log(LOG.train, USERS, HISTORY)
    sessions = SlateSessions(model, pool, setting, batch_size=4, seed=0)
    result = sessions.step(torch.arange(1, SLATE + 1).expand(4, -1))
    assert result.observation.user_dense.shape == (4, 0)


def test_references_that_must_know_the_user_do(model, setting):
    evaluation = EvaluationSetting(
        pool=UserPool.from_log(LOG.test, USERS, HISTORY),
        sessions=setting,
        item_vectors=np.ones((N_ITEMS + 1, 2), np.float32),
        n_episodes=200,
    )
    selector = SlateSelector(N_ITEMS, SLATE, None, setting.device)
    clicks = np.zeros(N_ITEMS + 1, np.int64)
    references = build_references({"train": model, "eval": model}, clicks, selector, evaluation)
    earned = {
        policy.name: evaluate_policy(policy, model, evaluation).total_reward.mean()
        for policy in references
    }
    assert earned["greedy_train_simulator"] == earned["greedy_eval_simulator"]
    assert earned["greedy_train_simulator"] > earned["static_slate"] + 1.0
