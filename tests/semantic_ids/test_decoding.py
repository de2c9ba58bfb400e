from __future__ import annotations

import numpy as np
import pytest
import torch

from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.decoding import SidDecoder
from hsrl_pipeline.semantic_ids.nearest import LevelCentroids
from hsrl_pipeline.semantic_ids.residual_quantizer import ResidualQuantizer

A, B, C, NOBODY = [0, 0], [0, 1], [1, 0], [1, 1]


@pytest.fixture
def codebook() -> Codebook:
    """Items 1, 2 and 4 under A, 3 under B, 5 and 6 under C."""
    quantizer = ResidualQuantizer((LevelCentroids.plain(np.zeros((2, 1), np.float32)),) * 2)
    return Codebook(quantizer, np.array([[-1, -1], A, A, B, A, C, C]), (2, 2), "keep")


@pytest.fixture
def decoder(codebook: Codebook) -> SidDecoder:
    priors = np.array([0, 0.1, 0.9, 0.5, 0.3, 0.7, 0.7], np.float32)
    return SidDecoder.from_codebook(codebook, priors, frequency_cap=1)


def test_the_best_prior_is_chosen_and_ties_go_to_the_smaller_index(decoder: SidDecoder) -> None:
    codes = torch.tensor([A, B, C, NOBODY])
    assert decoder.decode(codes).tolist() == [2, 3, 5, 0]
    assert decoder.ranked_items(codes[:1]).tolist() == [[2, 4, 1]]


def test_items_shown_too_often_give_way(decoder: SidDecoder) -> None:
    codes = torch.tensor([A, A, B])
    shown = torch.tensor([[2, 0, 0], [2, 4, 0], [3, 0, 0]])
    assert decoder.decode(codes, shown).tolist() == [4, 1, 0]


def test_a_higher_cap_allows_repetition(codebook: Codebook) -> None:
    decoder = SidDecoder.from_codebook(codebook, np.arange(7, dtype=np.float32), frequency_cap=2)
    shown = torch.tensor([[4, 1], [4, 4]])
    assert decoder.decode(torch.tensor([A, A]), shown).tolist() == [4, 2]


def test_slates_take_in_all_items_of_a_code_while_there_is_room(decoder: SidDecoder) -> None:
    codes = torch.tensor([[B, A, C], [C, NOBODY, B]])
    assert decoder.fill_slates(codes, 5).tolist() == [[3, 2, 4, 1, 5], [5, 6, 3, 0, 0]]
    shown = torch.tensor([[2, 0], [5, 6]])
    assert decoder.fill_slates(codes, 2, shown).tolist() == [[3, 4], [3, 0]]
    assert decoder.fill_slates(codes[:, :1], 4).tolist() == [[3, 0, 0, 0], [5, 6, 0, 0]]


def test_priors_need_one_score_per_item(codebook: Codebook) -> None:
    with pytest.raises(ValueError, match="priors has shape"):
        SidDecoder.from_codebook(codebook, np.zeros(3, np.float32))
