import numpy as np
import pytest
import torch

from hsrl_pipeline.config.session import CandidatesConfig
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.simulator.candidates import CandidateRules

SHELVES = np.array([0, 1, 1, 1, 2, 2, 2])
NOTHING_SHOWN = torch.zeros(2, 0, dtype=torch.int64)


def make_rules(*, enforce_shelves=False, shelves=None, horizon=1, **options):
    rules = {
        name: options.pop(name) for name in ("exclude_shown", "frequency_cap") & options.keys()
    }
    sizes = options
    return CandidateRules(
        CandidatesConfig(enforce_shelves=enforce_shelves, **rules),
        n_items=sizes.get("n_items", 6),
        slate_size=sizes.get("slate_size", 2),
        horizon=horizon,
        shelves=shelves,
    )


def test_distinct_known_items_pass():
    make_rules().check(torch.tensor([[1, 6], [3, 2]]), NOTHING_SHOWN)


@pytest.mark.parametrize(
    ("slates", "message"),
    [
        (torch.tensor([[1, 2], [3, 0]]), r"slates\[1, 1\] is 0 \(padding\), which is no item"),
        (torch.tensor([[1, 2], [7, 3]]), r"slates\[1, 0\] is 7, which is no item"),
        (torch.tensor([[-1, 2], [4, 3]]), r"slates\[0, 0\] is -1, which is no item"),
        (torch.tensor([[1, 2], [4, 4]]), r"slates\[1, 1\] is 4, which appears earlier"),
        (torch.tensor([[1, 2, 3], [4, 5, 6]]), r"shape \(2, 3\), expected \(2, 2\)"),
        (torch.tensor([[1, 2]]), r"shape \(1, 2\), expected \(2, 2\)"),
        (torch.tensor([1, 2]), r"shape \(2,\)"),
        (torch.tensor([[1.0, 2.0], [3.0, 4.0]]), r"dtype torch.float32, expected torch.int64"),
        (torch.tensor([[1, 2], [3, 4]], dtype=torch.int32), r"dtype torch.int32"),
    ],
)
def test_bad_slates_are_refused_with_their_place(slates, message):
    with pytest.raises(ValueError, match=message):
        make_rules().check(slates, NOTHING_SHOWN)


def test_slots_are_bound_to_shelves_in_order():
    rules = make_rules(enforce_shelves=True, shelves=SHELVES)
    rules.check(torch.tensor([[1, 4], [3, 6]]), NOTHING_SHOWN)
    with pytest.raises(ValueError, match=r"slates\[1, 0\] is 5, which is not of the slot's shelf"):
        rules.check(torch.tensor([[1, 4], [5, 2]]), NOTHING_SHOWN)
    with pytest.raises(ValueError, match=r"slates\[0, 1\] is 9, which is no item"):
        rules.check(torch.tensor([[1, 9], [1, 4]]), NOTHING_SHOWN)


def test_items_shown_earlier_are_refused_per_session():
    rules = make_rules(exclude_shown=True, horizon=2)
    shown = torch.tensor([[1, 2, 0, 0], [3, 4, 0, 0]])
    rules.check(torch.tensor([[3, 4], [1, 2]]), shown)
    with pytest.raises(ValueError, match=r"slates\[1, 1\] is 4, which was already shown"):
        rules.check(torch.tensor([[3, 4], [1, 4]]), shown)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"enforce_shelves": True}, "the items have none"),
        ({"enforce_shelves": True, "shelves": SHELVES, "slate_size": 3}, "does not divide"),
        ({"exclude_shown": True, "horizon": 4}, "8 different items from a set of 6"),
        ({"frequency_cap": 1, "horizon": 4}, "8 different items from a set of 6"),
        ({"frequency_cap": 2, "horizon": 6}, "7 different items from a set of 6"),
        (
            {"exclude_shown": True, "enforce_shelves": True, "shelves": SHELVES, "horizon": 4},
            "4 different items from a set of 3",
        ),
        ({"n_items": 1}, "2 different items from a set of 1"),
    ],
)
def test_rules_that_cannot_be_met_are_refused_at_once(options, message):
    with pytest.raises(UserError, match=message):
        make_rules(**options)


def test_items_at_their_cap_are_refused():
    rules = make_rules(frequency_cap=2, horizon=5)
    shown = torch.tensor([[0, 0], [4, 0]])
    rules.check(torch.tensor([[4, 1], [2, 1]]), shown)
    with pytest.raises(ValueError, match=r"slates\[1, 0\] is 4, which was already shown 2 times"):
        rules.check(torch.tensor([[4, 1], [4, 1]]), shown)


def test_a_slate_larger_than_its_set_of_items_is_refused():
    with pytest.raises(UserError, match=r"A slate takes 3 different items from a set of 2 \(inges"):
        make_rules(n_items=2, slate_size=3)


def test_a_set_that_just_fills_a_slate_is_enough():
    make_rules(n_items=2).check(torch.tensor([[2, 1], [1, 2]]), NOTHING_SHOWN)


def test_the_shelf_of_padding_is_no_shelf():
    shelves = np.array([9, 1, 1, 1, 2, 2, 2])
    rules = make_rules(enforce_shelves=True, shelves=shelves)
    rules.check(torch.tensor([[1, 4], [3, 6]]), NOTHING_SHOWN)
    # the last item of the first shelf and the first of the second are enough
    rules.set_live(np.isin(np.arange(7), [3, 4]))
    with pytest.raises(UserError, match="1 different items from a set of 0 live"):
        rules.set_live(np.isin(np.arange(7), [1, 3]))
