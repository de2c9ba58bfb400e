"""What a policy that follows clicks has taken in, handed on to another."""

from __future__ import annotations

import torch

from hsrl_pipeline.agents.base import Agent
from hsrl_pipeline.agents.registry import build_agent
from hsrl_pipeline.seeding import torch_generator

from .test_conformance import make_settings, observe
from .test_live_catalogue import AT_LAUNCH, CHANGED, NEW, launch_context


def after_a_change(**options: float) -> Agent:
    agent = build_agent("hsrl", make_settings("hsrl", **options), launch_context())
    for catalogue in (AT_LAUNCH, CHANGED):
        agent.set_catalogue(catalogue)
    return agent


def test_another_policy_takes_over_what_was_taken_in() -> None:
    first, second = (after_a_change(arrival_prior=2.0) for _ in "ab")
    slates = torch.tensor([[NEW[0], 1], [NEW[0], NEW[1]]])
    observation = observe(2, torch_generator(0, "seen"))
    first.observe(observation, slates, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    items, numbers = first.followed_items()
    assert items.tolist() == NEW and numbers[0, 0] > 0.0 > numbers[1, 0]
    assert not second.followed_items()[1].any()
    second.take_over(first.followed_items())
    assert all(
        torch.equal(*pair)
        for pair in zip(first.followed_items(), second.followed_items(), strict=True)
    )
    scores = [each.scores_of(observation, slates) for each in (first, second)]
    assert torch.equal(*scores)


def test_a_policy_that_follows_no_clicks_takes_nothing_over() -> None:
    plain, following = after_a_change(), after_a_change(arrival_prior=2.0)
    before = plain.policy_state()
    plain.take_over(following.followed_items())
    assert all(torch.equal(value, before[key]) for key, value in plain.policy_state().items())
    assert not len(plain.followed_items()[0])
