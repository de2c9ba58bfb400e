import pickle
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from hsrl_pipeline.catalogue import LiveCatalogue
from hsrl_pipeline.simulator.gym.action_decoders import HyperActionDecoder, SemanticTokenDecoder
from hsrl_pipeline.simulator.gym.action_wrappers import DecodedActions, DecodedVectorActions
from hsrl_pipeline.simulator.gym.env import SlateRecEnv

from ..toy_world import (
    CATEGORY_SIZES,
    CODES,
    N_ITEMS,
    SHELVES,
    SLATE,
    VOCAB_SIZES,
    item_vectors,
    make_env,
    make_features,
    make_sessions,
    make_vector_env,
)

TOKENS = SemanticTokenDecoder(CODES, VOCAB_SIZES, SLATE)
HYPER = HyperActionDecoder(item_vectors(), SLATE)


def assert_same(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_same(one[name], other[name])
    else:
        np.testing.assert_array_equal(one, other)


def play(env, steps, seed=2):
    """Return all step results of an agent that acts at random and resets when it must."""
    env.action_space.seed(seed)
    results = []
    for _ in range(steps):
        results.append(env.step(env.action_space.sample()))
        if isinstance(env.unwrapped, SlateRecEnv) and (results[-1][2] or results[-1][3]):
            results.append(env.reset())
    return results


@pytest.mark.parametrize("shelves", [None, SHELVES])
@pytest.mark.parametrize("features", [None, make_features()])
def test_check_env_accepts_the_scalar_env(features, shelves):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*spec.*|.*render.*")
        warnings.filterwarnings("ignore", message=".*Box observation space m.*imum value is.*")
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", message=".*infinity.*")
        check_env(make_env(features=features, shelves=shelves), skip_render_check=True)


@pytest.mark.parametrize("decoder", [TOKENS, HYPER])
def test_check_env_accepts_every_kind_of_action(decoder):
    env = DecodedActions(make_env(features=make_features()), decoder)
    check_env(env, skip_render_check=True)
    assert env.action_space == decoder.space


def test_equal_seeds_give_equal_trajectories_and_others_do_not():
    env, twin = make_env(seed=1), make_env(seed=2)
    assert_same(env.reset(seed=7)[0], twin.reset(seed=7)[0])
    for one, other in zip(play(env, 30), play(twin, 30), strict=True):
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    twin.reset(seed=8)
    assert any(a[1] != b[1] for a, b in zip(play(env, 10), play(twin, 10), strict=False))


def test_env_pickles_mid_episode():
    for env in (make_env(), make_vector_env()):
        env.reset(seed=3)
        env.step(env.action_space.sample())
        copy = pickle.loads(pickle.dumps(env))
        for one, other in zip(play(env, 20), play(copy, 20), strict=True):
            for a, b in zip(one, other, strict=True):
                if not (isinstance(a, dict) and "final_obs" in a):
                    assert_same(a, b)


def test_the_last_observation_is_the_users_own_and_reset_brings_the_next():
    env = make_env()
    first, info = env.reset(seed=0)
    for _ in range(200):
        observation, _, terminated, truncated, step_info = env.step(env.action_space.sample())
        assert_same(observation["user_categories"], first["user_categories"])
        assert observation["step"] == first["step"] + 1
        assert step_info["user_index"] == info["user_index"]
        clicked = step_info["slate"][step_info["clicks"] > 0]
        joined = np.concatenate([first["history"], clicked])
        assert_same(observation["history"], joined[-len(first["history"]) :])
        first = observation
        if terminated or truncated:
            assert not (terminated and truncated)
            first, info = env.reset()
            assert first["step"] == 0


def test_a_finished_session_needs_a_reset():
    env = make_env()
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(np.array([1, 2, 3]))
    env.reset(seed=0)
    over = False
    while not over:
        _, _, terminated, truncated, _ = env.step(np.array([1, 2, 3]))
        over = terminated or truncated
    with pytest.raises(ResetNeeded):
        env.step(np.array([1, 2, 3]))
    env.reset()
    env.step(np.array([1, 2, 3]))


def test_terminated_and_truncated_are_told_apart():
    class Always:
        def __init__(self, probability):
            self.probability = probability

        def probabilities(self, observation, slates):
            return torch.full(slates.shape, self.probability)

    for probability, depth, ended in ((1.0, 8, "truncated"), (0.0, 5, "terminated")):
        env = make_env(response=Always(probability))
        env.reset(seed=0)
        flags = [env.step(np.array([1, 2, 3]))[2:4] for _ in range(depth)]
        assert flags[:-1] == [(False, False)] * (depth - 1)
        assert flags[-1] == ((True, False) if ended == "terminated" else (False, True))


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.array([1, 1, 2]), r"slates\[0, 1\] is 1, which appears earlier"),
        (np.array([0, 1, 2]), r"is 0 \(padding\)"),
        (np.array([1, 2, 25]), "is 25, which is no item"),
        (np.array([1, 2]), "shape"),
        (np.array([1.0, 2.0, 3.0]), "dtype"),
    ],
)
def test_bad_slates_are_refused(action, message):
    env = make_env()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


