"""Contexts of first codes and what further codes add in them."""

from __future__ import annotations

import pytest
import torch

from hsrl_pipeline.networks.code_tables import EMBEDDING_GAIN, GATE_GAIN, CodeTables


def make_tables(embedding_size: int, vocab_sizes: tuple[int, ...], context_size: int) -> CodeTables:
    torch.manual_seed(0)
    return CodeTables(embedding_size, vocab_sizes, context_size, 0.5, gated=True)


def test_untrained_code_embeddings_and_gates_spread_by_one() -> None:
    tables = make_tables(4, (100, 3), 64)
    for gain, weight in ((EMBEDDING_GAIN, tables.code_embedding), (GATE_GAIN, tables.gate)):
        assert float((gain * weight).std()) == pytest.approx(1.0, rel=0.05)


@torch.no_grad()
def test_further_codes_add_the_products_of_their_rows_with_the_context() -> None:
    tables = make_tables(2, (2, 3, 2), 2)
    tables.heads[1].weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]]))
    tables.heads[1].bias.copy_(torch.tensor([9.0, 0.5, 9.0]))
    tables.heads[2].weight.copy_(torch.tensor([[3.0, -1.0], [0.0, 0.0]]))
    tables.heads[2].bias.copy_(torch.tensor([0.25, 9.0]))
    context, codes = torch.tensor([[10.0, 1.0]]), (torch.tensor([1]), torch.tensor([0]))

    # (10 + 2 + 0.5) + (30 - 1 + 0.25), over a temperature of a half
    assert tables.scores_in_contexts(context, codes).tolist() == [83.5]
    further = tables.further_scores(context)
    assert further[0][0, 1] + further[1][0, 0] == 83.5


@pytest.mark.parametrize("vocab_sizes", [(3,), (3, 2)])
def test_codes_that_an_item_does_not_have_add_nothing(vocab_sizes: tuple[int, ...]) -> None:
    assert not make_tables(4, vocab_sizes, 5).tables(torch.randn(6, 4))[:, 0].any()
