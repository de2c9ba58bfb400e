import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.slate_decoding import ShelfDecoder, _log1mexp, decode_items
from hsrl_pipeline.networks.semantic_items import ItemWalk, SemanticItems
from hsrl_pipeline.networks.trie_policy import TriePolicy
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie

N_ITEMS = 9
NOTHING_SHOWN = torch.zeros(1, 0, dtype=torch.int64)


def make_policy(shelves=None, n_items=N_ITEMS, scale=1.0, priors=None):
    rng = np.random.default_rng(0)
    codes = np.concatenate([np.full((1, 3), -1), rng.integers(0, 2, (n_items, 3))])
    torch.manual_seed(0)
    policy = TriePolicy(
        4,
        (2, 2, 2),
        CodeTrie(codes, (2, 2, 2), shelves, priors),
        item_vectors=torch.randn(n_items + 1, 3),
    )
    with torch.no_grad():
        for weight in policy.parameters():
            weight.mul_(scale)
    return policy.eval()


def item_probs(policy, state):
    with torch.no_grad():
        items = torch.arange(1, policy.trie.n_items + 1).expand(len(state), -1)
        return policy.item_log_prob(state, items).exp()


def among_remaining(policy, probs, shown):
    """Give the share of shown items to the others of their code; also the mass left on none."""
    probs, left_over = probs.clone(), 0.0
    codes = policy.trie.paths_of(torch.arange(1, policy.trie.n_items + 1))[:, -2]
    gone = torch.zeros(len(probs), dtype=torch.bool)
    gone[[item - 1 for item in shown if item]] = True
    for code in codes.unique():
        mass, stay = probs[codes == code].sum(), (codes == code) & ~gone
        if stay.any():
            probs[stay] *= mass / probs[stay].sum()
        else:
            left_over += mass
    return probs.masked_fill(gone, 0.0), left_over


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
        expected = policy.item_log_prob(state, catalogue)[0][drawn.items - 1]
    torch.testing.assert_close(drawn.log_prob, expected, rtol=1e-4, atol=1e-4)


def test_what_one_less_a_probability_leaves_is_exact_near_none_and_near_all():
    exponents = torch.tensor([1e-8, 1e-3, 0.5, 2.0, 20.0, 60.0])
    expected = np.log(-np.expm1(-exponents.double().numpy()))
    np.testing.assert_allclose(_log1mexp(exponents)[:4].numpy(), expected[:4], rtol=1e-5)
    # where log(1 - x) is -x
    np.testing.assert_allclose(_log1mexp(exponents)[4:].numpy(), -np.exp([-20, -60]), rtol=1e-5)


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
    for row, gone in enumerate(shown.tolist()):
        expected, left_over = among_remaining(policy, probs[row], gone)
        torch.testing.assert_close(expected[slates[row] - 1].log(), log_prob[row])
        if explore:
            torch.testing.assert_close(excluded[row, 0], torch.as_tensor(left_over))
    assert explore or excluded is None


