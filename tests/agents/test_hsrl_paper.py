import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.base import AgentContext, LogBatch
from hsrl_pipeline.agents.hsrl_paper import build_hsrl_paper
from hsrl_pipeline.config.agents.hsrl_paper import HsrlPaperSettings
from hsrl_pipeline.config.agents.shared import EncoderConfig
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch

from .one_update import assert_same_figures, assert_same_gradients, gradients_of, update_of

ENCODER = EncoderConfig(embedding_size=8, n_layers=1, n_heads=2, feedforward_size=8)
N_ITEMS, SLATE, HISTORY = 12, 3, 4


def make_agent(vocab_sizes=(4, 3), released=(), **options):
    rng = np.random.default_rng(0)
    n_levels = len(vocab_sizes)
    items = np.arange(N_ITEMS)
    codes, rest = [], items
    for size in vocab_sizes:
        codes.append(rest % size)
        rest = rest // size
    table = np.concatenate([np.full((1, n_levels), -1), np.stack(codes, 1)])
    table[list(released)] = -1
    vectors = rng.normal(size=(N_ITEMS + 1, 5)).astype("f4")
    context = AgentContext(
        N_ITEMS, SLATE, HISTORY, (3,), 0, 20, vectors, table, vocab_sizes, torch.device("cpu"), 0
    )
    return build_hsrl_paper(HsrlPaperSettings(encoder=ENCODER, **options), context)


