import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.replay_buffer import ReplayBuffer
from hsrl_pipeline.replay.transitions import JudgedSlates, TransitionBatch


def transitions(first, count, shown=0, latent=2):
    """Transitions whose every entry tells their number and field."""
    number = torch.arange(first, first + count)

    def grid(width, offset):
        return number[:, None] * 100 + offset + torch.arange(width)

    return TransitionBatch(
        Observation(grid(2, 1), grid(1, 10).float(), grid(4, 20), number, grid(shown, 60)),
        grid(3, 30),
        grid(3, 40).float(),
        number.float(),
        Observation(grid(2, 1), grid(1, 10).float(), grid(4, 50), number + 1, grid(shown, 70)),
        number % 2 == 0,
        number % 3 == 0,
        grid(latent, 80).float(),
        -number.float(),
    )


def make_buffer(capacity=8, seed=0):
    return ReplayBuffer(capacity, torch.Generator().manual_seed(seed))


def assert_same(first, second):
    for left, right in zip(first, second, strict=True):
        if isinstance(left, Observation):
            assert_same(left, right)
        elif left is None:
            assert right is None
        else:
            assert left.dtype == right.dtype
            assert torch.equal(left, right)


@pytest.mark.parametrize("shown", [0, 5])
@pytest.mark.parametrize("latent", [0, 2])
def test_what_goes_in_comes_out(shown, latent):
    buffer = make_buffer()
    batch = transitions(3, 4, shown, latent)
    buffer.add(batch)
    assert_same(buffer.newest(4), batch)


@given(st.lists(st.integers(1, 8), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_ring_keeps_the_newest_in_order(sizes):
    buffer, first = make_buffer(), 1
    for size in sizes:
        buffer.add(transitions(first, size))
        first += size
    count = min(first - 1, 8)
    assert len(buffer) == count
    assert buffer.newest(100).reward.tolist() == list(range(first - count, first))
    assert set(buffer.sample(200).reward.tolist()) <= set(range(first - count, first))


def test_a_buffer_of_one_place_keeps_the_newest():
    buffer = make_buffer(capacity=1)
    for number in (1, 2, 3):
        buffer.add(transitions(number, 1))
    assert buffer.newest(5).reward.tolist() == [3]


def test_draws_cover_the_buffer_uniformly():
    buffer = make_buffer()
    buffer.add(transitions(0, 8))
    counts = torch.bincount(buffer.sample(8000).reward.long(), minlength=8)
    assert (counts - 1000).abs().max() < 150


def test_equal_seeds_draw_equally_and_others_do_not():
    buffers = [make_buffer(seed=seed) for seed in (1, 1, 2)]
    for buffer in buffers:
        buffer.add(transitions(0, 8))
    draws = [buffer.sample(20).reward for buffer in buffers]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_integers_are_stored_compactly():
    buffer = make_buffer(1000)
    buffer.add(transitions(0, 8))
    state = buffer.state_dict()
    assert state["integers"].dtype == torch.int32
    assert state["integers"].shape[0] == 8


def test_restored_buffer_continues_identically():
    buffer = make_buffer()
    for first in (0, 5):
        buffer.add(transitions(first, 5))
    buffer.sample(3)
    copy = make_buffer(seed=99)
    copy.load_state_dict(buffer.state_dict())
    for each in (buffer, copy):
        each.add(transitions(20, 6))
    assert_same(buffer.newest(8), copy.newest(8))
    assert_same(buffer.sample(16), copy.sample(16))


def test_restoring_an_empty_buffer():
    copy = make_buffer(seed=3)
    copy.load_state_dict(make_buffer(seed=4).state_dict())
    assert len(copy) == 0


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: ReplayBuffer(0, torch.Generator()), "capacity is 0"),
        (lambda: make_buffer().sample(1), "empty replay buffer"),
        (lambda: make_buffer().newest(1), "empty replay buffer"),
        (lambda: make_buffer().add(transitions(0, 9)), "batch of 9 transitions"),
        (lambda: make_buffer().load_state_dict(make_buffer(9).state_dict()), "of 9 transitions"),
    ],
)
def test_misuse_is_refused(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_other_widths_are_refused():
    buffer = make_buffer()
    buffer.add(transitions(0, 2))
    with pytest.raises(ValueError, match="latent=3"):
        buffer.add(transitions(2, 2, latent=3))


def test_responses_come_back_from_the_sign_of_the_items():
    batch = transitions(1, 3)
    padded = batch.observation.history.clone()
    padded[:, 0] = 0
    clicked = torch.tensor([[0, 1, 0, 1]] * 3)
    before = batch.observation._replace(history=padded, responses=clicked)
    after = batch.next_observation._replace(responses=1 - clicked)
    batch = batch._replace(observation=before, next_observation=after)
    buffer = make_buffer()
    buffer.add(batch)
    assert_same(buffer.newest(3), batch)
    other = make_buffer(seed=1)
    other.load_state_dict(buffer.state_dict())
    assert_same(other.newest(3), batch)
    with pytest.raises(ValueError, match="the buffer was filled with"):
        buffer.add(transitions(4, 3))


def test_a_state_of_a_version_without_responses_is_read():
    buffer, older = make_buffer(), make_buffer()
    buffer.add(transitions(1, 3))
    state = buffer.state_dict()
    state["widths"] = state["widths"][:6]
    older.load_state_dict(state)
    assert_same(older.newest(3), transitions(1, 3))


def test_judged_slates_are_refused_for_they_would_be_lost():
    judged = JudgedSlates(torch.ones(1, 2, 3, dtype=torch.int64), torch.ones(1, 2, 3))
    with pytest.raises(ValueError, match="judged slates"):
        make_buffer().add(transitions(1, 2)._replace(judged=judged))