WIDTHS = "int8 uint8 int16 uint16 int32 uint32 int64 uint64".split()


@pytest.mark.parametrize("width", WIDTHS)
def test_slates_of_any_width_lists_and_tensors_are_stepped_alike(width):
    array = np.array([3, 1, 24], width)
    forms = [array, array.tolist(), tuple(array), torch.as_tensor(array), list(array)]
    outcomes = []
    for form in forms:
        env, many = make_env(), make_vector_env(2)
        env.reset(seed=0)
        many.reset(seed=0)
        assert form in env.action_space
        outcomes.append((env.step(form), many.step([form, form])))
    (_, reward, *_, info), (_, rewards, *_) = outcomes[0]
    assert info["slate"].tolist() == [3, 1, 24]
    for (_, other, *_, _), (_, others, *_) in outcomes:
        assert other == reward
        assert_same(others, rewards)


@pytest.mark.parametrize(
    "action", ["abc", None, [1, [2], 3], [True, False, True], {1, 2, 3}, [1, 2, 2**64]]
)
def test_what_is_no_slate_is_no_step(action):
    env = make_env()
    env.reset(seed=0)
    assert action not in env.action_space
    with pytest.raises(ValueError, match="actions"):
        env.step(action)


def test_tokens_of_any_width_and_no_others():
    tokens = [0, 1, 2, 0, 3, 1]
    slates = []
    for form in (tokens, np.array(tokens, np.uint8), torch.tensor(tokens, dtype=torch.int32)):
        env = DecodedActions(make_env(), TOKENS)
        env.reset(seed=0)
        slates.append(env.step(form)[4]["slate"].tolist())
    assert slates[0] == slates[1] == slates[2]
    with pytest.raises(ValueError, match="expected whole numbers"):
        env.step(np.array(tokens, np.float32))


def test_the_vector_env_equals_the_scalar_env_at_batch_one():
    env, many = make_env(seed=4), make_vector_env(1, seed=4)
    observation, _ = env.reset(seed=4)
    batch, _ = many.reset(seed=4)
    env.action_space.seed(0)
    finished = 0
    for _ in range(100):
        assert_same({k: v[0] for k, v in batch.items()}, observation)
        action = env.action_space.sample()
        observation, reward, terminated, truncated, info = env.step(action)
        batch, rewards, over, cut, infos = many.step(action[None])
        assert (reward, terminated, truncated) == (rewards[0], over[0], cut[0])
        assert_same(infos["clicks"][0], info["clicks"])
        assert ("final_obs" in infos) == (terminated or truncated)
        if terminated or truncated:
            assert_same(infos["final_obs"][0], observation)
            assert infos["_final_obs"].tolist() == [True]
            observation, _ = env.reset()
            finished += 1
    assert finished > 10


def test_the_vector_env_declares_what_it_does():
    env = make_vector_env()
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observation, infos = env.reset(seed=1)
    assert observation in env.observation_space
    assert infos["user_index"].shape == (5,)
    assert env.action_space.sample() in env.action_space
    assert env.single_observation_space.contains({k: v[2] for k, v in observation.items()})
    for batch, rewards, terminated, truncated, _ in play(env, 20):
        assert batch in env.observation_space
        assert rewards.dtype == np.float32
        assert terminated.dtype == truncated.dtype == np.bool_


def test_final_observations_belong_to_finished_rows_alone():
    env = make_vector_env(64)
    before, _ = env.reset(seed=1)
    seen = 0
    for batch, _, terminated, truncated, infos in play(env, 15):
        finished = terminated | truncated
        if finished.any():
            assert infos["_final_obs"].tolist() == finished.tolist()
            for row in range(64):
                last = infos["final_obs"][row]
                if finished[row]:
                    assert_same(last["user_categories"], before["user_categories"][row])
                    assert last["step"] == before["step"][row] + 1
                    assert batch["step"][row] == 0
                    seen += 1
                else:
                    assert last is None
        before = batch
    assert seen > 64


