"""What ``hsrl`` serves by: draws, their likelihood, and who finds the best of many items."""

import numpy as np
import pytest
import torch

from hsrl_pipeline.observation import Observation

from .test_hsrl import HEADS, N_ITEMS, SLATE, likelihood, make_agent, make_context, observe


@HEADS
def test_log_probability_of_a_drawn_slate(head):
    agent = make_agent(policy_head=head)
    action = agent.act(observe(), explore=True, generator=torch.Generator().manual_seed(0))
    expected = likelihood(agent, observe(), action.slates).positions.sum(-1)
    torch.testing.assert_close(action.log_prob, expected, rtol=1e-4, atol=1e-4)
    assert agent.act(observe(), explore=False).log_prob.eq(0).all()


@HEADS
def test_the_score_function_has_mean_zero_with_and_without_exclusions(head):
    agent = make_agent(policy_head=head)
    shown = torch.tensor([[1, 2, 3, 4, 5, 0]])
    weights = [part for part in agent._head.parameters() if part.requires_grad]
    for excluded in (None, shown):
        observation = observe(1, shown=excluded)
        allowed = [item for item in range(1, N_ITEMS + 1) if excluded is None or item > 5]
        pairs = [[i, j, k] for i in allowed for j in allowed for k in allowed]
        slates = torch.tensor([row for row in pairs if len(set(row)) == SLATE])
        with torch.no_grad():
            state = agent._encoder(observation).expand(len(slates), -1)
        rows = Observation(*(field.expand(len(slates), *field.shape[1:]) for field in observation))
        log_prob = agent._slates.likelihood(state, rows, slates).positions.sum(-1)
        torch.testing.assert_close(log_prob.exp().sum(), torch.tensor(1.0))
        mean_score = torch.autograd.grad(
            (log_prob.exp().detach() * log_prob).sum(), weights, allow_unused=True
        )
        assert all(part is None or part.abs().max() < 1e-4 for part in mean_score)


@pytest.mark.parametrize(
    ("options", "searches"),
    [
        ({}, True),
        ({"policy_head": "trie"}, False),
        ({"policy_head": "codes"}, True),
        # scores that move with every click have no bounds that last
        ({"arrival_prior": 2.0}, False),
    ],
)
def test_a_search_serves_look_up_scores_that_stay_and_one_shelf_alone(options, searches):
    plain = make_agent(**options)
    on_shelves = make_agent(make_context(shelves=np.array([0] + [1] * 6 + [2] * 6), slate_size=2))
    for agent, expected in ((plain, searches), (on_shelves, False)):
        agent.prepare_to_serve()
        assert (agent._search is not None) is expected
