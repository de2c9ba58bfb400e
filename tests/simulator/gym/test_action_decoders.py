import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.simulator.gym.action_decoders import HyperActionDecoder, SemanticTokenDecoder

from ..toy_world import CODES, N_ITEMS, SHELVES, SLATE, VOCAB_SIZES, item_vectors

NOTHING = torch.zeros(1, 0, dtype=torch.int64)


def decode(*codes, shown=None, decoder=None):
    decoder = decoder or SemanticTokenDecoder(CODES, VOCAB_SIZES, len(codes))
    tokens = torch.tensor([[token for code in codes for token in code]])
    excluded = NOTHING if shown is None else torch.tensor([shown])
    return decoder.decode(tokens, excluded)[0].tolist()


def test_unique_codes_are_their_items():
    codes = np.array([[-1, -1], [0, 0], [0, 1], [2, 0]])
    decoder = SemanticTokenDecoder(codes, (3, 2), 2)
    assert decode((2, 0), (0, 1), decoder=decoder) == [3, 2]


def test_a_shared_code_yields_its_items_one_after_the_other_then_its_siblings():
    # (1, 1) is the code of items 9 and 10; then the prefix 1: items 11, 12 at (1, 2) and
    # 8 at (1, 0), of which 11 is one place away and 8 is too; the lower place wins last.
    assert decode((1, 1), (1, 1)) == [9, 10]
    assert set(decode(*[(1, 1)] * 6)) == {7, 8, 9, 10, 11, 12}


def test_an_invalid_code_is_the_valid_one_with_the_longest_shared_prefix():
    # Nobody has (0, 3): its nearest neighbour below is (0, 2), items 5 and 6, and not (1, 0).
    assert set(decode((0, 3), (0, 3))) == {5, 6}
    assert set(decode((3, 3), (3, 3))) == {23, 24}


def test_priors_order_the_items_of_a_code():
    priors = np.zeros(N_ITEMS + 1, np.float32)
    priors[[10, 11]] = 1.0
    decoder = SemanticTokenDecoder(CODES, VOCAB_SIZES, 2, priors=priors)
    assert decode((1, 1), (1, 1), decoder=decoder) == [10, 9]
    assert decode((1, 2), (1, 1), decoder=decoder) == [11, 10]
    assert decode((1, 1), (1, 1), decoder=decoder, shown=[10])[0] == 9


def test_vocabularies_may_be_of_any_size():
    codes = np.full((4, 9), -1)
    codes[1:] = [[255] * 9, [0] * 9, [255] * 8 + [0]]
    decoder = SemanticTokenDecoder(codes, (256,) * 9, 3)
    assert decode((255,) * 8 + (9,), (255,) * 9, (0,) * 9, decoder=decoder) == [1, 3, 2]


def test_shown_items_are_passed_over():
    assert decode((0, 0), shown=[1, 0]) == [2]
    assert decode((0, 0), shown=[1, 2])[0] in {3, 4}


def test_items_without_a_code_are_never_shown():
    codes = CODES.copy()
    codes[1] = -1
    decoder = SemanticTokenDecoder(codes, VOCAB_SIZES, 3)
    assert 1 not in decode((0, 0), (0, 0), (0, 0), decoder=decoder)


def test_slots_keep_to_their_shelf():
    decoder = SemanticTokenDecoder(CODES, VOCAB_SIZES, SLATE, SHELVES)
    slate = decode((0, 0), (0, 0), (0, 0), decoder=decoder)
    assert SHELVES[slate].tolist() == [1, 2, 3]
    # Shelf 2 holds items 9 to 16: the code nearest to (0, 0) there is item 9's.
    assert slate[0] in {1, 2}
    assert slate[1] == 9


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_decoded_slates_are_valid_and_honour_prefixes(data):
    """Against a plain search over all items."""
    levels, size, n_items, slate_size = 3, 3, 14, 4
    codes = np.full((n_items + 1, levels), -1)
    code = st.lists(st.integers(0, size - 1), min_size=levels, max_size=levels)
    codes[1:] = data.draw(st.lists(code, min_size=n_items, max_size=n_items))
    tokens = data.draw(st.lists(code, min_size=slate_size, max_size=slate_size))
    shown = data.draw(st.lists(st.integers(1, n_items), max_size=5, unique=True))
    decoder = SemanticTokenDecoder(codes, (size,) * levels, slate_size)
    excluded = torch.tensor([shown], dtype=torch.int64)
    slate = decoder.decode(torch.tensor(tokens).view(1, -1), excluded)[0].tolist()

    def shared(item, wanted):
        return int((codes[item] == wanted).cumprod().sum())

    taken = set(shown)
    for item, wanted in zip(slate, tokens, strict=True):
        assert item not in taken
        free = [other for other in range(1, n_items + 1) if other not in taken]
        assert shared(item, wanted) == max(shared(other, wanted) for other in free)
        taken.add(item)


