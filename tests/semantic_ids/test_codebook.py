from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.semantic_ids.codebook import NO_CODE, Codebook
from hsrl_pipeline.semantic_ids.residual_quantizer import ResidualQuantizer

from .conftest import unit_vectors


def test_padding_has_no_code(codebook: Codebook) -> None:
    assert (codebook.codes[0] == NO_CODE).all()
    assert codebook.n_items == 301
    assert codebook.n_levels == len(codebook.vocab_sizes) == codebook.codes.shape[1]


def test_every_item_is_found_under_its_code(codebook: Codebook) -> None:
    items = np.arange(1, codebook.n_items + 1)
    found = codebook.lookup(codebook.codes_of(items))
    assert (found == items[:, None]).any(axis=1).all()


def test_lookup_returns_exactly_the_items_of_a_code(
    quantizer: ResidualQuantizer, vectors: np.ndarray
) -> None:
    codebook = Codebook.build(quantizer, vectors, collisions="keep")
    for item in (1, 50, 301):
        code = codebook.codes[item]
        expected = np.flatnonzero((codebook.codes == code).all(axis=1))
        found = codebook.lookup(code[None])[0]
        assert found[found > 0].tolist() == expected.tolist()


def test_decode_of_encode_is_the_item_when_codes_are_unique(
    quantizer: ResidualQuantizer, vectors: np.ndarray
) -> None:
    for collisions in ("reassign", "suffix"):
        codebook = Codebook.build(quantizer, vectors, collisions=collisions)
        items = np.arange(1, 302)
        assert codebook.lookup(codebook.codes_of(items)).tolist() == items[:, None].tolist()


@settings(max_examples=10, deadline=None)
@given(n_new=st.integers(0, 60), seed=st.integers(0, 1000), copies=st.booleans())
def test_new_items_change_no_sid_and_share_none(
    codebook: Codebook, n_new: int, seed: int, copies: bool
) -> None:
    new = unit_vectors(n_new, 8, seed) if n_new else np.zeros((0, 8), np.float32)
    if copies and n_new > 1:
        new[1:] = new[0]  # all want the same code
    if codebook.collisions == "suffix":
        new = new[: codebook.vocab_sizes[-1] // 2]
    grown = codebook.add_items(new)
    assert (grown.codes[:302] == codebook.codes).all()
    assert grown.n_items == 301 + len(new)
    assert grown.vocab_sizes == codebook.vocab_sizes
    live = grown.codes[1:]
    assert (live >= 0).all()
    if codebook.collisions != "keep":
        assert len(np.unique(live, axis=0)) == len(live)


def test_a_thousand_new_items_change_no_sid() -> None:
    from hsrl_pipeline.semantic_ids.kmeans import KMeansSettings
    from hsrl_pipeline.semantic_ids.residual_quantizer import (
        QuantizerSettings,
        fit_residual_quantizer,
    )

    rows = np.concatenate([np.zeros((1, 6), np.float32), unit_vectors(2000, 6)])
    shape = QuantizerSettings((16, 16, 16), KMeansSettings(n_restarts=1, max_iterations=5))
    codebook = Codebook.build(fit_residual_quantizer(rows[1:], shape, seed=0), rows)
    grown = codebook.add_items(unit_vectors(1000, 6, seed=9))
    assert (grown.codes[:2001] == codebook.codes).all()
    assert len(np.unique(grown.codes[1:], axis=0)) == 3000


@settings(max_examples=10, deadline=None)
@given(released=st.sets(st.integers(1, 301), min_size=1, max_size=30))
def test_released_codes_are_free_again(codebook: Codebook, released: set[int]) -> None:
    items = np.array(sorted(released))
    smaller = codebook.release_items(items)
    kept = np.setdiff1d(np.arange(302), items)
    assert (smaller.codes[items] == NO_CODE).all()
    assert (smaller.codes[kept] == codebook.codes[kept]).all()
    found = smaller.lookup(codebook.codes[items])
    assert not np.isin(items, found).any()
    with pytest.raises(UserError, match="have no semantic ID"):
        smaller.codes_of(items[:1])
    with pytest.raises(UserError, match="have no semantic ID"):
        smaller.release_items(items[:1])


@pytest.mark.parametrize("collisions", ["keep", "reassign", "suffix"])
def test_items_get_their_sid_at_their_own_index_and_no_other_changes(
    quantizer: ResidualQuantizer, vectors: np.ndarray, collisions: str
) -> None:
    later = np.array([300, 7, 150])
    launch = np.setdiff1d(np.arange(1, 302), later)
    codebook = Codebook.build(
        quantizer, vectors, collisions=collisions, suffix_vocab_size=64, items=launch
    )
    assert (codebook.codes[later] == NO_CODE).all()
    grown = codebook.assign_items(later, vectors[later])
    assert (grown.codes[launch] == codebook.codes[launch]).all()
    assert (grown.codes[1:] >= 0).all()
    assert grown.metadata["parent_version"] == codebook.version
    assert (grown.codes[later] == codebook.add_items(vectors[later]).codes[302:]).all()
    if collisions != "keep":
        assert len(np.unique(grown.codes[1:], axis=0)) == 301


def test_a_codebook_of_some_items_does_not_read_the_others_vectors(
    quantizer: ResidualQuantizer, vectors: np.ndarray
) -> None:
    launch = np.arange(1, 201)
    broken = vectors.copy()
    broken[201:] = np.nan
    codebook = Codebook.build(quantizer, broken, items=launch)
    assert codebook.version == Codebook.build(quantizer, vectors, items=launch).version


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([3], "Item 3 has a semantic ID"),
        ([250, 250], "Item 250 is named twice"),
        ([302], "Item 302 is not among the 301 items"),
        ([0], "Item 0 is not among"),
    ],
)
def test_a_published_sid_never_moves(
    quantizer: ResidualQuantizer, vectors: np.ndarray, items: list[int], message: str
) -> None:
    codebook = Codebook.build(quantizer, vectors, items=np.arange(1, 201))
    with pytest.raises(UserError, match=message):
        codebook.assign_items(np.array(items), vectors[1 : len(items) + 1])


