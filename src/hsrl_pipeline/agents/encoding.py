"""Build the shared state encoder of an agent from its settings and the data's sizes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hsrl_pipeline.agents.base import AgentContext
from hsrl_pipeline.config.agents.shared import EncoderConfig, NewItemRule
from hsrl_pipeline.networks.item_representation import ItemRepresentation
from hsrl_pipeline.networks.state_encoder import StateEncoder
from hsrl_pipeline.seeding import derive_seed


@contextmanager
def initial_weights(seed: int, stream: str) -> Iterator[None]:
    """Draw initial weights from a named stream, leaving the global random state as it was.

    Args:
        seed: Seed of the run.
        stream: Name of the weights' random stream.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, stream))
        yield


def build_state_encoder(
    config: EncoderConfig,
    context: AgentContext,
    stream: str = "agent.encoder",
    new_items: NewItemRule = "mean",
) -> StateEncoder:
    """Return a freshly initialised encoder on the context's device.

    The initial weights depend on ``context.seed`` and ``stream`` only; the global random state is
    left as it was.

    Args:
        config: Size and inputs of the encoder.
        context: Sizes, item vectors, codes and seed.
        stream: Name of the random stream of the initial weights.
        new_items: What the learned vector of an item that arrives later starts with.

    Returns:
        The encoder, in training mode.
    """
    with initial_weights(context.seed, stream):
        items = ItemRepresentation(
            context.n_items,
            config.embedding_size,
            torch.from_numpy(context.item_vectors) if config.use_item_vectors else None,
            use_ids=config.use_item_ids,
            codes=torch.from_numpy(context.codes) if config.use_item_codes else None,
            vocab_sizes=context.vocab_sizes,
            new_items=new_items,
        )
        encoder = StateEncoder(
            items,
            context.history_size,
            n_layers=config.n_layers,
            n_heads=config.n_heads,
            feedforward_size=config.feedforward_size,
            dropout=config.dropout,
            category_sizes=context.category_sizes if config.use_user_features else (),
            n_dense=context.n_dense if config.use_user_features else 0,
            max_step=context.horizon if config.use_step else None,
            reads_responses=context.history == "responses",
        )
    return encoder.to(context.device)
