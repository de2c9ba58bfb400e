import numpy as np
import pytest

from hsrl_pipeline.semantic_ids.leaf_order import mark_first_leaves, order_by_codes


def in_words(items, roots, codes):
    """Sort as Python sorts tuples."""
    keys = [
        (0 if roots is None else int(roots[place]), *codes[item].tolist(), int(item))
        for place, item in enumerate(items)
    ]
    return [key[-1] for key in sorted(keys)]


@pytest.mark.parametrize("shelves", [1, 3])
@pytest.mark.parametrize(
    "vocab_sizes",
    # the keys of the last one do not fit in 64 bits
    [(5,), (3, 4), (3, 2, 4), (256,) * 8],
)
def test_items_come_in_the_order_of_shelf_codes_and_number(vocab_sizes, shelves):
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, min(size, 3), 60) for size in vocab_sizes], axis=1)
    codes[-1] = np.array(vocab_sizes) - 1
    items = np.flatnonzero(rng.random(60) < 0.8)
    items = np.union1d(items, [59])
    roots = rng.integers(0, shelves, len(items)) if shelves > 1 else None
    found = order_by_codes(items, roots, codes, vocab_sizes)
    assert found.tolist() == in_words(items, roots, codes)
    assert roots is None or roots.max() == shelves - 1


def test_first_items_of_prefixes_are_marked():
    codes = np.array([[-1, -1], [1, 0], [0, 2], [1, 0], [0, 1], [1, 0]])
    marks = mark_first_leaves(np.array([4, 2, 1, 3, 5]), np.array([0, 0, 0, 0, 1]), codes)
    assert [mark.astype(int).tolist() for mark in marks] == [
        [1, 0, 0, 0, 1],
        [1, 0, 1, 0, 1],
        [1, 1, 1, 0, 1],
    ]
