"""Items of look-up scores: their priors, and who is left out for a while."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsrl_pipeline.networks.code_scores import CodeScores

from .test_code_scores import CODED, CODES, N_ITEMS, STATES, VECTORS, WIDTH, make_scores


def test_priors_tell_the_items_of_one_code_apart_and_no_others() -> None:
    priors = np.array([0, 5, 5, 5, 5, 5, 5, 1, 3], np.float32)
    plain = make_scores()(STATES)
    given = make_scores(item_priors=priors)(STATES)
    alone = [item for item in CODED if item < 7]
    torch.testing.assert_close(given[:, alone], plain[:, alone])
    shift = (given - plain)[:, 7:]
    torch.testing.assert_close(shift[:, 1] - shift[:, 0], torch.full((7,), 2.0))
    # the mean odds under the code are 1
    torch.testing.assert_close(shift.exp().mean(1), torch.ones(7))


def test_a_code_outside_its_vocabulary_is_refused() -> None:
    codes = CODES.copy()
    codes[3, 1] = 9
    with pytest.raises(ValueError, match="item 3 has code 9"):
        make_scores(codes)


@torch.no_grad()
@pytest.mark.parametrize("few", [True, False])
def test_an_unseen_item_has_neither_deviation_nor_statistics_and_an_absent_one_no_score(
    few: bool,
) -> None:
    scores = make_scores(arrival_prior=1.0)
    plain = make_scores()
    plain.load_state_dict(scores.state_dict(), strict=False)
    states = STATES[:2] if few else STATES
    whole = plain(states) + scores.statistics.effects / 0.5
    torch.testing.assert_close(scores(states), whole)
    absent, unseen = (torch.zeros(N_ITEMS + 1, dtype=torch.bool) for _ in "ab")
    absent[[2, 5]], unseen[[4, 7]] = True, True
    own = (scores.deviations + scores.statistics.effects) / 0.5
    expected = whole.clone()
    expected[:, unseen] -= own[unseen]
    expected[:, absent] = -torch.inf
    items = torch.tensor([[1, 4, 7]]).expand(len(states), -1)
    with pytest.raises(KeyError), scores.leaving_out(absent, unseen):
        torch.testing.assert_close(scores(states), expected)
        torch.testing.assert_close(scores.of_items(states, items), expected.gather(1, items))
        raise KeyError
    torch.testing.assert_close(scores(states), whole)


def test_an_item_with_a_code_of_its_own_is_scored_by_its_vector_alone_while_unseen() -> None:
    own_codes = np.arange(-1, N_ITEMS)[:, None]
    flat = CodeScores(
        WIDTH, own_codes, (N_ITEMS,), item_vectors=VECTORS, item_deviations=True, temperature=0.5
    )
    nobody, unseen = (torch.zeros(N_ITEMS + 1, dtype=torch.bool) for _ in "ab")
    unseen[3] = True
    with flat.leaving_out(nobody, unseen, own_codes=True):
        found = flat(STATES)
        found[:, 3].sum().backward()
    by_vector = flat.vector_query(STATES) @ VECTORS[3] / 0.5
    torch.testing.assert_close(found[:, 3], by_vector)
    assert not flat.heads[0].weight.grad.any() and flat.vector_query.weight.grad.any()
    seen = flat(STATES)
    torch.testing.assert_close(found[:, [1, 2, 4]], seen[:, [1, 2, 4]])
    assert not torch.allclose(found[:, 3], seen[:, 3])


@torch.no_grad()
def test_columns_are_those_of_the_look_ups_that_are_in_use() -> None:
    flat = CodeScores(WIDTH, np.arange(-1, N_ITEMS)[:, None], (N_ITEMS,))
    nobody, unseen = (torch.zeros(N_ITEMS + 1, dtype=torch.bool) for _ in "ab")
    unseen[3] = True
    every = [list(range(N_ITEMS + 1))]
    assert flat.look_up_columns().tolist() == every
    assert flat.look_up_columns() is flat.look_up_columns()
    with flat.leaving_out(nobody, unseen, own_codes=True):
        assert flat.look_up_columns().tolist() == [[0, 1, 2, 0, *range(4, N_ITEMS + 1)]]
    assert flat.look_up_columns().tolist() == every


@pytest.mark.parametrize("priors", [False, True])
def test_own_numbers_are_effects_by_the_temperature_and_priors(priors: bool) -> None:
    given = np.array([0, 5, 5, 5, 5, 5, 5, 1, 3], np.float32) if priors else None
    scores = make_scores(item_priors=given)
    expected = scores.deviations / 0.5
    if priors:
        # the mean odds of items 7 and 8, which share their codes, are 1
        centred = torch.tensor([1.0, 3.0]) - torch.tensor([1.0, 3.0]).exp().mean().log()
        expected = expected + torch.cat([torch.zeros(7), centred])
    torch.testing.assert_close(scores.own_numbers(), expected)
    items = torch.tensor([8, 2])
    torch.testing.assert_close(scores.own_scores(items), expected[items].detach())
    plain = make_scores(item_deviations=False)
    assert plain.own_scores(items) is None and not plain.own_numbers().any()
