import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hsrl_pipeline.networks.trie_policy import TriePolicy
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie

CODES = np.array([[-1, -1], [1, 0], [0, 2], [1, 0], [0, 1], [2, 2]])
ITEMS = torch.arange(1, 6)


def make_policy(**options):
    torch.manual_seed(0)
    return TriePolicy(4, (3, 4), CodeTrie(CODES, (3, 4)), **options)


def all_items(policy, state):
    return policy.item_log_prob(state, ITEMS.expand(len(state), -1)).exp()


@pytest.mark.parametrize("context_update", ["taken", "expected", "none"])
@pytest.mark.parametrize("vectors", [False, True])
def test_items_have_all_the_probability(context_update, vectors):
    policy = make_policy(
        context_update=context_update, item_vectors=torch.randn(6, 3) if vectors else None
    )
    probs = all_items(policy, torch.randn(7, 4))
    torch.testing.assert_close(probs.sum(-1), torch.ones(7))
    # items 1 and 3 share their code, hence its probability
    torch.testing.assert_close(probs[:, 0], probs[:, 2])


def test_likelihood_by_hand():
    policy = make_policy()
    state = torch.randn(1, 4)
    first = policy.heads[0](state).log_softmax(-1)[0]
    context = F.layer_norm(state[0] - policy.code_embeddings[0][0], (4,))
    second = policy.heads[1](context)[[1, 2]].log_softmax(-1)
    log_prob = policy.item_log_prob(state, torch.tensor([[2, 4, 1]]))
    expected = torch.stack([first[0] + second[1], first[0] + second[0], first[1] - math.log(2)])
    torch.testing.assert_close(log_prob[0], expected)
    nodes = policy.trie.paths_of(torch.tensor([2, 4, 1]))
    assert policy.trie.n_children(1, nodes[:, 0]).tolist() == [3, 3, 3]
    assert policy.trie.n_children(2, nodes[:, 1]).tolist() == [2, 2, 1]
    choices, _, _ = policy.choose(2, context[None], nodes[:1, 1])
    entropy = -(choices.exp() * choices)[:, :2].sum()
    torch.testing.assert_close(entropy, -(second.exp() * second).sum())


def test_conditioning_can_say_either_or():
    """(a1, b1) or (a2, b2) with equal odds: marginals cannot, contexts of taken codes can."""
    codes = np.array([[-1, -1], [0, 0], [0, 1], [1, 0], [1, 1]])
    fits = {}
    for update in ("taken", "none"):
        torch.manual_seed(1)
        policy = TriePolicy(4, (2, 2), CodeTrie(codes, (2, 2)), context_update=update)
        optimizer = torch.optim.Adam(policy.parameters(), lr=0.05)
        state = torch.ones(1, 4)
        for _ in range(150):
            optimizer.zero_grad()
            loss = -policy.item_log_prob(state, torch.tensor([[1, 4]])).mean()
            loss.backward()
            optimizer.step()
        fits[update] = loss.item()
    assert fits["taken"] == pytest.approx(math.log(2), abs=0.02)
    assert fits["none"] == pytest.approx(2 * math.log(2), abs=0.02)


def test_normalising_over_the_vocabulary_loses_mass_on_absent_codes():
    probs = all_items(make_policy(valid_only=False), torch.randn(3, 4))
    assert (probs.sum(-1) < 1.0).all()


@pytest.mark.parametrize("codes", [CODES, CODES[:, :1]])
def test_over_the_vocabulary_vectors_move_mass_and_add_none(codes):
    torch.manual_seed(0)
    trie = CodeTrie(codes, (3, 4)[: codes.shape[1]])
    vectors = 3.0 * torch.randn(6, 3)
    policy = TriePolicy(4, trie.vocab_sizes, trie, valid_only=False, item_vectors=vectors)
    total = all_items(policy, 3.0 * torch.randn(50, 4)).sum(-1)
    assert (total <= 1.0 + 1e-5).all()
    if codes.shape[1] == 1:  # every first code has items
        torch.testing.assert_close(total, torch.ones(50))


def test_expected_context_is_eq_13():
    policy = make_policy(context_update="expected")
    state = torch.randn(2, 4)
    expected = F.layer_norm(
        state - policy.heads[0](state).softmax(-1) @ policy.code_embeddings[0], (4,)
    )
    for codes in (torch.tensor([0, 0]), torch.tensor([2, 1])):
        torch.testing.assert_close(policy.refine(1, state, codes), expected)


def test_leaf_vectors_tell_items_of_one_prefix_apart():
    vectors = torch.zeros(6, 2)
    vectors[2, 0] = 1.0
    policy = make_policy(item_vectors=vectors)
    with torch.no_grad():
        policy.heads[1].weight.zero_()
        policy.heads[1].bias.zero_()
        policy.vector_query.weight.zero_()
        policy.vector_query.bias.copy_(torch.tensor([math.log(3.0), 5.0]))
    probs = all_items(policy, torch.randn(1, 4))[0]
    assert (probs[1] / probs[3]).item() == pytest.approx(3.0, rel=1e-4)


def test_gradients_are_finite_with_single_child_prefixes():
    policy = make_policy(item_vectors=torch.randn(6, 3))
    state = torch.randn(2, 4, requires_grad=True)
    policy.item_log_prob(state, torch.tensor([[5, 1], [2, 4]])).sum().backward()
    assert state.grad.isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in policy.parameters())


def test_items_without_semantic_id_are_no_part_of_the_policy():
    codes = np.concatenate([CODES, [[-1, -1]]])
    torch.manual_seed(0)
    policy = TriePolicy(4, (3, 4), CodeTrie(codes, (3, 4)), item_vectors=torch.randn(7, 3))
    probs = all_items(policy, torch.randn(2, 4))
    torch.testing.assert_close(probs.sum(-1), torch.ones(2))


def test_a_shared_code_is_scored_by_the_mean_vector_of_its_items():
    vectors, priors = torch.randn(6, 3), np.log(np.array([1, 3, 1, 1, 1, 1], np.float32))
    for weights, expected in ((None, (0.5, 0.5)), (priors, (0.75, 0.25))):
        trie = CodeTrie(CODES, (3, 4), priors=weights)
        policy = TriePolicy(4, (3, 4), trie, item_vectors=vectors)
        mean = expected[0] * vectors[1] + expected[1] * vectors[3]
        torch.testing.assert_close(policy.leaf_vectors[trie.paths_of(torch.tensor(1))[2]], mean)
        torch.testing.assert_close(
            policy.leaf_vectors[trie.paths_of(torch.tensor(5))[2]], vectors[5]
        )


def test_a_shelf_gates_the_state_and_moves_it():
    shelves = np.array([0, 1, 2, 1, 2, 2])
    policy = TriePolicy(2, (3, 4), CodeTrie(CODES, (3, 4), shelves), gated=True)
    with torch.no_grad():
        policy.root_embedding.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        policy.root_gate.copy_(torch.tensor([[0.0, 1.0], [0.5, -1.0]]))
    entered = policy.enter(torch.tensor([[10.0, 20.0]]).expand(2, -1), torch.tensor([0, 1]))
    assert entered.tolist() == [[11.0, 42.0], [18.0, 4.0]]