def test_an_item_added_after_a_release_may_take_its_code(
    quantizer: ResidualQuantizer, vectors: np.ndarray
) -> None:
    codebook = Codebook.build(quantizer, vectors, collisions="reassign")
    plain = codebook.encode(vectors[1:])
    item = int(np.flatnonzero((plain == codebook.codes[1:]).all(axis=1))[0]) + 1
    regrown = codebook.release_items(np.array([item])).add_items(vectors[item : item + 1])
    assert (regrown.codes[-1] == codebook.codes[item]).all()
    assert regrown.lookup(regrown.codes[-1:]).tolist() == [[302]]


@pytest.mark.parametrize("item", [0, -1, 302])
def test_unknown_items_get_no_default_code(codebook: Codebook, item: int) -> None:
    with pytest.raises(UserError, match=f"the first is item {item}"):
        codebook.codes_of(np.array([1, item]))


def test_bad_vectors_are_refused(codebook: Codebook) -> None:
    with pytest.raises(UserError, match=r"the codebook takes \(rows, 8\)"):
        codebook.add_items(np.zeros((2, 7), np.float32))
    rows = unit_vectors(3, 8)
    rows[1, 0] = np.nan
    with pytest.raises(UserError, match="row 1"):
        codebook.add_items(rows)
    with pytest.raises(UserError, match="row 1"):
        codebook.encode(rows)


def test_lookup_of_a_code_nobody_has_is_empty(codebook: Codebook) -> None:
    outside = np.array([[0] * codebook.n_levels])
    outside[0, -1] = codebook.vocab_sizes[-1] + 3
    assert (codebook.lookup(outside) == 0).all()


def test_version_follows_the_content(quantizer: ResidualQuantizer, vectors: np.ndarray) -> None:
    codebook = Codebook.build(quantizer, vectors)
    assert codebook.version == Codebook.build(quantizer, vectors).version
    assert len(codebook.version) == 12
    assert replace(codebook, metadata={"seed": 1}).version == codebook.version
    assert codebook.release_items(np.array([4])).version != codebook.version
    assert replace(codebook, collisions="keep").version != codebook.version
    grown = codebook.add_items(vectors[1:2])
    assert grown.metadata["parent_version"] == codebook.version


def test_impossible_tables_are_refused(quantizer: ResidualQuantizer, vectors: np.ndarray) -> None:
    codebook = Codebook.build(quantizer, vectors)
    with pytest.raises(ValueError, match="codes has shape"):
        replace(codebook, codes=codebook.codes[:, :2])
    with pytest.raises(ValueError, match="row 0 of codes"):
        replace(codebook, codes=codebook.codes[1:])
    beyond = codebook.codes.copy()
    beyond[5, 0] = 99
    with pytest.raises(ValueError, match="outside their level's vocabulary"):
        replace(codebook, codes=beyond)


def test_a_catalogue_of_released_items_finds_nothing(codebook: Codebook) -> None:
    empty = codebook.release_items(np.arange(1, codebook.n_items + 1))
    assert empty.lookup(codebook.codes[1:3]).tolist() == [[0], [0]]
