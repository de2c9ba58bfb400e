"""The critics of ``hsrl_paper``: what advantages are measured from, and of what."""

import io
import itertools

import pytest
import torch

from hsrl_pipeline.networks.multi_level_critic import MultiLevelCritic
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.seeding import torch_generator

from . import test_conformance as conformance
from .test_hsrl_paper import N_ITEMS, SLATE, logged, make_agent, observe, transitions

HEADS = ["uniform", "single", "prefix"]
LEVELS = ("hidden_weight", "hidden_bias", "value_weight", "value_bias")


@pytest.mark.parametrize("head", HEADS)
def test_every_critic_learns_a_problem_with_a_known_optimum(head):
    agent = conformance.make_agent("hsrl_paper", critic_head=head)
    conformance.bandit_learn(agent, 60)
    observation = conformance.observe(200, torch_generator(1, "judge"))
    slates = agent.act(observation, explore=False).slates
    reward = (1.2 * conformance.click(observation, slates) - 0.2).mean()
    assert reward >= conformance.LEARNED


@pytest.mark.parametrize("head", HEADS)
def test_a_saved_agent_continues_bit_identically(head):
    unbroken, resumed = (conformance.make_agent("hsrl_paper", critic_head=head) for _ in "ab")
    list(conformance.learn(unbroken, 3))
    stored = io.BytesIO()
    torch.save(unbroken.state_dict(), stored)
    stored.seek(0)
    resumed.load_state_dict(torch.load(stored, weights_only=True))
    losses = [list(conformance.learn(agent, 3, seed=8)) for agent in (unbroken, resumed)]
    conformance.assert_equal_states(*losses)
    conformance.assert_equal_states(unbroken.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("vocab_sizes", [(12,), (2, 2, 3)])
def test_every_critic_takes_any_number_of_levels(head, vocab_sizes):
    agent = make_agent(vocab_sizes, critic_head=head)
    stats = agent.update(transitions(), logged())
    of_levels = [name for name in stats.diagnostics if name.startswith("advantage_std_level")]
    assert len(of_levels) == (len(vocab_sizes) if head == "prefix" else 0)
    named = {**stats.losses, **stats.diagnostics}
    assert all(torch.isfinite(value) for value in named.values())


@pytest.mark.parametrize("clip", [1.0, 0.01])
def test_advantage_std_is_that_of_the_advantage_as_it_is_used(clip):
    agent, batch = make_agent(advantage_clip=clip), transitions()
    batch = batch._replace(reward=torch.linspace(-1, 1, 6))
    with torch.no_grad():
        value = agent._critic(agent._head(agent._encoder(batch.observation)).contexts)
        used = (agent.bootstrap(batch).td_target - value).clamp(-clip, clip)
    spread = agent.update(batch, logged()).diagnostics["advantage_std"]
    torch.testing.assert_close(spread, (used - used.mean()).square().mean().sqrt())


def test_equal_weights_begin_as_learned_ones_and_stay():
    learned, equal = make_agent(), make_agent(critic_head="uniform")
    batch, log = transitions(), logged()
    first = [agent.update(batch, log) for agent in (learned, equal)]
    assert first[0].losses == first[1].losses
    later = [agent.update(batch, log) for agent in (learned, equal)]
    assert later[0].losses != later[1].losses
    assert equal._critic.level_weights.tolist() == pytest.approx([1 / 3] * 3)


def test_prefix_losses_have_an_advantage_for_each_level():
    agent, batch = make_agent(critic_head="prefix", cloning_coef=0.0), transitions()
    with torch.no_grad():
        target = agent.bootstrap(batch).td_target
        outputs = agent._head(agent._encoder(batch.observation))
        codes = agent._items.codes[batch.slates]
        counted = torch.ones_like(batch.slates, dtype=torch.bool)
        values = agent._critic.prefix_values(outputs.contexts[0], codes, counted)
        actor = torch.zeros(())
        for level, value in enumerate(values):
            log_prob = outputs.log_probs[level].gather(1, codes[..., level])
            actor -= ((target - value).clamp(-1, 1) * log_prob.mean(1)).mean()
        critic = sum((value - target).square().mean() for value in values) / 2
        spreads = [(target - value).clamp(-1, 1).std(correction=0) for value in values]
    stats = agent.update(batch, None)
    torch.testing.assert_close(stats.losses["critic_loss"], critic)
    torch.testing.assert_close(stats.losses["actor_loss"], actor)
    for level, spread in enumerate(spreads, start=1):
        torch.testing.assert_close(stats.diagnostics[f"advantage_std_level_{level}"], spread)
    torch.testing.assert_close(stats.diagnostics["advantage_std"], sum(spreads) / 2)


def test_levels_are_credited_with_what_later_values_say():
    agent = make_agent((2, 2, 3), critic_head="prefix", cloning_coef=0.0, level_decay=0.5)
    batch = transitions()
    with torch.no_grad():
        target = agent.bootstrap(batch).td_target
        outputs = agent._head(agent._encoder(batch.observation))
        codes = agent._items.codes[batch.slates]
        counted = torch.ones_like(batch.slates, dtype=torch.bool)
        v0, v1, v2 = agent._critic.prefix_values(outputs.contexts[0], codes, counted)
        third = target - v2
        second = (v2 - v1) + 0.5 * third
        first = (v1 - v0) + 0.5 * (v2 - v1) + 0.25 * third
        actor = -sum(
            (advantage.clamp(-1, 1) * log_probs.gather(1, codes[..., level]).mean(1)).mean()
            for level, (advantage, log_probs) in enumerate(
                zip((first, second, third), outputs.log_probs, strict=True)
            )
        )
        critic = sum((value - target).square().mean() for value in (v0, v1, v2)) / 3
    stats = agent.update(batch, None)
    torch.testing.assert_close(stats.losses["actor_loss"], actor)
    torch.testing.assert_close(stats.losses["critic_loss"], critic)


def test_prefix_bootstraps_from_the_value_of_the_state():
    agent, batch = make_agent(critic_head="prefix"), transitions()
    with torch.no_grad():
        value = agent._target_critic([agent._target_policy["encoder"](batch.next_observation)])
    torch.testing.assert_close(agent.bootstrap(batch).td_target, 0.5 + 0.9 * value)


def test_prefix_with_equal_values_is_the_single_critic():
    single, prefix = (make_agent(critic_head=head) for head in ("single", "prefix"))
    with torch.no_grad():
        for name in LEVELS:
            getattr(prefix._critic, name).copy_(getattr(single._critic, name))
            getattr(prefix._target_critic, name).copy_(getattr(single._critic, name))
        for table in prefix._critic.code_embeddings:
            table.zero_()
    first, second = (agent.update(transitions(), logged()) for agent in (single, prefix))
    for name, loss in first.losses.items():
        torch.testing.assert_close(second.losses[name], loss)
    for name in ("gradient_norm_actor", "advantage_std", "value_error"):
        torch.testing.assert_close(second.diagnostics[name], first.diagnostics[name])


def expected_gradient(agent, baseline_of):
    """Return the policy's mean gradient of baselines alone, over all slates drawn one by one."""
    slates = torch.tensor(list(itertools.product(range(1, N_ITEMS + 1), repeat=SLATE)))
    one = observe(1)
    state = Observation(*(field.expand(len(slates), *field.shape[1:]) for field in one))
    batch = transitions()._replace(observation=state, slates=slates)
    outputs = agent._head(agent._encoder(state))
    values, log_probs = agent._decisions(outputs.contexts, outputs.log_probs, batch)
    with torch.no_grad():
        chances = agent._items.log_prob(outputs.log_probs, slates).sum(1).exp()
    assert chances.sum().item() == pytest.approx(1.0, abs=1e-4)
    score = sum(
        (chances * values[baseline_of(level)].detach() * log_prob.mean(1)).sum()
        for level, log_prob in enumerate(log_probs)
    )
    weights = [*agent._head.heads.parameters()]
    return torch.cat([one.flatten() for one in torch.autograd.grad(score, weights)])


def test_the_value_before_a_code_leaves_the_expected_gradient_alone_and_that_after_it_does_not():
    agent = make_agent(critic_head="prefix", value_reaches_encoder=False)
    before = expected_gradient(agent, lambda level: level)
    after = expected_gradient(agent, lambda level: min(level + 1, 1))
    assert before.abs().max() < 1e-6
    assert after.abs().max() > 1e-3


def test_a_released_item_has_no_part_in_prefix_values_and_teaches_nothing():
    batch = transitions()
    gone = batch.slates[:, 0].unique().tolist()
    agent = make_agent(released=gone, critic_head="prefix", cloning_coef=0.0)
    staying = agent._items.trie.has_code[batch.slates]
    assert staying.any() and not staying.all()
    with torch.no_grad():
        outputs = agent._head(agent._encoder(batch.observation))
        values, log_probs = agent._decisions(outputs.contexts, outputs.log_probs, batch)
        # which released item it was makes no difference
        others = batch._replace(slates=torch.where(staying, batch.slates, gone[0]))
        same, _ = agent._decisions(outputs.contexts, outputs.log_probs, others)
    torch.testing.assert_close(values, same)
    for log_prob in log_probs:
        assert torch.equal(log_prob == 0.0, ~staying)
    agent.update(batch, None)
    assert all(weight.isfinite().all() for weight in agent.policy_state().values())


@pytest.mark.parametrize("head", ["single", "prefix"])
def test_next_states_are_valued_without_contexts_that_are_not_read(head, monkeypatch):
    agent = make_agent(critic_head=head)
    monkeypatch.setattr(agent._target_policy["head"], "forward", lambda state: 1 / 0)
    assert agent.bootstrap(transitions()).td_target.isfinite().all()


def test_a_state_of_another_critic_is_refused():
    learned, equal = make_agent(), make_agent(critic_head="uniform")
    assert isinstance(equal._critic, MultiLevelCritic)
    with pytest.raises(RuntimeError, match="level_logits"):
        equal.load_state_dict(learned.state_dict())
