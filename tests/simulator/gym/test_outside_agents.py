"""Agents of Stable-Baselines3, as they come, learn in the environments."""

import gymnasium
import numpy as np
import pytest

from hsrl_pipeline.simulator.gym.action_decoders import HyperActionDecoder, SemanticTokenDecoder
from hsrl_pipeline.simulator.gym.action_wrappers import DecodedActions
from hsrl_pipeline.simulator.gym.state_features import StateFeatures

from ..toy_world import CATEGORY_SIZES, CODES, N_ITEMS, SLATE, VOCAB_SIZES, make_env

N_SESSIONS = 40


def taste_vectors():
    """Item vectors in which items of one first code lie close together."""
    vectors = np.random.default_rng(0).normal(scale=0.2, size=(N_ITEMS + 1, 4))
    vectors[np.arange(1, N_ITEMS + 1), CODES[1:, 0]] += 1.0
    vectors[0] = 0.0
    return vectors.astype(np.float32)


def make_features():
    return StateFeatures(CATEGORY_SIZES, 1, taste_vectors(), horizon=8)


def mean_reward(env, act):
    """Return the mean total reward of whole sessions."""
    observation, _ = env.reset(seed=77)
    total = 0.0
    for _ in range(N_SESSIONS):
        over = False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(act(observation))
            total += reward
            over = terminated or truncated
        observation, _ = env.reset()
    return total / N_SESSIONS


def assert_beats_random(agent, env):
    env.action_space.seed(0)
    chance = mean_reward(env, lambda _: env.action_space.sample())
    learned = mean_reward(env, lambda o: agent.predict(o, deterministic=True)[0])
    # Random earns about 0.8 of the 8 that a session can bring.
    assert learned > chance + 1.0


@pytest.mark.slow
def test_ppo_learns_semantic_tokens():
    from stable_baselines3 import PPO

    decoder = SemanticTokenDecoder(CODES, VOCAB_SIZES, SLATE)
    env = DecodedActions(make_env(features=make_features()), decoder)
    agent = PPO(
        "MlpPolicy", env, n_steps=512, batch_size=128, learning_rate=2e-3, seed=0, device="cpu"
    )
    agent.learn(1_536)
    assert_beats_random(agent, env)


@pytest.mark.slow
def test_td3_learns_hyper_actions():
    from stable_baselines3 import TD3
    from stable_baselines3.common.noise import NormalActionNoise

    decoder = HyperActionDecoder(taste_vectors(), SLATE)
    env = DecodedActions(make_env(features=make_features()), decoder)
    noise = NormalActionNoise(np.zeros(4), np.full(4, 0.4))
    agent = TD3(
        "MlpPolicy",
        env,
        action_noise=noise,
        learning_starts=500,
        gamma=0.5,
        seed=0,
        device="cpu",
        policy_kwargs={"net_arch": [64, 64]},
    )
    agent.learn(900)
    assert_beats_random(agent, env)


def test_dict_observations_suit_the_multi_input_policy():
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_checker import check_env

    env = DecodedActions(make_env(), SemanticTokenDecoder(CODES, VOCAB_SIZES, SLATE))
    assert isinstance(env.observation_space, gymnasium.spaces.Dict)
    check_env(env, skip_render_check=True)
    agent = PPO("MultiInputPolicy", env, n_steps=32, batch_size=32, n_epochs=1, device="cpu")
    agent.learn(32)
