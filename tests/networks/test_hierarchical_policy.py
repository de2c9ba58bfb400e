import pytest
import torch
from torch.nn import functional as F

from hsrl_pipeline.networks.hierarchical_policy import HierarchicalPolicy


@pytest.mark.parametrize("vocab_sizes", [(3,), (3, 2), (4, 4, 4, 4, 5)])
def test_any_number_of_levels_and_codes(vocab_sizes):
    outputs = HierarchicalPolicy(8, vocab_sizes)(torch.randn(6, 8))
    assert len(outputs.contexts) == len(vocab_sizes) + 1
    assert [tuple(p.shape) for p in outputs.log_probs] == [(6, size) for size in vocab_sizes]
    for log_prob in outputs.log_probs:
        torch.testing.assert_close(log_prob.exp().sum(-1), torch.ones(6))


def test_contexts_follow_eq_11_to_13():
    torch.manual_seed(0)
    policy = HierarchicalPolicy(4, (3, 2))
    state = torch.randn(2, 4)
    outputs = policy(state)
    probs = (state @ policy.heads[0].weight.T).softmax(-1)
    first = F.layer_norm(state - probs @ policy.code_embeddings[0], (4,))
    torch.testing.assert_close(outputs.contexts[0], state)
    torch.testing.assert_close(outputs.contexts[1], first)
    probs = (first @ policy.heads[1].weight.T).softmax(-1)
    torch.testing.assert_close(outputs.log_probs[1].exp(), probs)
    second = F.layer_norm(first - probs @ policy.code_embeddings[1], (4,))
    torch.testing.assert_close(outputs.contexts[2], second)


def test_a_gate_scales_the_context_before_the_embedding_leaves():
    torch.manual_seed(0)
    policy = HierarchicalPolicy(4, (3, 2), gated=True)
    state = torch.randn(2, 4)
    probs = (state @ policy.heads[0].weight.T).softmax(-1)
    gated = state * (1 + probs @ policy.gates[0]) - probs @ policy.code_embeddings[0]
    torch.testing.assert_close(policy(state).contexts[1], F.layer_norm(gated, (4,)))
    torch.manual_seed(0)
    plain = HierarchicalPolicy(4, (3, 2))
    assert len(plain.gates) == 0
    torch.testing.assert_close(plain(state).log_probs[0], policy(state).log_probs[0])


def test_flat_head_reads_the_state_at_every_level():
    policy = HierarchicalPolicy(4, (3, 2), residual=False)
    state = torch.randn(2, 4)
    outputs = policy(state)
    assert all(context is state for context in outputs.contexts)
    assert len(list(policy.parameters())) == 2


def test_later_levels_train_earlier_heads():
    policy = HierarchicalPolicy(4, (3, 2))
    policy(torch.randn(2, 4)).log_probs[1][:, 0].sum().backward()
    assert policy.heads[0].weight.grad.abs().max() > 0
    assert policy.code_embeddings[0].grad.abs().max() > 0


def test_a_policy_without_levels_is_refused():
    with pytest.raises(ValueError, match="at least one level"):
        HierarchicalPolicy(4, ())
