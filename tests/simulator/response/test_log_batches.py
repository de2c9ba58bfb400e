import numpy as np
import pytest
import torch

from hsrl_pipeline.data.slate_log import UserTable
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.simulator.response import log_batches
from hsrl_pipeline.simulator.response.constant import ConstantResponse
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse
from hsrl_pipeline.simulator.response.log_batches import ResponseRows

from .response_world import HISTORY, N_ITEMS, make_log, make_users


def test_a_batch_holds_the_rows_asked_for():
    log, users = make_log(n_users=6), make_users(6)
    batch = ResponseRows(log, users, HISTORY).batch(np.array([20, 3]))
    assert batch.slates.tolist() == log.slates[[20, 3]].tolist()
    assert batch.labels.tolist() == log.labels[[20, 3]].tolist()
    assert batch.history.tolist() == log.histories(np.array([20, 3]), HISTORY).tolist()
    assert batch.user_categories.tolist() == users.categories[log.users[[20, 3]]].tolist()
    assert [field.dtype for field in batch] == [
        torch.int64,
        torch.float32,
        torch.int64,
        torch.int64,
        torch.float32,
    ]


def test_answers_come_in_row_order_whatever_the_batch(monkeypatch):
    class Counting(ConstantResponse):
        def logits(self, user_categories, user_dense, history, slates):
            assert not self.training
            return slates.to(torch.float32)

    log = make_log(n_users=6)
    model = Counting(0.5, N_ITEMS, HISTORY).train()
    monkeypatch.setattr(log_batches, "PREDICTION_BATCH", 7)
    answers = ResponseRows(log, make_users(6), HISTORY).log_odds(model)
    assert (answers == log.slates).all()
    assert model.training


def test_disagreement_is_averaged_over_all_rows(monkeypatch):
    monkeypatch.setattr(log_batches, "PREDICTION_BATCH", 7)
    ensemble = EnsembleResponse([ConstantResponse(p, N_ITEMS, HISTORY) for p in (0.3, 0.5)])
    rows = ResponseRows(make_log(n_users=6), make_users(6), HISTORY)
    assert rows.disagreement(ensemble) == pytest.approx(0.1)


def test_user_features_that_are_not_finite_name_the_user():
    dense = np.zeros((7, 2), np.float32)
    dense[4, 1] = np.nan
    users = UserTable(make_users(6).categories, dense, (3,))
    with pytest.raises(UserError, match="feature 1 of user 4"):
        ResponseRows(make_log(n_users=6), users, HISTORY)
