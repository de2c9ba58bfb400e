from __future__ import annotations

import numpy as np

from hsrl_pipeline.semantic_ids.code_paths import NO_NODE, CodePaths

CODES = np.array([[-1, -1], [2, 0], [0, 1], [2, 0], [-1, -1], [2, 1]])


def test_nodes_are_numbered_in_order_of_their_prefixes() -> None:
    paths = CodePaths.from_codes(CODES, (3, 2))
    assert paths.edges[0].tolist() == [0, 2]
    assert paths.edges[1].tolist() == [1, 2, 3]  # parents 0, 1, 1
    assert paths.counts.tolist() == [1, 2, 1]
    assert paths.largest_group == 2
    assert paths.nodes_of(np.array([[2, 0], [0, 0], [9, 0], [-1, 1]])).tolist() == [
        1,
        NO_NODE,
        NO_NODE,
        NO_NODE,
    ]


def test_lookup_pads_to_the_largest_group() -> None:
    paths = CodePaths.from_codes(CODES, (3, 2))
    found = paths.lookup(np.array([[2, 0], [0, 1], [0, 0]]))
    assert found.tolist() == [[1, 3], [2, 0], [0, 0]]


def test_an_empty_catalogue_finds_nothing() -> None:
    paths = CodePaths.from_codes(np.full((1, 2), -1), (3, 2))
    assert paths.lookup(np.array([[0, 0]])).tolist() == [[0]]