def test_batches_decode_row_by_row():
    decoder = SemanticTokenDecoder(CODES, VOCAB_SIZES, SLATE)
    tokens = torch.randint(0, 4, (50, SLATE * 2), generator=torch.Generator().manual_seed(0))
    together = decoder.decode(tokens, NOTHING.expand(50, 0))
    alone = torch.cat([decoder.decode(row[None], NOTHING) for row in tokens])
    assert torch.equal(together, alone)


def test_bad_tokens_are_refused_with_their_place():
    decoder = SemanticTokenDecoder(CODES, VOCAB_SIZES, 1)
    with pytest.raises(ValueError, match=r"actions\[1, 0\] is 4, outside"):
        decoder.decode(torch.tensor([[0, 0], [4, 0]]), NOTHING.expand(2, 0))
    with pytest.raises(ValueError, match=r"actions\[0, 1\] is -1, outside"):
        decoder.decode(torch.tensor([[0, -1]]), NOTHING)
    with pytest.raises(ValueError, match="shape"):
        decoder.decode(torch.tensor([[0, 0, 0]]), NOTHING)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CODES, VOCAB_SIZES, 2, SHELVES), "does not divide"),
        ((np.full((4, 2), -1), (2, 2), 1), "no item has a semantic ID"),
        ((CODES[:4], VOCAB_SIZES, 4), "3 items have a code, a slate needs 4"),
        ((CODES, (4,), 1), "shape"),
    ],
)
def test_token_settings_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SemanticTokenDecoder(*arguments)


def test_hyper_actions_take_the_items_they_point_at():
    vectors = item_vectors()
    decoder = HyperActionDecoder(vectors, 2)
    unit = vectors[1:] / np.linalg.norm(vectors[1:], axis=1, keepdims=True)
    action = torch.from_numpy(vectors[[7]])
    expected = (np.argsort(-(unit @ vectors[7]))[:2] + 1).tolist()
    assert decoder.decode(action, NOTHING)[0].tolist() == expected
    assert expected[0] == 7
    assert decoder.decode(action * 0.01, NOTHING)[0].tolist() == expected
    assert 7 not in decoder.decode(action, torch.tensor([[7]]))[0].tolist()
    assert decoder.space.shape == (5,)


def test_padding_is_never_pointed_at():
    vectors = -np.abs(item_vectors())
    decoder = HyperActionDecoder(vectors, N_ITEMS)
    slate = decoder.decode(torch.ones(1, 5), NOTHING)[0].tolist()
    assert sorted(slate) == list(range(1, N_ITEMS + 1))


def test_hyper_actions_keep_to_shelves():
    decoder = HyperActionDecoder(item_vectors(), 6, SHELVES)
    slate = decoder.decode(torch.ones(1, 5), NOTHING)[0].tolist()
    assert SHELVES[slate].tolist() == [1, 1, 2, 2, 3, 3]
    with pytest.raises(ValueError, match="does not divide"):
        HyperActionDecoder(item_vectors(), 4, SHELVES)


def test_hyper_actions_that_are_no_numbers_are_refused_with_their_place():
    decoder = HyperActionDecoder(item_vectors(), 2)
    action = torch.ones(2, 5)
    action[1, 3] = torch.nan
    with pytest.raises(ValueError, match=r"actions\[1, 3\] is nan"):
        decoder.decode(action, NOTHING.expand(2, 0))
