"""What networks take over of a new version of the catalogue."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hsrl_pipeline.catalogue import LiveCatalogue
from hsrl_pipeline.networks.actors import ItemSpace
from hsrl_pipeline.networks.catalogue_tables import CatalogueTables, Moments, start_rows
from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.networks.item_representation import ItemRepresentation
from hsrl_pipeline.networks.trie_policy import TriePolicy
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie

CPU = torch.device("cpu")
N_KNOWN = 40


def ridge_prediction(
    inputs: torch.Tensor, outputs: torch.Tensor, new_inputs: torch.Tensor
) -> torch.Tensor:
    moments = Moments(inputs.shape[1], outputs.shape[1], CPU)
    for rows in torch.arange(len(inputs)).split(7):
        moments.add(inputs[rows], outputs[rows])
    return moments.ridge(new_inputs).float()


def make_tables(live: list[int] | None = None, n_new: int = 2) -> CatalogueTables:
    """Items 1 to 40 were live; the last ones are new."""
    n_items = N_KNOWN + n_new
    vectors = np.random.default_rng(0).normal(size=(n_items + 1, 3)).astype(np.float32)
    vectors[0] = 0.0
    codes = np.stack([np.arange(n_items + 1) % 4, np.arange(n_items + 1) // 4], axis=1)
    codes[0] = -1
    mask = np.ones(n_items + 1, bool)
    if live is not None:
        mask = np.isin(np.arange(n_items + 1), live)
    mask[0] = False
    before = np.arange(n_items + 1) <= N_KNOWN
    before[0] = False
    catalogue = LiveCatalogue(mask, vectors, codes.astype(np.int64))
    return CatalogueTables.of(catalogue, published=before, live=before, device=CPU)


def test_tables_tell_new_items_from_known_ones() -> None:
    tables = make_tables(live=[1, 2, 41, 42])
    assert tables.new.tolist() == [41, 42]
    assert tables.known.tolist() == list(range(1, N_KNOWN + 1))
    assert tables.live_codes[3].tolist() == [-1, -1]
    assert tables.new_codes.tolist() == [[1, 10], [2, 10]]


def test_ridge_finds_a_linear_rule_and_keeps_to_the_mean_where_there_is_none() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(400, 5, generator=generator)
    rule = torch.randn(5, 2, generator=generator)
    noise = torch.randn(400, 30, generator=generator)
    new = torch.randn(30, 5, generator=generator)
    exact = ridge_prediction(inputs, inputs @ rule + 3.0, new)
    torch.testing.assert_close(exact, new @ rule + 3.0, rtol=1e-3, atol=1e-3)
    nothing = ridge_prediction(inputs, noise, new)
    # least squares would be off by 5 / 400
    assert float((nothing - noise.mean(0)).square().mean()) < 0.008
    noisy = ridge_prediction(inputs, inputs @ rule + 3.0 + noise[:, :2], new)
    assert float((noisy - new @ rule - 3.0).square().mean()) < 0.05


def test_ridge_picks_a_penalty_for_each_output() -> None:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(12, 10, generator=generator)
    signal, noise = inputs[:, :1], torch.randn(12, 1, generator=generator)
    both = ridge_prediction(inputs, torch.cat([signal, noise], 1), inputs)
    torch.testing.assert_close(both[:, :1], signal, rtol=1e-2, atol=1e-2)
    # ten inputs would fit twelve points of noise all but exactly
    assert float((both[:, 1] - noise[:, 0]).square().mean()) > 0.1


@pytest.mark.parametrize("n_rows", [1, 2])
def test_ridge_on_hardly_any_row_is_their_mean(n_rows: int) -> None:
    outputs = torch.arange(float(n_rows)).unsqueeze(1)
    found = ridge_prediction(torch.eye(3)[:n_rows], outputs, torch.ones(1, 3))
    assert found.tolist() == [[outputs.mean()]]


@torch.no_grad()
def test_rows_of_new_items_follow_their_vectors() -> None:
    tables = make_tables()
    head = nn.Linear(2, N_KNOWN + 2)
    vectors = tables.item_vectors[1:]
    head.weight.copy_(vectors[:, :2])
    head.bias.copy_(vectors[:, 2])
    deviations = torch.ones(N_KNOWN + 3)
    wanted, kept = head.weight[N_KNOWN:].clone(), head.weight[:N_KNOWN].clone()
    head.weight[N_KNOWN:] = 7.0
    written = start_rows(head, tables, "ridge", deviations)
    torch.testing.assert_close(head.weight[N_KNOWN:], wanted, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(
        head.bias[N_KNOWN:], vectors[N_KNOWN:, 2] + 1.0, rtol=1e-3, atol=1e-3
    )
    assert torch.equal(head.weight[:N_KNOWN], kept)
    assert [rows.tolist() for _, rows in written] == [[N_KNOWN, N_KNOWN + 1]] * 2
    start_rows(head, tables, "mean")
    torch.testing.assert_close(head.weight[N_KNOWN:], kept.mean(0).expand(2, -1))


@torch.no_grad()
def test_look_up_scores_of_a_new_item_are_those_of_its_codes_and_vector() -> None:
    tables = make_tables()
    codes = tables.catalogue.codes.copy()
    sizes = (4, 12)
    launch = codes.copy()
    launch[N_KNOWN + 1 :] = -1
    vectors = tables.item_vectors.clone()
    vectors[N_KNOWN + 1 :] = 0.0
    options = {"context_size": 4, "item_deviations": True}
    moved = CodeScores(8, launch, sizes, item_vectors=vectors, **options)
    moved.deviations.normal_()
    whole = CodeScores(8, codes, sizes, item_vectors=tables.item_vectors, **options)
    whole.load_state_dict(moved.state_dict())
    whole.deviations[N_KNOWN + 1 :] = 0.0
    state = torch.randn(3, 8)
    assert bool((moved(state)[:, N_KNOWN + 1 :] == -torch.inf).all())
    moved.set_items(tables)
    assert torch.equal(moved(state), whole(state))
    few = make_tables(live=[1, 5, 41])
    moved.set_items(few)
    assert torch.isfinite(moved(state)).nonzero()[:, 1].unique().tolist() == [1, 5, 41]
    assert torch.equal(moved(state)[:, [1, 5, 41]], whole(state)[:, [1, 5, 41]])


@torch.no_grad()
def test_a_representation_forgets_its_table_and_starts_new_ids_at_zero() -> None:
    tables = make_tables()
    blank = tables.item_vectors.clone()
    blank[N_KNOWN + 1 :] = 0.0
    items = ItemRepresentation(
        N_KNOWN + 2, 4, blank, codes=torch.from_numpy(tables.catalogue.codes), vocab_sizes=(4, 12)
    )
    before = items.catalogue()
    written = items.set_catalogue(tables)
    after = items.catalogue()
    assert torch.equal(before[: N_KNOWN + 1], after[: N_KNOWN + 1])
    assert not items.id_embedding.weight[N_KNOWN + 1 :].any()
    assert torch.equal(after, items(torch.arange(N_KNOWN + 3)))
    assert [rows.tolist() for _, rows in written] == [[41, 42]]


def test_new_items_are_placed_in_the_space_of_the_launch() -> None:
    tables = make_tables()
    known = tables.item_vectors.clone()
    known[N_KNOWN + 1 :] = 0.0
    space, alone = ItemSpace(known, 2), ItemSpace(known[: N_KNOWN + 1], 2)
    # what is unknown changes neither basis nor scale
    assert torch.equal(space.table[: N_KNOWN + 1], alone.table)
    before = space.table.clone()
    space.set_catalogue(tables)
    assert torch.equal(space.table[: N_KNOWN + 1], before[: N_KNOWN + 1])
    wanted = tables.item_vectors[41] @ space.axes / space.scale
    torch.testing.assert_close(space.table[41], wanted)


@torch.no_grad()
def test_a_prefix_keeps_its_probability_when_one_of_its_items_leaves() -> None:
    codes = np.array([[-1, -1], [0, 0], [0, 1], [1, 0]])
    policy = TriePolicy(4, (2, 2), CodeTrie(codes, (2, 2)), item_vectors=torch.randn(4, 3))
    state, items = torch.randn(1, 4), torch.tensor([[1, 2, 3]])
    before = policy.item_log_prob(state, items).exp()[0]
    codes[2] = -1
    policy.set_trie(CodeTrie(codes, (2, 2)), torch.randn(4, 3))
    after = policy.item_log_prob(state, items[:, [0, 2]]).exp()[0]
    torch.testing.assert_close(after, torch.stack([before[0] + before[1], before[2]]))


@torch.no_grad()
def test_a_representation_without_ids_forgets_its_table_too() -> None:
    tables = make_tables()
    blank = tables.item_vectors.clone()
    blank[N_KNOWN + 1 :] = 0.0
    items = ItemRepresentation(N_KNOWN + 2, 4, blank, use_ids=False)
    assert not items.catalogue()[N_KNOWN + 1 :].any()
    items.set_catalogue(tables)
    assert torch.equal(items.catalogue(), items(torch.arange(N_KNOWN + 3)))
    assert bool(items.catalogue()[N_KNOWN + 1 :].any(1).all())
