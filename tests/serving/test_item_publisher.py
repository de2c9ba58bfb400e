"""Vectors and semantic IDs of new items, and what is taken already."""

from __future__ import annotations

import numpy as np
import pytest

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.serving.item_publisher import ItemPublisher

from .small_model import new_item, small_publisher

ROWS = np.array([5, 3])
NOTHING = np.full((7, 2), -1)
ITEMS = [new_item("a"), new_item("b", vector=[-1.0, 2.0, 0.0])]


def test_a_publication_depends_on_no_other_item_of_the_request() -> None:
    both = small_publisher().publish(ITEMS, ROWS, NOTHING)
    alone = small_publisher().publish(ITEMS[1:], ROWS[1:], NOTHING)
    assert both.items.tolist() == [5, 3]
    np.testing.assert_array_equal(both.item_vectors[1], alone.item_vectors[0])
    np.testing.assert_array_equal(both.codes[1], alone.codes[0])
    np.testing.assert_allclose(np.linalg.norm(both.item_vectors, axis=1), 1.0, rtol=1e-5)


def test_a_code_that_is_taken_is_not_given_again() -> None:
    publisher = small_publisher("reassign")
    free = publisher.publish(ITEMS[:1], ROWS[:1], NOTHING).codes[0]
    taken = NOTHING.copy()
    taken[2] = free
    assert publisher.publish(ITEMS[:1], ROWS[:1], taken).codes[0].tolist() != free.tolist()
    full = np.array([[-1, -1], *([first, second] for first in range(3) for second in range(4))])
    with pytest.raises(UserError, match="more codes"):
        publisher.publish(ITEMS[:1], np.array([13]), np.vstack([full, [[-1, -1]]]))


def test_a_checkpoint_gives_the_same_publication() -> None:
    publisher = small_publisher()
    restored = ItemPublisher.from_checkpoint(publisher.to_checkpoint())
    one, other = (made.publish(ITEMS, ROWS, NOTHING) for made in (publisher, restored))
    np.testing.assert_array_equal(one.item_vectors, other.item_vectors)
    np.testing.assert_array_equal(one.codes, other.codes)
    assert restored.vocab_sizes == (3, 4)


def test_a_new_item_has_no_quality_and_its_code_does_not_depend_on_it() -> None:
    plain, rated = (
        small_publisher(quality_weight=weight).publish(ITEMS, ROWS, NOTHING) for weight in (0, 2)
    )
    np.testing.assert_array_equal(rated.item_vectors, np.pad(plain.item_vectors, ((0, 0), (0, 2))))
    np.testing.assert_array_equal(rated.codes, plain.codes)
