from __future__ import annotations

import numpy as np

from hsrl_pipeline.semantic_ids.codebook import NO_CODE, Codebook
from hsrl_pipeline.semantic_ids.reports.control import shuffle_codes
from hsrl_pipeline.semantic_ids.reports.diagnostics import prefix_neighbour_share


def test_the_same_codes_are_dealt_out_differently(codebook: Codebook) -> None:
    shuffled = shuffle_codes(codebook, seed=0)
    order = np.lexsort(codebook.codes.T)
    assert (codebook.codes[order] == shuffled.codes[np.lexsort(shuffled.codes.T)]).all()
    assert (shuffled.codes != codebook.codes).any()
    assert shuffled.version != codebook.version
    assert shuffled.metadata["parent_version"] == codebook.version
    assert (shuffle_codes(codebook, seed=0).codes == shuffled.codes).all()
    assert (shuffle_codes(codebook, seed=1).codes != shuffled.codes).any()


def test_released_items_stay_without_a_code(codebook: Codebook) -> None:
    shuffled = shuffle_codes(codebook.release_items(np.array([7])), seed=0)
    assert (shuffled.codes[7] == NO_CODE).all()
    assert (shuffled.codes[1:7] != NO_CODE).all()


def test_neighbours_no_longer_share_prefixes(codebook: Codebook, vectors: np.ndarray) -> None:
    real = prefix_neighbour_share(vectors[1:], codebook.codes[1:], seed=0)
    shuffled = shuffle_codes(codebook, seed=0)
    control = prefix_neighbour_share(vectors[1:], shuffled.codes[1:], seed=0)
    assert control[0] < 0.5 * real[0]
