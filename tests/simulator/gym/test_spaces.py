import copy
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


WIDTHS = "int8 uint8 int16 uint16 int32 uint32 int64 uint64 >i4".split()


class Hostile:
    """An object that fails whatever it is asked for."""

    def __array__(self, *_, **__):
        raise RuntimeError("no array here")


@pytest.mark.parametrize("width", WIDTHS)
def test_whole_numbers_of_any_width_are_slates(width):
    space = SlateSpace(5, 3)
    array = np.array([1, 2, 5], width)
    assert space.contains(array) is True
    assert space.contains(list(array)) is True
    assert space.contains(np.array([1, 2, 2], width)) is False
    assert space.contains(np.array([1, 2, 6], width)) is False
    if not width.startswith(">"):
        assert space.contains(torch.tensor([1, 2, 5], dtype=getattr(torch, width))) is True


@pytest.mark.parametrize(
    "slate",
    [
        [1, 2, 5],
        (5, 1, 2),
        [torch.tensor(1), torch.tensor(2), torch.tensor(5)],
        [np.int8(1), 2, np.uint64(5)],
    ],
)
def test_lists_and_tuples_are_slates(slate):
    assert SlateSpace(5, 3).contains(slate) is True


@pytest.mark.parametrize(
    "thing",
    [
        None,
        3,
        2.5,
        "abc",
        b"abc",
        "123",
        [],
        [1, 2],
        [[1, 2, 3]],
        [1, [2, 3], 4],
        [1, 2, None],
        [1, 2, "3"],
        [1, 2, 2**63],
        [1, 2, 2**70],
        [1, 2, -1],
        [1.0, 2.0, 3.0],
        [True, False, True],
        {1, 2, 3},
        {1: 2, 2: 3, 3: 4},
        (n for n in (1, 2, 3)),
        Hostile(),
        [Hostile(), 1, 2],
        object(),
        int,
        np.array([1, 2, 3], object),
        np.array([1, 2, 2**64 - 1], np.uint64),
        np.array(["2020-01-01"] * 3, "datetime64[D]"),
        np.zeros((0, 3), int),
        torch.tensor([1.0, 2.0, 3.0]),
        torch.tensor([True, True, True]),
        torch.tensor([1, 2, -1]).view(torch.uint64),
        torch.tensor([1 + 0j, 2, 3]),
        pytest.param(np.array([1, 2, 3], np.longdouble), id="longdouble"),
    ],
    # an address in a name would differ between the processes of a parallel run
    ids=lambda thing: repr(thing).partition(" at 0x")[0],
)
def test_anything_else_is_not_contained_and_nothing_raises(thing):
    for space in (SlateSpace(5, 3), SlateSpace(5, 3, batch=2), SlateSpace(5, 2, SHELVES)):
        assert space.contains(thing) is False


def masks(*slots):
    return tuple(np.isin(np.arange(1, 6), items).astype(np.int8) for items in slots)


class TestMasks:
    def test_only_masked_items_come_and_all_of_them_do(self):
        space = SlateSpace(5, 2, seed=0)
        samples = {tuple(space.sample(masks([1, 2], [2, 4])).tolist()) for _ in range(100)}
        assert samples == {(1, 2), (1, 4), (2, 4)}

    def test_a_slot_makes_room_for_one_that_has_no_choice(self):
        space = SlateSpace(5, 3, seed=0)
        mask = masks([1, 2, 3], [1, 2], [1])
        assert {tuple(space.sample(mask).tolist()) for _ in range(30)} == {(3, 2, 1)}

    def test_a_mask_of_nothing_gives_the_smallest_item_of_the_slot(self):
        assert SlateSpace(5, 2, seed=0).sample(masks([], [3])).tolist() == [1, 3]
        shelved = SlateSpace(5, 2, SHELVES, seed=0)
        assert shelved.sample(masks([2], [])).tolist() == [2, 3]

    def test_probabilities_weigh_and_leave_out(self):
        space = SlateSpace(3, 1, seed=0)
        weights = (np.array([0.75, 0.25, 0.0]),)
        drawn = [int(space.sample(probability=weights)[0]) for _ in range(2000)]
        assert set(drawn) == {1, 2}
        assert drawn.count(1) / 2000 == pytest.approx(0.75, abs=0.04)

    def test_batches_take_a_mask_for_every_slate(self):
        space = SlateSpace(5, 2, batch=2, seed=0)
        sample = space.sample((masks([1], [2]), masks([4], [5])))
        assert sample.tolist() == [[1, 2], [4, 5]]
        assert sample in space

    def test_seeded_samples_repeat(self):
        one, two = (SlateSpace(5, 3, seed=4) for _ in range(2))
        mask = masks([1, 2, 3], [2, 3, 4], [3, 4, 5])
        for _ in range(10):
            assert one.sample(mask).tolist() == two.sample(mask).tolist()

    @pytest.mark.parametrize(
        ("mask", "probability", "message"),
        [
            (masks([1], [1]), None, "no slate of distinct items fits"),
            (masks([3], [1, 2]), None, "no slate of distinct items fits"),
            (masks([1]), None, "no tuple of one"),
            (list(masks([1], [2])), None, "no tuple of one"),
            ((np.ones(5), np.ones(5)), None, r"no tuple of one \(5,\) int8"),
            ((np.full(5, 2, np.int8),) * 2, None, "not 0 or 1"),
            (None, (np.ones(5),) * 2, "sum of 1"),
            (None, masks([1], [2]), r"\(5,\) float64"),
            (masks([1], [3]), (np.full(5, 0.2),) * 2, "not both"),
            (7, None, "no tuple of one"),
        ],
    )
    def test_other_masks_are_refused(self, mask, probability, message):
        space = SlateSpace(5, 2, SHELVES)
        with pytest.raises(ValueError, match=message):
            space.sample(mask, probability)


def test_a_batched_space_samples_apart_from_the_single_one():
    single = SlateSpace(5, 2, seed=3)
    many, others = batch_space(single, 4), batch_space(SlateSpace(5, 2, seed=3), 4)
    single.sample()
    assert many.sample().tolist() == others.sample().tolist()


def test_copies_of_a_space_go_on_with_the_same_samples():
    space = SlateSpace(5, 2, SHELVES, seed=3)
    space.sample()
    for twin in (pickle.loads(pickle.dumps(space)), copy.deepcopy(space)):
        assert twin == space
        assert twin.sample().tolist() == copy.deepcopy(space).sample().tolist()
    assert space.from_jsonable(space.to_jsonable([np.array([1, 3])]))[0] in space


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
