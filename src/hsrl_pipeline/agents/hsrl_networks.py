"""The networks of ``hsrl``, untrained, and the codes that its head decides on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from hsrl_pipeline.agents.base import AgentContext
from hsrl_pipeline.agents.encoding import build_state_encoder, initial_weights
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.networks.multi_level_critic import MultiLevelCritic
from hsrl_pipeline.networks.state_encoder import StateEncoder
from hsrl_pipeline.networks.trie_policy import TriePolicy
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie


class HsrlNetworks(NamedTuple):
    """What ``hsrl`` is made of.

    Attributes:
        encoder: States from observations.
        head: Scores of items from states.
        click_bias: (batch, embed) to (batch, shelf). Levels of click log-odds from states.
        critic: Values of states.
    """

    encoder: StateEncoder
    head: CodeScores | TriePolicy
    click_bias: nn.Linear
    critic: MultiLevelCritic


def build_networks(settings: HsrlSettings, context: AgentContext) -> HsrlNetworks:
    """Return the networks of an agent with these settings."""
    width = settings.encoder.embedding_size
    encoder = build_state_encoder(settings.encoder, context)
    with initial_weights(context.seed, "agent.hsrl.networks"):
        head = build_head(settings, context)
        click_bias = nn.Linear(width, int(shelf_numbers(context).max()) + 1)
        critic = MultiLevelCritic(width, 1, settings.critic_hidden_size)
    return HsrlNetworks(encoder, head, click_bias, critic)


def build_head(settings: HsrlSettings, context: AgentContext) -> CodeScores | TriePolicy:
    """Return what scores items from states."""
    width = settings.encoder.embedding_size
    codes, vocab_sizes = decided_codes(context.codes, context.vocab_sizes, settings)
    vectors = torch.from_numpy(context.item_vectors) if settings.use_leaf_vectors else None
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
