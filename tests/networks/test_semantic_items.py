import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.networks.semantic_items import SemanticItems

CODES = np.array([[-1, -1], [0, 0], [0, 1], [1, 1], [1, 1], [2, 0]])


def level_log_probs():
    first = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]).log()
    second = torch.tensor([[0.4, 0.6], [0.9, 0.1]]).log()
    return [first, second]


def test_items_sharing_a_code_share_its_probability():
    scores = SemanticItems(CODES, (3, 2)).catalogue_log_probs(level_log_probs())
    expected = [
        [0.0, 0.5 * 0.4, 0.5 * 0.6, 0.3 * 0.6 / 2, 0.3 * 0.6 / 2, 0.2 * 0.4],
        [0.0, 0.1 * 0.9, 0.1 * 0.1, 0.1 * 0.1 / 2, 0.1 * 0.1 / 2, 0.8 * 0.9],
    ]
    torch.testing.assert_close(scores.exp(), torch.tensor(expected))


def test_given_items_agree_with_the_catalogue():
    items = SemanticItems(CODES, (3, 2))
    slates = torch.tensor([[4, 1], [5, 2]])
    torch.testing.assert_close(
        items.log_prob(level_log_probs(), slates),
        items.catalogue_log_probs(level_log_probs()).gather(1, slates),
    )


@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_catalogue_is_the_plain_sum_over_levels(n_levels, n_items, seed):
    rng = np.random.default_rng(seed)
    sizes = tuple(int(size) for size in rng.integers(1, 5, n_levels))
    real = np.stack([rng.integers(0, size, n_items) for size in sizes], axis=1)
    codes = np.concatenate([np.full((1, n_levels), -1), real])
    log_probs = [
        torch.from_numpy(rng.normal(size=(3, size))).float().log_softmax(-1) for size in sizes
    ]
    plain = sum(p[:, real[:, level]] for level, p in enumerate(log_probs))
    counts = np.array([(real == row).all(1).sum() for row in real])
    scores = SemanticItems(codes, sizes).catalogue_log_probs(log_probs)
    torch.testing.assert_close(scores[:, 1:], plain - torch.from_numpy(counts).float().log())
    assert (scores[:, 0] == -torch.inf).all()
    assert (scores.exp().sum(-1) <= 1 + 1e-5).all()


@pytest.mark.parametrize(("item", "level", "code"), [(2, 0, 3), (5, 1, -1), (1, 1, 2)])
def test_an_item_without_a_valid_code_is_named(item, level, code):
    codes = CODES.copy()
    codes[item, level] = code
    with pytest.raises(ValueError, match=rf"item {item} has code {code} at level {level + 1}"):
        SemanticItems(codes, (3, 2))