def test_tensors_stay_tensors():
    env = make_vector_env(8, tensors=True, features=make_features())
    observation, _ = env.reset(seed=1)
    assert isinstance(observation, torch.Tensor)
    assert observation.shape == (8, *env.single_observation_space.shape)
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        slates = torch.rand(8, 24, generator=generator).argsort(dim=1)[:, :SLATE] + 1
        observation, rewards, terminated, _, infos = env.step(slates)
        if "final_obs" in infos:
            ended = infos["_final_obs"]
            assert torch.equal(infos["final_obs"][~ended], observation[~ended])
            assert not torch.equal(infos["final_obs"][ended], observation[ended])
    assert isinstance(rewards, torch.Tensor)
    assert terminated.dtype == torch.bool


def test_numpy_and_tensors_say_the_same():
    for features in (None, make_features()):
        numpy_env = make_vector_env(6, features=features)
        tensor_env = make_vector_env(6, features=features, tensors=True)
        numpy_env.reset(seed=2)
        tensor_env.reset(seed=2)
        numpy_env.action_space.seed(0)
        for _ in range(12):
            action = numpy_env.action_space.sample()
            one, other = numpy_env.step(action), tensor_env.step(torch.from_numpy(action))
            assert_same(one[0], other[0])
            assert_same(one[1], other[1].numpy())
            for row in np.flatnonzero(one[2] | one[3]):
                final = other[4]["final_obs"]
                picked = (
                    {name: value[row].numpy() for name, value in final.items()}
                    if isinstance(final, dict)
                    else final[row].numpy()
                )
                assert_same(one[4]["final_obs"][row], picked)


@pytest.mark.parametrize("decoder", [TOKENS, HYPER])
def test_vector_wrappers_act_like_scalar_ones(decoder):
    env = DecodedActions(make_env(), decoder)
    many = DecodedVectorActions(make_vector_env(1), decoder)
    env.reset(seed=5)
    many.reset(seed=5)
    many.action_space.seed(0)
    for _ in range(4):
        action = many.action_space.sample()
        one, other = env.step(action[0]), many.step(action)
        assert one[1] == other[1][0]
        assert_same(one[4]["clicks"], other[4]["clicks"][0])


def test_gymnasiums_own_vector_env_takes_the_scalar_one():
    env = SyncVectorEnv([lambda: make_env(seed=1), lambda: make_env(seed=2)])
    observation, _ = env.reset(seed=[1, 2])
    assert observation in env.observation_space
    sample = env.action_space.sample()
    assert sample in env.action_space
    env.step(sample)


def test_more_than_one_session_is_refused():
    with pytest.raises(ValueError, match="needs 1 session, not 2"):
        SlateRecEnv(make_sessions(2), CATEGORY_SIZES)


def test_excluded_items_are_observed_and_decoded_around():
    for decoder in (TOKENS, HYPER):
        env = DecodedActions(make_env(exclude_shown=True), decoder)
        first, _ = env.reset(seed=0)
        assert "shown" in first
        shown = []
        action = env.action_space.sample()
        for _ in range(8):
            observation, _, terminated, truncated, info = env.step(action)
            shown.extend(info["slate"].tolist())
            assert_same(observation["shown"][: len(shown)], np.array(shown))
            if terminated or truncated:
                break
        assert len(set(shown)) == len(shown) > SLATE
    assert isinstance(env, gymnasium.Env)


def test_a_live_set_is_all_that_slates_take():
    env = make_vector_env(batch_size=2)
    live = np.zeros(N_ITEMS + 1, bool)
    live[[3, 5, 7, 11]] = True
    codes = np.where(live[:, None], 0, -1)
    env.set_catalogue(LiveCatalogue(live, np.zeros((N_ITEMS + 1, 2), np.float32), codes))
    slates = env.action_space.sample()
    assert live[slates].all()
    assert slates in env.action_space and slates[0] in env.single_action_space
    assert np.array([3, 5, 8]) not in env.single_action_space
    env.reset()
    env.step(slates)
    with pytest.raises(ValueError, match="is 8, which is not live"):
        env.step(np.array([[3, 5, 8], [3, 5, 7]]))
