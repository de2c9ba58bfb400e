"""What sets the baselines apart from each other; what they share is in test_conformance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsrl_pipeline.agents.base import AgentContext, LogBatch
from hsrl_pipeline.agents.ddpg import build_ddpg
from hsrl_pipeline.agents.hac import build_hac
from hsrl_pipeline.agents.pg_ra import build_pg_ra
from hsrl_pipeline.agents.sl import build_sl
from hsrl_pipeline.agents.td3 import build_td3
from hsrl_pipeline.config.agents.ddpg import DDPGSettings
from hsrl_pipeline.config.agents.hac import HACSettings
from hsrl_pipeline.config.agents.pg_ra import PGRASettings
from hsrl_pipeline.config.agents.shared import EncoderConfig
from hsrl_pipeline.config.agents.sl import SupervisedSettings
from hsrl_pipeline.config.agents.td3 import TD3Settings
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch

N_ITEMS, SLATE, HISTORY, BATCH, WIDTH = 9, 3, 4, 16, 8
ENCODER = EncoderConfig(embedding_size=WIDTH, n_layers=1, n_heads=2, feedforward_size=8)


def make_context(seed: int = 0) -> AgentContext:
    vectors = np.random.default_rng(0).normal(size=(N_ITEMS + 1, 5)).astype(np.float32)
    vectors[0] = 0.0
    codes = np.arange(-1, N_ITEMS)[:, None]
    device = torch.device("cpu")
    return AgentContext(N_ITEMS, SLATE, HISTORY, (), 0, 20, vectors, codes, (9,), device, seed)


def observe(seed: int) -> Observation:
    generator = torch.Generator().manual_seed(seed)
    history = torch.randint(1, N_ITEMS + 1, (BATCH, HISTORY), generator=generator)
    empty = torch.zeros(BATCH, 0)
    return Observation(empty.long(), empty, history, torch.zeros(BATCH).long())


def make_batch(latent_size: int, seed: int = 0) -> TransitionBatch:
    generator = torch.Generator().manual_seed(seed)
    slates = torch.rand(BATCH, N_ITEMS, generator=generator).argsort(1)[:, :SLATE] + 1
    clicks = (torch.rand(BATCH, SLATE, generator=generator) < 0.5).float()
    flags = torch.zeros(BATCH, dtype=torch.bool)
    return TransitionBatch(
        observe(seed),
        slates,
        clicks,
        (1.2 * clicks - 0.2).mean(-1),
        observe(seed + 1),
        flags,
        flags,
        torch.randn(BATCH, latent_size, generator=generator),
        torch.zeros(BATCH),
    )


def make_log() -> LogBatch:
    batch = make_batch(0, seed=5)
    return LogBatch(batch.observation, batch.slates, batch.clicks)


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], part: str) -> bool:
    names = [name for name in before if part in name]
    assert names
    return any(not torch.equal(before[name], after[name]) for name in names)


def test_td3_moves_its_actor_every_second_update_only() -> None:
    agent = build_td3(TD3Settings(encoder=ENCODER, policy_delay=2), make_context())
    states = [agent.policy_state()]
    for _ in range(2):
        agent.update(make_batch(agent.latent_size), None)
        states.append(agent.policy_state())
    assert not moved(states[0], states[1], "head")
    assert moved(states[0], states[1], "encoder")
    assert moved(states[1], states[2], "head")


def test_ddpg_is_td3_with_one_critic_no_delay_and_no_target_noise() -> None:
    common = {"encoder": ENCODER, "latent_size": 4}
    ddpg = build_ddpg(DDPGSettings(**common), make_context())
    td3 = build_td3(TD3Settings(**common), make_context())
    critics = {
        agent.name: {
            name.split(".")[2]
            for name in agent.state_dict()["networks"]
            if "critics.critics" in name
        }
        for agent in (ddpg, td3)
    }
    assert critics == {"ddpg": {"0"}, "td3": {"0", "1"}}
    assert "actor_loss" in ddpg.update(make_batch(4), None).losses
    assert "actor_loss" not in td3.update(make_batch(4), None).losses


def test_the_smaller_twin_sets_the_target() -> None:
    agent = build_td3(TD3Settings(encoder=ENCODER, latent_size=4), make_context())
    state = agent.state_dict()
    for name in ("0", "1"):
        state["targets"][f"critics.critics.{name}.4.weight"].zero_()
        state["targets"][f"critics.critics.{name}.4.bias"].fill_(-3.0 if name == "1" else 5.0)
        state["networks"][f"critics.critics.{name}.4.weight"].zero_()
        state["networks"][f"critics.critics.{name}.4.bias"].zero_()
    agent.load_state_dict(state)
    batch = make_batch(4)
    # both online critics say 0, the smaller target critic says -3
    expected = 2 * (batch.reward + 0.9 * -3.0).square().mean()
    assert agent.update(batch, None).losses["critic_loss"].item() == pytest.approx(
        expected.item(), rel=1e-5
    )


def test_the_hyper_action_is_a_direction_also_when_it_explores() -> None:
    agent = build_td3(TD3Settings(encoder=ENCODER, latent_size=4), make_context())
    for explore in (True, False):
        latent = agent.act(observe(0), explore=explore, generator=torch.Generator()).latent_action
        assert torch.allclose(latent.norm(dim=-1), torch.tensor(2.0))


def test_plain_ddpg_leaves_items_where_their_vectors_are_and_asks_for_no_log() -> None:
    agent = build_ddpg(DDPGSettings(encoder=ENCODER), make_context())
    assert not agent.uses_log
    # no more dimensions than the item vectors have
    assert agent.latent_size == 5
    assert not any(name.startswith("items") for name in agent.policy_state())


def test_behaviour_regularised_ddpg_fits_the_clicks_of_the_log() -> None:
    settings = DDPGSettings(encoder=ENCODER, behavior_coef=1.0, critic_learning_rate=3e-2)
    agent = build_ddpg(settings, make_context())
    assert agent.uses_log and agent.latent_size == WIDTH
    losses = [agent.update(make_batch(WIDTH), make_log()).losses for _ in range(40)]
    assert losses[-1]["behavior_loss"] < 0.7 * losses[0]["behavior_loss"]
    with pytest.raises(ValueError, match="ddpg"):
        agent.update(make_batch(WIDTH), None)


@pytest.mark.parametrize("name", ["td3", "ddpg", "hac"])
def test_an_item_that_everybody_likes_is_shown_to_everybody(name: str) -> None:
    options = {"encoder": ENCODER, "critic_learning_rate": 0.1, "learning_rate": 0.03}
    settings = {"td3": TD3Settings, "ddpg": DDPGSettings, "hac": HACSettings}[name](**options)
    build = {"td3": build_td3, "ddpg": build_ddpg, "hac": build_hac}[name]
    agent = build(settings, make_context())
    for seed in range(60):
        batch = make_batch(agent.latent_size, seed)
        # a hyper-action of a critic that knows nothing yet
        latent = agent.act(batch.observation, explore=False).latent_action
        batch = batch._replace(latent_action=latent, clicks=(batch.slates == 4).float())
        agent.update(batch, None)
    bias = agent._actor.bias.values
    assert bias[1:].argmax() == 3
    assert (agent.act(observe(99), explore=False).slates == 4).any(1).all()
    plain = build(settings.model_copy(update={"item_bias": False}), make_context())
    assert not any("bias.values" in key for key in plain.policy_state())


def test_the_click_loss_of_a_bias_trains_the_bias_alone() -> None:
    agents = [
        build_td3(TD3Settings(encoder=ENCODER, item_bias=used), make_context())
        for used in (True, False)
    ]
    stats = [agent.update(make_batch(5), None) for agent in agents]
    assert "bias_loss" in stats[0].losses and "bias_loss" not in stats[1].losses
    states = [agent.policy_state() for agent in agents]
    assert all(torch.equal(states[0][key], value) for key, value in states[1].items())
    assert states[0]["bias.level"] != 0


def test_hac_without_supervision_and_alignment_trains_no_actor_but_by_its_critic() -> None:
    settings = HACSettings(
        encoder=ENCODER, policy_coef=0.0, supervision_coef=0.0, alignment_coef=0.0
    )
    agent = build_hac(settings, make_context())
    before = agent.policy_state()
    agent.update(make_batch(WIDTH), None)
    assert not moved(before, agent.policy_state(), "head")
    steered = build_hac(settings.model_copy(update={"policy_coef": 1.0}), make_context())
    steered.update(make_batch(WIDTH), None)
    assert moved(before, steered.policy_state(), "head")


def test_hac_judges_the_slate_taken_and_not_the_hyper_action_behind_it() -> None:
    first, second = (build_hac(HACSettings(encoder=ENCODER), make_context()) for _ in range(2))
    batch = make_batch(WIDTH)
    losses = first.update(batch, None).losses
    other = second.update(batch._replace(latent_action=-batch.latent_action), None).losses
    assert all(torch.equal(losses[name], other[name]) for name in losses)


def test_hac_explores_by_items_or_by_the_best_of_a_noisy_hyper_action() -> None:
    still = {"encoder": ENCODER, "exploration_noise_std": 0.0}
    greedy = build_hac(HACSettings(**still, sample_items=False), make_context())
    drawing = build_hac(HACSettings(**still), make_context())
    best = greedy.act(observe(0), explore=False).slates
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(best, greedy.act(observe(0), explore=True, generator=generator).slates)
    assert not torch.equal(best, drawing.act(observe(0), explore=True, generator=generator).slates)


def test_pg_ra_learns_its_items_by_supervision_alone() -> None:
    settings = PGRASettings(encoder=ENCODER, representation_coef=0.0, latent_size=4)
    agent = build_pg_ra(settings, make_context())
    before = agent.policy_state()
    agent.update(make_batch(4), None)
    names = [name for name in before if name.startswith("items.")]
    assert names
    assert all(torch.equal(before[name], agent.policy_state()[name]) for name in names)
    fitted = build_pg_ra(settings.model_copy(update={"representation_coef": 1.0}), make_context())
    fitted.update(make_batch(4), None)
    assert any(not torch.equal(before[name], fitted.policy_state()[name]) for name in names)


def test_weight_decay_shrinks_the_click_model() -> None:
    sizes = []
    encoder = ENCODER.model_copy(update={"use_step": False})
    for decay in (0.0, 1.0):
        settings = SupervisedSettings(encoder=encoder, weight_decay=decay, learning_rate=0.1)
        agent = build_sl(settings, make_context())
        for _ in range(5):
            agent.update(None, make_log())
        sizes.append(sum(value.square().sum() for value in agent.policy_state().values()))
    assert sizes[1] < 0.7 * sizes[0]


def test_doubt_lowers_the_scores_of_what_was_never_shown() -> None:
    log, scores = make_log(), {}
    shown = torch.tensor([[1, 2, 3]] * BATCH)
    log = LogBatch(log.observation, shown, torch.ones(BATCH, SLATE))
    encoder = ENCODER.model_copy(update={"use_step": False})
    for doubt in (0.0, 3.0):
        settings = SupervisedSettings(encoder=encoder, doubt_coef=doubt, learning_rate=0.03)
        agent = build_sl(settings, make_context())
        for _ in range(20):
            agent.update(None, log)
        with torch.no_grad():
            scores[doubt] = agent._actor(log.observation)[:, 4:].mean()
    assert scores[3.0] < scores[0.0] - 0.3


def test_click_model_scores_alike_at_every_step() -> None:
    # the log knows no steps: a vector per step would be noise from the second slate on
    agent = build_sl(SupervisedSettings(), make_context())
    first = make_batch(4).observation
    later = first._replace(step=first.step + 3)
    shown = [agent.act(each, explore=False).slates for each in (first, later)]
    assert torch.equal(*shown)
    with pytest.raises(ValueError, match="use_step must be false"):
        SupervisedSettings(encoder=ENCODER)
