import pickle

import numpy as np
import pytest
import torch
from gymnasium.vector.utils import batch_space

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.gym.spaces import SlateSpace, observation_space

SHELVES = np.array([0, 1, 1, 2, 2, 2])


def test_samples_are_distinct_seeded_and_cover_the_catalogue():
    space = SlateSpace(5, 3, seed=0)
    samples = [space.sample() for _ in range(200)]
    assert all(len(set(sample.tolist())) == 3 and sample in space for sample in samples)
    assert set(np.concatenate(samples).tolist()) == {1, 2, 3, 4, 5}
    twin = SlateSpace(5, 3, seed=0)
    assert [twin.sample().tolist() for _ in range(200)] == [s.tolist() for s in samples]


@pytest.mark.parametrize(
    "slate", [[1, 1, 2], [0, 1, 2], [1, 2, 6], [1, 2], [1.0, 2.0, 3.0], "abc", None]
)
def test_what_is_no_slate_is_not_contained(slate):
    value = np.array(slate) if isinstance(slate, list) else slate
    assert value not in SlateSpace(5, 3)


def test_shelves_bind_the_slots():
    space = SlateSpace(5, 2, SHELVES, seed=1)
    for _ in range(20):
        first, second = space.sample().tolist()
        assert first in {1, 2}
        assert second in {3, 4, 5}
    assert np.array([3, 1]) not in space
    assert np.array([1, 3]) in space


def test_batches_are_slates_row_by_row():
    space = batch_space(SlateSpace(5, 2, SHELVES, seed=1), 40)
    sample = space.sample()
    assert sample.shape == (40, 2)
    assert sample in space
    sample[3] = [1, 1]
    assert sample not in space


def test_equality_copy_and_representation():
    space = SlateSpace(5, 2, SHELVES)
    assert space == pickle.loads(pickle.dumps(space))
    assert space != SlateSpace(5, 2)
    assert space != SlateSpace(6, 2)
    assert repr(space) == "SlateSpace(n_items=5, shape=(2,))"


def test_masks_by_slot_are_refused():
    with pytest.raises(ValueError, match="sampled as a whole"):
        SlateSpace(5, 2).sample(mask=(np.ones(5, np.int8),) * 2)


def test_fields_of_width_zero_are_left_out():
    bare = Observation(
        torch.zeros(1, 0, dtype=torch.int64),
        torch.zeros(1, 0),
        torch.zeros(1, 4, dtype=torch.int64),
        torch.zeros(1, dtype=torch.int64),
    )
    assert list(observation_space(bare, (), 9, 20)) == ["history", "step"]
    full = bare._replace(
        user_dense=torch.zeros(1, 2),
        shown=torch.zeros(1, 6).long(),
        responses=torch.zeros(1, 4).long(),
    )
    space = observation_space(full, (3, 4), 9, 20)
    names = {"history", "step", "user_categories", "user_dense", "shown", "responses"}
    assert set(space) == names
    assert space["responses"].shape == (4,) and int(space["responses"].high.max()) == 1
    assert space["user_categories"].nvec.tolist() == [3, 4]
    assert int(space["history"].high.max()) == 9