def test_draws_keep_their_distribution_when_items_are_kept_out():
    policy, state, rows = make_policy(), torch.randn(1, 4), 10_000
    shown = torch.tensor([[2, 9, 0]]).expand(rows, -1)
    slates, log_prob, excluded = ShelfDecoder(policy, 2, 2).decode(
        state.expand(rows, -1), shown, draw=True, generator=torch.Generator().manual_seed(0)
    )
    probs, left_over = among_remaining(policy, item_probs(policy, state)[0], [2, 9])
    torch.testing.assert_close(excluded[0, 0], torch.as_tensor(left_over))
    probs = probs / probs.sum()
    shares = torch.bincount(slates[:, 0], minlength=N_ITEMS + 1)[1:] / rows
    assert (shares - probs).abs().max() < 0.02
    positions = ShelfDecoder(policy, 2, 2).positions_log_prob(log_prob, excluded)
    first, second = slates[0] - 1
    expected = torch.stack([probs[first], probs[second] / (1 - probs[first])]).log()
    torch.testing.assert_close(positions[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("priors", [None, np.linspace(-1, 1, 61, dtype=np.float32)])
@pytest.mark.parametrize("n_shown", [1, 20, 50])
def test_greedy_slates_without_shown_items_are_those_of_a_full_search(priors, n_shown):
    rng = np.random.default_rng(n_shown)
    codes = np.concatenate([np.full((1, 3), -1), rng.integers(0, 4, (60, 3))])
    torch.manual_seed(1)
    trie = CodeTrie(codes, (4, 4, 4), None, priors)
    policy = TriePolicy(4, (4, 4, 4), trie, item_vectors=torch.randn(61, 3)).eval()
    state = torch.randn(12, 4) * 3
    shown = torch.stack([torch.randperm(60)[:n_shown] + 1 for _ in range(12)])
    shown = torch.nn.functional.pad(shown, (3, 5))
    with torch.no_grad():
        slates, log_prob, _ = ShelfDecoder(policy, 6, 16).decode(state, shown, draw=False)
        everything = torch.arange(1, 61).expand(12, -1)
        scores = policy.item_log_prob(state, everything, shown)
    expected = []
    for row, gone in zip(scores, shown.tolist(), strict=True):
        kept = [item for item in range(1, 61) if item not in gone]
        expected.append(sorted((float(row[item - 1]) for item in kept), reverse=True)[:6])
    torch.testing.assert_close(log_prob, torch.tensor(expected))
    for slate, gone in zip(slates.tolist(), shown.tolist(), strict=True):
        assert len(set(slate) - set(gone)) == 6


def test_prefixes_that_lost_their_likely_items_do_not_take_the_place_of_others():
    """Six first codes of three items; of four of them the two likeliest were shown."""
    rows, generator = 20_000, torch.Generator().manual_seed(0)
    codes = np.array([[-1, -1], *itertools.product(range(6), range(3))])
    torch.manual_seed(0)
    trie = CodeTrie(codes, (6, 3))
    policy = TriePolicy(2, (6, 3), trie, item_vectors=None, context_update="none").eval()
    with torch.no_grad():
        policy.heads[0].bias.copy_(torch.tensor([2.0, 2.0, 2.0, 2.0, 0.0, 0.0]))
        policy.heads[1].bias.copy_(torch.tensor([2.0, 2.0, -1.0]))
        shown = torch.tensor([[1, 2, 4, 5, 7, 8, 10, 11]])
        state = torch.zeros(1, 2)
        probs = policy.item_log_prob(state, torch.arange(1, 19).unsqueeze(0))[0].exp()
        probs[shown[0] - 1] = 0.0
        probs = probs / probs.sum()
        drawn, _, _ = ShelfDecoder(policy, 2, 2).decode(
            state.expand(rows, -1), shown.expand(rows, -1), draw=True, generator=generator
        )
        best, _, _ = ShelfDecoder(policy, 2, 2).decode(state, shown, draw=False)
    second = (probs.unsqueeze(1) * probs / (1 - probs.unsqueeze(1))).fill_diagonal_(0.0).sum(0)
    for position, expected in enumerate((probs, second)):
        shares = torch.bincount(drawn[:, position], minlength=19)[1:] / rows
        assert (shares - expected).abs().max() < 0.015
    torch.testing.assert_close(probs[best[0] - 1], probs.topk(2).values)


@pytest.mark.parametrize("explore", [False, True])
def test_nothing_shown_yet_is_the_same_as_nothing_kept_out(explore):
    policy, state = make_policy(), torch.randn(20, 4)
    decoder, found = ShelfDecoder(policy, 4, 4), []
    for shown in (torch.zeros(20, 0, dtype=torch.int64), torch.zeros(20, 7, dtype=torch.int64)):
        generator = torch.Generator().manual_seed(0)
        found.append(decoder.decode(state, shown, draw=explore, generator=generator))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][2] is None
    assert found[1][2] is None or not found[1][2].any()


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


# Items 1, 2 and 4 share a code, 5 and 6 another; 3 is alone.
GROUPS = np.array([[-1, -1], [0, 0], [0, 0], [0, 1], [0, 0], [1, 0], [1, 0]])
PRIORS = np.log(np.array([1, 1, 6, 5, 3, 1, 4], np.float32))


def trie_policy(priors, shelves=None):
    torch.manual_seed(3)
    trie = CodeTrie(GROUPS, (2, 2), shelves, priors)
    return TriePolicy(4, (2, 2), trie, item_vectors=torch.randn(7, 3)).eval()


def walk(priors, shelves=None):
    log_probs = [torch.tensor([row]).log() for row in ([0.55, 0.45], [0.7, 0.3])]
    return ItemWalk(SemanticItems(GROUPS, (2, 2), shelves, priors), log_probs)


def code_probs(policy, state):
    """Probabilities of the three codes, and for each the items with their weights."""
    with torch.no_grad():
        if isinstance(policy, ItemWalk):
            odds = torch.tensor([0.55 * 0.7, 0.55 * 0.3, 0.45 * 0.7])
            return odds / odds.sum()
        first, _, _ = policy.choose(1, state, torch.zeros(1, dtype=torch.int64))
        context = policy.refine(1, state, torch.tensor([0]))
        second, _, _ = policy.choose(2, context, torch.tensor([0]))
    first, second = first.exp().flatten(), second.exp().flatten()
    return torch.stack([first[0] * second[0], first[0] * second[1], first[1]])


def slates_by_hand(policy, state, weights, shown, size=2):
    """Return the probability of every ordered slate, by drawing item after item."""
    items = {}
    for code, members in zip(code_probs(policy, state).tolist(), ([1, 2, 4], [3], [5, 6]),
                             strict=True):  # fmt: skip
        free = [item for item in members if item not in shown]
        total = sum(weights[item] for item in free)
        items |= {item: code * weights[item] / total for item in free}
    slates = {}
    for slate in itertools.permutations(items, size):
        left, prob = sum(items.values()), 1.0
        for item in slate:
            prob *= items[item] / left
            left -= items[item]
        slates[slate] = prob
    return items, slates


@pytest.mark.parametrize("make", [trie_policy, walk])
@pytest.mark.parametrize("shown", [(), (2,), (2, 4), (3, 5, 6)])
@pytest.mark.parametrize("priors", [None, PRIORS])
def test_every_slate_of_a_tiny_catalogue_with_collisions(make, shown, priors):
    """Likelihoods, draws and greedy choice against a plain enumeration."""
    policy, state, rows = make(priors), torch.randn(1, 4), 20_000
    weights = [1.0] * 7 if priors is None else np.exp(priors).tolist()
    items, by_hand = slates_by_hand(policy, state, weights, shown)
    assert sum(by_hand.values()) == pytest.approx(1.0)
    gone = torch.tensor([[*shown, 0]]) if shown else NOTHING_SHOWN
    decoder = ShelfDecoder(policy, 2, 6)
    # likelihood of given slates, as of logged and replayed ones
    slates = torch.tensor(list(by_hand))
    with torch.no_grad():
        own = policy.item_log_prob(state, slates.view(1, -1), gone).view(-1, 2)
        excluded = None
        if shown:
            excluded = decoder.probability_of_shown(state, gone).expand(len(slates), -1)
        likelihood = decoder.positions_log_prob(own, excluded).sum(-1).exp()
    torch.testing.assert_close(likelihood, torch.tensor(list(by_hand.values())))
    # draws, and the likelihood that acting reports
    if make is walk:
        drawing = ShelfDecoder(_many_rows(policy, rows), 2, 6)
    else:
        drawing = decoder
    with torch.no_grad():
        drawn, log_prob, excluded = drawing.decode(
            state.expand(rows, -1), gone.expand(rows, -1), draw=True,
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
    reported = drawing.positions_log_prob(log_prob, excluded).sum(-1).exp()
    counts = Counter(map(tuple, drawn.tolist()))
    assert counts.keys() <= by_hand.keys()
    for slate, prob in by_hand.items():
        share = counts[slate] / rows
        assert share == pytest.approx(prob, abs=4.5 * (prob / rows) ** 0.5 + 1e-4)
    expected = torch.tensor([by_hand[tuple(slate)] for slate in drawn.tolist()])
    torch.testing.assert_close(reported, expected, rtol=1e-4, atol=1e-5)
    # greedy: the slate of highest likelihood; equal priors leave ties
    with torch.no_grad():
        best, _, _ = decoder.decode(state, gone, draw=False)
    assert by_hand[tuple(best[0].tolist())] == pytest.approx(max(by_hand.values()))
    assert [items[item] for item in best[0].tolist()] == pytest.approx(
        sorted(items.values(), reverse=True)[:2]
    )


def _many_rows(policy, rows):
    log_probs = [part.expand(rows, -1) for part in policy._log_probs]
    return ItemWalk(policy._items, log_probs)


@pytest.mark.parametrize("make", [trie_policy, walk])
def test_a_code_gives_all_its_items_before_the_next_while_there_is_room(make):
    """Paper, App. E: include all if capacity allows."""
    policy = make(PRIORS)
    decoder = ShelfDecoder(policy, 6, 6)
    with torch.no_grad():
        slates, _, _ = decoder.decode(torch.ones(1, 4), NOTHING_SHOWN, draw=False)
    order = slates[0].tolist()
    assert sorted(order) == [1, 2, 3, 4, 5, 6]
    assert [item for item in order if item in (1, 2, 4)] == [2, 4, 1]
    assert [item for item in order if item in (5, 6)] == [6, 5]


def test_collided_items_keep_to_their_shelf():
    shelves = np.array([0, 1, 2, 1, 1, 2, 2])
    policy = trie_policy(PRIORS, shelves)
    slates, _, _ = ShelfDecoder(policy, 4, 6).decode(
        torch.randn(50, 4), torch.tensor([[4, 5]]).expand(50, -1), draw=True
    )
    assert torch.from_numpy(shelves)[slates].tolist() == [[1, 1, 2, 2]] * 50
    assert not torch.isin(slates, torch.tensor([4, 5])).any()