def observe(batch=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Observation(
        torch.randint(0, 3, (batch, 1), generator=generator),
        torch.zeros(batch, 0),
        torch.randint(0, N_ITEMS + 1, (batch, HISTORY), generator=generator),
        torch.zeros(batch, dtype=torch.int64),
    )


def transitions(batch=6, terminated=False, truncated=False, reward=0.5):
    slates = torch.stack([torch.randperm(N_ITEMS, generator=torch.Generator().manual_seed(row))
                          for row in range(batch)])[:, :SLATE] + 1  # fmt: skip
    return TransitionBatch(
        observe(batch),
        slates,
        torch.ones(batch, SLATE),
        torch.full((batch,), reward),
        observe(batch, 1),
        torch.full((batch,), terminated),
        torch.full((batch,), truncated),
        torch.empty(batch, 0),
        torch.zeros(batch),
    )


def logged(batch=6):
    clicks = (torch.arange(batch * SLATE).reshape(batch, SLATE) % 2).float()
    return LogBatch(observe(batch, 2), transitions(batch).slates, clicks)


@pytest.mark.parametrize("vocab_sizes", [(12,), (4, 3), (2, 2, 3), (2, 2, 2, 2, 3)])
def test_any_number_of_levels_and_codes(vocab_sizes):
    agent = make_agent(vocab_sizes)
    stats = agent.update(transitions(), logged())
    n_levels = len(vocab_sizes)
    entropies = [name for name in stats.diagnostics if name.startswith("entropy_level")]
    weights = [name for name in stats.diagnostics if name.startswith("level_weight")]
    assert (len(entropies), len(weights)) == (n_levels, n_levels + 1)
    assert all(torch.isfinite(value) for value in stats.losses.values())


def test_target_bootstraps_for_those_who_stay_and_for_the_truncated():
    agent = make_agent()
    staying, left, cut = (
        agent.bootstrap(transitions(**kind)).td_target
        for kind in ({}, {"terminated": True}, {"truncated": True})
    )
    contexts = agent._target_policy["head"](agent._target_policy["encoder"](observe(6, 1))).contexts
    value = agent._target_critic(contexts)
    torch.testing.assert_close(staying, 0.5 + 0.9 * value)
    torch.testing.assert_close(left, torch.full((6,), 0.5))
    torch.testing.assert_close(cut, staying)


def test_losses_are_the_papers():
    agent = make_agent()
    batch, log = transitions(), logged()
    with torch.no_grad():
        target = agent.bootstrap(batch).td_target
        outputs = agent._head(agent._encoder(batch.observation))
        value = agent._critic(outputs.contexts)
        levels = [p.exp() for p in outputs.log_probs]
        codes = agent._items.codes[batch.slates]
        picked = [p.gather(1, codes[..., level]) for level, p in enumerate(levels)]
        log_prob = sum(p.log() for p in picked).mean(1)
        actor = -((target - value).clamp(-1, 1) * log_prob).mean()
        log_outputs = agent._head(agent._encoder(log.observation))
        log_codes = agent._items.codes[log.slates]
        log_scores = sum(
            p.gather(1, log_codes[..., level]) for level, p in enumerate(log_outputs.log_probs)
        )
        cloning = -((log.clicks * log_scores).sum(1) / log.clicks.sum(1).clamp(min=1)).mean()
        critic = (value - target).square().mean()
    stats = agent.update(batch, log)
    torch.testing.assert_close(stats.losses["critic_loss"], critic)
    torch.testing.assert_close(stats.losses["actor_loss"], actor)
    torch.testing.assert_close(stats.losses["cloning_loss"], cloning)


@pytest.mark.parametrize("critic_head", ["multi_level", "prefix"])
def test_an_update_descends_the_sum_of_the_papers_losses(critic_head):
    agent = make_agent(
        critic_head=critic_head, entropy_coef=0.3, cloning_coef=0.7, value_reaches_encoder=True
    )
    batch, log = transitions(), logged()
    twin, target = agent.twin(), agent.bootstrap(batch).td_target
    outputs = twin._head(twin._encoder(batch.observation))
    codes = twin._items.codes[batch.slates]
    if critic_head == "prefix":
        counted = torch.ones(6, SLATE, dtype=torch.bool)
        values = twin._critic.prefix_values(outputs.contexts[0], codes, counted)
        log_probs = twin._items.code_log_probs(outputs.log_probs, batch.slates)
    else:
        values = twin._critic(outputs.contexts)[None]
        log_probs = [twin._items.log_prob(outputs.log_probs, batch.slates)]
    critic = (values - target).square().mean()
    advantages = (target - values).detach().clamp(-1, 1)
    actor = -sum(
        (advantage * log_prob.mean(1)).mean()
        for advantage, log_prob in zip(advantages, log_probs, strict=True)
    )
    entropies = [-(each.exp() * each).sum(1).mean() for each in outputs.log_probs]
    logged_probs = twin._head(twin._encoder(log.observation)).log_probs
    clicked = log.clicks * twin._items.log_prob(logged_probs, log.slates)
    cloning = -(clicked.sum(1) / log.clicks.sum(1).clamp(min=1)).mean()
    expected = gradients_of(twin, critic + actor - 0.3 * sum(entropies) + 0.7 * cloning)
    spreads = advantages.std(1, correction=0)
    figures = {
        "value_mean": values.mean(),
        "value_error": (values - target).abs().mean(),
        "advantage_mean": advantages.mean(),
        "advantage_std": spreads.mean(),
        "entropy_level_1": entropies[0],
        "entropy_level_2": entropies[1],
    }
    if critic_head == "prefix":
        figures |= {"advantage_std_level_1": spreads[0], "advantage_std_level_2": spreads[1]}

    stats, found = update_of(agent, batch, log)

    assert_same_gradients(found, expected)
    losses = {"critic_loss": critic, "actor_loss": actor, "cloning_loss": cloning}
    assert_same_figures(stats.losses, losses)
    plain = {key: value for key, value in stats.diagnostics.items() if "weight" not in key}
    assert_same_figures(plain, figures)


def test_a_replayed_item_that_has_been_released_teaches_nothing_and_breaks_nothing():
    batch = transitions()
    gone = batch.slates[:, 0].unique().tolist()
    agent = make_agent(released=gone, entropy_coef=0.0, value_reaches_encoder=False)
    with torch.no_grad():
        staying = agent._items.trie.has_code[batch.slates]
        outputs = agent._head(agent._encoder(batch.observation))
        log_prob = agent._items.log_prob(outputs.log_probs, batch.slates)
        advantage = (agent.bootstrap(batch).td_target - agent._critic(outputs.contexts)).clamp(
            -1, 1
        )
        expected = -(advantage * torch.where(staying, log_prob, 0.0).mean(1)).mean()
    assert staying.any() and not staying.all()
    stats = agent.update(batch, logged())
    torch.testing.assert_close(stats.losses["actor_loss"], expected)
    assert all(weight.isfinite().all() for weight in agent.policy_state().values())


def test_with_prefix_values_no_code_of_a_released_item_teaches():
    batch = transitions()
    gone = batch.slates[:, 0].unique().tolist()
    agent = make_agent(released=gone, critic_head="prefix")
    with torch.no_grad():
        staying = agent._items.trie.has_code[batch.slates]
        contexts, probs = agent._head(agent._encoder(batch.observation))[:2]
        values = agent._critic.prefix_values(contexts[0], agent._items.codes[batch.slates], staying)
        advantages = (agent.bootstrap(batch).td_target - values).clamp(-1, 1)
        of_codes = agent._items.code_log_probs(probs, batch.slates)
        taught = torch.stack([torch.where(staying, each, 0.0).mean(1) for each in of_codes])
        expected = -(advantages * taught).mean(1).sum()
    assert staying.any() and not staying.all()
    torch.testing.assert_close(agent.update(batch, logged()).losses["actor_loss"], expected)


def test_level_weights_move_and_targets_follow_slowly():
    agent = make_agent(tau=0.25)
    before = [weight.clone() for weight in agent._target_critic.parameters()]
    weights = agent._critic.level_weights.detach().clone()
    agent.update(transitions(), logged())
    assert (agent._critic.level_weights - weights).abs().max() > 0
    for old, target, online in zip(
        before, agent._target_critic.parameters(), agent._critic.parameters(), strict=True
    ):
        torch.testing.assert_close(target, old + 0.25 * (online - old))
        assert not target.requires_grad and target.grad is None


@pytest.mark.parametrize("reaches", [True, False])
def test_whether_the_critic_loss_trains_the_contexts(reaches):
    agent = make_agent(
        value_reaches_encoder=reaches, entropy_coef=0.0, cloning_coef=0.0, advantage_clip=1e-9
    )
    stats = agent.update(transitions(reward=5.0), None)
    assert (stats.diagnostics["gradient_norm_actor"].item() > 1e-4) is reaches
    assert stats.diagnostics["gradient_norm_critic"].item() > 1e-4


def test_entropy_coefficient_flattens_the_policy():
    entropies = {}
    for coef in (0.0, 5.0):
        agent = make_agent(entropy_coef=coef, learning_rate=0.01)
        for _ in range(30):
            stats = agent.update(transitions(reward=1.0), logged())
        entropies[coef] = stats.diagnostics["entropy_level_1"].item()
    assert entropies[5.0] > entropies[0.0] + 0.01


@pytest.mark.parametrize(
    ("ablation", "loss_names", "n_weights"),
    [
        ({"cloning_coef": 0.0}, {"critic_loss", "actor_loss"}, 3),
        ({"critic_head": "single"}, {"critic_loss", "actor_loss", "cloning_loss"}, 1),
        ({"policy_head": "flat"}, {"critic_loss", "actor_loss", "cloning_loss"}, 3),
        ({"entropy_coef": 0.0}, {"critic_loss", "actor_loss", "cloning_loss"}, 3),
        ({"gated_context": True}, {"critic_loss", "actor_loss", "cloning_loss"}, 3),
    ],
)
def test_ablations_are_settings(ablation, loss_names, n_weights):
    agent = make_agent(**ablation)
    stats = agent.update(transitions(), logged() if agent.uses_log else None)
    assert set(stats.losses) == loss_names
    assert sum(name.startswith("level_weight") for name in stats.diagnostics) == n_weights
    assert agent._head.residual is (ablation.get("policy_head") != "flat")
    assert bool(agent._head.gates) is ("gated_context" in ablation)


def test_exploring_samples_and_evaluation_is_greedy():
    agent = make_agent()
    generator = torch.Generator().manual_seed(0)
    observation = observe(50)
    first = agent.act(observation, explore=True, generator=generator)
    second = agent.act(observation, explore=True, generator=generator)
    assert not torch.equal(first.slates, second.slates)
    assert (first.log_prob < 0).all()
    greedy = agent.act(observation, explore=False)
    outputs = agent._head(agent._encoder(observation))
    best = agent._items.catalogue_log_probs(outputs.log_probs).topk(SLATE).indices
    assert torch.equal(greedy.slates, best)
    assert greedy.log_prob.eq(0).all()


def test_exploring_draws_from_the_likelihood_of_existing_items():
    agent, rows = make_agent((5, 5)), 20_000
    with torch.no_grad():
        for weight in agent._policy["head"].parameters():
            weight.mul_(4.0)
    state = Observation(*(field[:1].expand(rows, *field.shape[1:]) for field in observe()))
    shown = torch.tensor([[3, 0]]).expand(rows, -1)
    generator = torch.Generator().manual_seed(0)
    drawn = agent.act(state._replace(shown=shown), explore=True, generator=generator)
    with torch.no_grad():
        outputs = agent._head(agent._encoder(state.rows(torch.tensor([0]))))
    logits = agent._items.catalogue_log_probs(outputs.log_probs)
    logits[:, 3] = -torch.inf
    expected = logits[0].softmax(-1)
    shares = torch.bincount(drawn.slates[:, 0], minlength=N_ITEMS + 1) / rows
    assert (shares - expected).abs().max() < 0.015
    assert expected.max() > 3 / N_ITEMS
    exact = agent._selector.log_prob(logits.expand(50, -1), drawn.slates[:50]).sum(-1)
    torch.testing.assert_close(drawn.log_prob[:50], exact, rtol=1e-4, atol=1e-4)


def test_missing_inputs_are_named():
    with pytest.raises(ValueError, match="without transitions"):
        make_agent().update(None, logged())
    with pytest.raises(ValueError, match="without logged slates"):
        make_agent().update(transitions(), None)
