import numpy as np
import pytest
import torch

from hsrl_pipeline.simulator.response.attention import AttentionResponse, ResponseSizes
from hsrl_pipeline.simulator.response.constant import ConstantResponse
from hsrl_pipeline.simulator.response.fidelity_personal import (
    known_rows,
    measure_gains,
    personal_log_odds,
    taste_agreement,
)
from hsrl_pipeline.simulator.response.log_batches import ResponseRows
from hsrl_pipeline.simulator.response.personal import PersonalResponse

from .response_world import HISTORY, N_ITEMS, make_log, make_users

USERS = make_users(known_camp=False)
LOG = make_log()
N_USERS = 200


def make_model(strength=2.0, known=N_USERS):
    """Return users who like the items of their camp and differ in nothing else."""
    sizes = ResponseSizes(N_ITEMS, (3,), 0, 0, HISTORY, 4, 1)
    counts = np.full(N_ITEMS + 1, 100)
    base = AttentionResponse(sizes, np.zeros((N_ITEMS + 1, 0), np.float32), counts // 2, counts)
    torch.nn.init.zeros_(base.items.target_projection.weight)
    torch.nn.init.zeros_(base.items.feature_bias.weight)
    torch.nn.init.zeros_(base.state_bias.weight)
    tastes = torch.zeros(N_USERS + 1, 2)
    tastes[1 : known + 1, 0] = strength * (1 - 2 * (torch.arange(1, known + 1) % 2))
    vectors = (1.0 - 2.0 * (torch.arange(N_ITEMS + 1) % 2))[:, None]
    vectors[0] = 0.0
    return PersonalResponse(
        base,
        item_vectors=vectors,
        item_log_odds=torch.zeros(N_ITEMS + 1),
        precision=torch.tensor([0.25, 4.0]),
        scales=torch.ones(2),
        tastes=tastes,
    ).freeze()


def gains(model, regime):
    table = measure_gains(model, ResponseRows(LOG.test, USERS, HISTORY), LOG).set_index("regime")
    return table.loc[regime]


def test_the_personal_part_of_a_log_is_vector_times_vector():
    part = personal_log_odds(make_model(), LOG.test)
    same = LOG.test.slates % 2 == (LOG.test.users % 2)[:, None]
    assert part == pytest.approx(np.where(same, 2.0, -2.0))
    assert personal_log_odds(ConstantResponse(0.5, N_ITEMS, HISTORY), LOG.test) is None


def test_agreement_is_a_correlation_over_users_both_know():
    model = make_model()
    assert taste_agreement(model, make_model(5.0)) == pytest.approx(1.0)
    assert taste_agreement(model, make_model(-1.0, known=7)) == pytest.approx(-1.0)
    assert np.isnan(taste_agreement(model, make_model(known=0)))
    assert np.isnan(taste_agreement(model, ConstantResponse(0.5, N_ITEMS, HISTORY)))


def test_taste_is_worth_what_it_must_be():
    found = gains(make_model(), "repeats")
    assert found.known == pytest.approx(1 / (1 + np.exp(-2.0)), abs=1e-3)
    # Half of the users like what the other half does not: nothing suits everybody.
    assert found.static == pytest.approx(0.5, abs=0.06)
    assert found.without_taste == pytest.approx(0.5, abs=0.06)


def test_what_is_learned_lies_between_nothing_and_everything():
    found = gains(make_model(), "repeats")
    assert found.without_taste < found.inferred_in_session - 0.05
    assert found.inferred_in_session < found.inferred - 0.05
    assert found.inferred <= found.known + 1e-6
    # Five slates of five hold the 20 items that suit a user and 5 that do not.
    found = gains(make_model(), "no_repeats")
    liked = 1 / (1 + np.exp(-2.0))
    assert found.known == pytest.approx(0.8 * liked + 0.2 * (1 - liked), abs=1e-3)
    assert found.without_taste < found.inferred_in_session <= found.inferred <= found.known + 1e-6


def test_a_simulator_without_tastes_hides_nothing():
    found = gains(ConstantResponse(0.3, N_ITEMS, HISTORY), "no_repeats")
    assert found[["static", "without_taste", "inferred", "known"]].tolist() == pytest.approx(
        [0.3] * 4
    )


def test_a_row_is_known_if_its_users_taste_is():
    known = known_rows(make_model(known=3), LOG.test)
    assert known.tolist() == (LOG.test.users <= 3).tolist()
    assert known_rows(ConstantResponse(0.3, N_ITEMS, HISTORY), LOG.test).all()
