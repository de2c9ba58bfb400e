"""What ``hsrl`` decides on: the codes of items, and the head that scores them."""

from __future__ import annotations

import numpy as np
import torch

from hsrl_pipeline.agents.base import AgentContext
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.networks.trie_policy import TriePolicy
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie


def build_head(
    settings: HsrlSettings,
    context: AgentContext,
    codes: np.ndarray,
    vocab_sizes: tuple[int, ...],
    vectors: torch.Tensor | None,
) -> CodeScores | TriePolicy:
    """Return what scores items from states, untrained."""
    width = settings.encoder.embedding_size
    if settings.policy_head != "trie":
        codes_alone = settings.policy_head == "codes"
        return CodeScores(
            width,
            codes,
            vocab_sizes,
            context_size=settings.context_size,
            temperature=settings.click_temperature,
            gated=settings.gated_context,
            item_vectors=None if codes_alone else vectors,
            item_priors=context.item_priors,
            item_deviations=settings.item_deviations and not codes_alone,
            arrival_prior=settings.arrival_prior,
            arrival_bonus=settings.arrival_bonus,
        )
    return TriePolicy(
        width,
        vocab_sizes,
        CodeTrie(codes, vocab_sizes, context.shelves, context.item_priors),
        context_update=settings.context_update,
        gated=settings.gated_context,
        temperature=settings.click_temperature,
        valid_only=settings.valid_only,
        item_vectors=vectors,
    )


def decided_codes(
    codes: np.ndarray, vocab_sizes: tuple[int, ...], settings: HsrlSettings
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the codes to decide on: semantic IDs, or one code per item on a single level."""
    if settings.action_space == "semantic_ids":
        return codes, vocab_sizes
    own = np.arange(len(codes))[:, None] - 1
    return np.where((codes == -1).all(1, keepdims=True), -1, own), (len(codes) - 1,)


def shelf_numbers(context: AgentContext) -> np.ndarray:
    """Return (item,) int64, the shelf of each item from 0; all 0 without shelves."""
    if context.shelves is None:
        return np.zeros(context.n_items + 1, np.int64)
    numbers: np.ndarray = np.unique(context.shelves[1:], return_inverse=True)[1]
    return np.concatenate([[0], numbers.ravel()]).astype(np.int64)
