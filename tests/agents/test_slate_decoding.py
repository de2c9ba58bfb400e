import itertools

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.slate_decoding import ShelfDecoder, decode_items
from hsrl_pipeline.networks.trie_policy import TriePolicy
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie

N_ITEMS = 9
NOTHING_SHOWN = torch.zeros(1, 0, dtype=torch.int64)


def make_policy(shelves=None, n_items=N_ITEMS, scale=1.0):
    rng = np.random.default_rng(0)
    codes = np.concatenate([np.full((1, 3), -1), rng.integers(0, 2, (n_items, 3))])
    torch.manual_seed(0)
    policy = TriePolicy(
        4, (2, 2, 2), CodeTrie(codes, (2, 2, 2), shelves), item_vectors=torch.randn(n_items + 1, 3)
    )
    with torch.no_grad():
        for weight in policy.parameters():
            weight.mul_(scale)
    return policy.eval()


def item_probs(policy, state):
    with torch.no_grad():
        items = torch.arange(1, policy.trie.n_items + 1).expand(len(state), -1)
        return policy.item_likelihood(state, items).log_prob.exp()


def draw(policy, state, width, rows, seed=0):
    with torch.no_grad():
        return decode_items(
            policy,
            state.expand(rows, -1),
            torch.zeros(rows, dtype=torch.int64),
            width,
            draw=True,
            generator=torch.Generator().manual_seed(seed),
        )


def test_draws_have_the_plackett_luce_distribution():
    policy, state, rows = make_policy(), torch.randn(1, 4), 20_000
    probs = item_probs(policy, state)[0]
    drawn = draw(policy, state, 2, rows).items
    for first, second in itertools.permutations(range(N_ITEMS), 2):
        expected = float(probs[first] * probs[second] / (1 - probs[first]))
        share = float(((drawn[:, 0] == first + 1) & (drawn[:, 1] == second + 1)).float().mean())
        assert share == pytest.approx(expected, abs=4.5 * (expected / rows) ** 0.5 + 1e-4)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_draws_are_distinct_and_carry_their_likelihood(scale):
    policy, state = make_policy(scale=scale), torch.randn(1, 4)
    drawn = draw(policy, state, 6, 500)
    assert all(len(set(row)) == 6 for row in drawn.items.tolist())
    with torch.no_grad():
        catalogue = torch.arange(1, N_ITEMS + 1).unsqueeze(0)
        expected = policy.item_likelihood(state, catalogue).log_prob[0][drawn.items - 1]
    torch.testing.assert_close(drawn.log_prob, expected, rtol=1e-4, atol=1e-4)


def test_wide_enough_beam_finds_the_most_likely_items():
    policy, state = make_policy(), torch.randn(5, 4)
    with torch.no_grad():
        found = decode_items(policy, state, torch.zeros(5, dtype=torch.int64), 9, draw=False)
    probs = item_probs(policy, state)
    torch.testing.assert_close(found.log_prob.exp(), probs.sort(descending=True).values)
    torch.testing.assert_close(probs.gather(1, found.items - 1), found.log_prob.exp())


def test_equal_generators_draw_equal_slates():
    policy, state = make_policy(), torch.randn(1, 4)
    first, second, other = (draw(policy, state, 3, 50, seed).items for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_more_than_the_catalogue_is_padding():
    found = draw(make_policy(), torch.randn(1, 4), 30, 4)
    assert sorted(found.items[0].tolist())[-N_ITEMS:] == list(range(1, N_ITEMS + 1))
    assert found.items[found.log_prob == -torch.inf].eq(0).all()


@pytest.mark.parametrize("explore", [False, True])
def test_shown_items_are_kept_out(explore):
    policy, state = make_policy(), torch.randn(20, 4)
    shown = torch.stack([torch.randperm(N_ITEMS)[:5] + 1 for _ in range(20)])
    shown[:, 3:] = 0
    decoder = ShelfDecoder(policy, 4, 4)
    slates, log_prob, excluded = decoder.decode(state, shown, draw=explore)
    for slate, gone in zip(slates.tolist(), shown.tolist(), strict=True):
        assert len(set(slate)) == 4 and 0 not in slate
        assert not set(slate) & set(gone)
    probs = item_probs(policy, state)
    torch.testing.assert_close(probs.gather(1, slates - 1).log(), log_prob)
    kept_out = torch.stack(
        [row[[item - 1 for item in gone if item]].sum() for row, gone in
         zip(probs, shown.tolist(), strict=True)]
    )  # fmt: skip
    torch.testing.assert_close(excluded[:, 0], kept_out)


def test_draws_keep_their_distribution_when_items_are_kept_out():
    policy, state, rows = make_policy(), torch.randn(1, 4), 10_000
    shown = torch.tensor([[2, 9, 0]]).expand(rows, -1)
    slates, log_prob, excluded = ShelfDecoder(policy, 2, 2).decode(
        state.expand(rows, -1), shown, draw=True, generator=torch.Generator().manual_seed(0)
    )
    probs = item_probs(policy, state)[0]
    probs[[1, 8]] = 0.0
    probs = probs / probs.sum()
    shares = torch.bincount(slates[:, 0], minlength=N_ITEMS + 1)[1:] / rows
    assert (shares - probs).abs().max() < 0.02
    positions = ShelfDecoder(policy, 2, 2).positions_log_prob(log_prob, excluded)
    first, second = slates[0] - 1
    expected = torch.stack([probs[first], probs[second] / (1 - probs[first])]).log()
    torch.testing.assert_close(positions[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("explore", [False, True])
def test_every_shelf_gets_its_share(explore):
    shelves = np.array([0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
    decoder = ShelfDecoder(make_policy(shelves), 6, 8)
    slates, log_prob, _ = decoder.decode(
        torch.randn(10, 4), torch.zeros(10, 0, dtype=torch.int64), draw=explore
    )
    assert torch.from_numpy(shelves)[slates].tolist() == [[1, 1, 2, 2, 3, 3]] * 10
    assert all(len(set(row)) == 6 for row in slates.tolist())
    assert log_prob.shape == (10, 6)


def test_a_slate_that_does_not_divide_among_shelves_is_refused():
    with pytest.raises(ValueError, match="does not divide among 3 shelves"):
        ShelfDecoder(make_policy(np.array([0, 1, 1, 1, 2, 2, 2, 3, 3, 3])), 5, 8)
