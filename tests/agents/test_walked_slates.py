"""Slates drawn down the trie: what could not be drawn teaches nothing."""

from __future__ import annotations

import numpy as np
import torch

from hsrl_pipeline.agents.walked_slates import TrieSlates
from hsrl_pipeline.networks.trie_policy import TriePolicy
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie

# items 1 and 2 share a code, 5 has none
CODES = np.array([[-1, -1], [0, 1], [0, 1], [1, 0], [0, 0], [-1, -1]])


def test_an_item_that_could_not_be_drawn_teaches_nothing_and_the_others_are_finite() -> None:
    torch.manual_seed(0)
    head = TriePolicy(4, (2, 2), CodeTrie(CODES, (2, 2)))
    empty = torch.zeros(3, 0)
    shown = torch.tensor([[1], [0], [1]])
    observation = Observation(empty.long(), empty, empty.long(), torch.zeros(3).long(), shown)
    slates = torch.tensor([[1, 3], [5, 3], [2, 3]])
    state = torch.randn(3, 4)
    found = TrieSlates(head, 2, 4).likelihood(state, observation, slates)
    # item 1 was shown before, item 5 cannot be recommended
    assert found.items[:2, 0].tolist() == found.positions[:2, 0].tolist() == [0.0, 0.0]
    assert all(part.isfinite().all() for part in found)
    # the code of item 2 is all its own once item 1 is out
    log_prob = head.item_log_prob(state, slates)
    torch.testing.assert_close(found.items[2, 0], log_prob[2, 0] + np.log(2.0))
    torch.testing.assert_close(found.items[:, 1], log_prob[:, 1])
