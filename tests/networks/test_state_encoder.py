import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.networks.item_representation import ItemRepresentation
from hsrl_pipeline.networks.state_encoder import AttentionBlock, StateEncoder
from hsrl_pipeline.observation import Observation

N_ITEMS, HISTORY = 7, 5


@pytest.fixture
def vectors():
    return torch.randn(N_ITEMS + 1, 6, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def codes():
    rows = [[-1, -1], [0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1], [2, 1]]
    return torch.tensor(rows)


def make_encoder(vectors, **options):
    torch.manual_seed(0)
    items = ItemRepresentation(N_ITEMS, 8, vectors)
    defaults = {"n_heads": 2, "feedforward_size": 16}
    return StateEncoder(items, HISTORY, **{**defaults, **options})


def observe(history, categories=None, dense=None, step=None):
    history = torch.as_tensor(history)
    batch = len(history)
    return Observation(
        torch.zeros(batch, 0, dtype=torch.int64) if categories is None else categories,
        torch.zeros(batch, 0) if dense is None else dense,
        history,
        torch.zeros(batch, dtype=torch.int64) if step is None else step,
    )


def test_item_representation_is_sum_of_its_parts(vectors, codes):
    items = ItemRepresentation(N_ITEMS, 8, vectors, codes=codes, vocab_sizes=(3, 2))
    tokens = items.token_embedding.weight
    expected = vectors[5] @ items.projection.weight.T + items.id_embedding.weight[5]
    expected = expected + tokens[1 + 2] + tokens[1 + 3 + 0]
    torch.testing.assert_close(items(torch.tensor([5]))[0], expected)


def test_gradients_of_codes_add_up_over_repeated_items(vectors, codes):
    items = ItemRepresentation(N_ITEMS, 8, None, use_ids=False, codes=codes, vocab_sizes=(3, 2))
    history, weight = torch.tensor([[0, 3, 3], [7, 1, 3]]), torch.randn(2, 3, 8)
    (items(history) * weight).sum().backward()
    expected = torch.zeros(6, 8)
    for item, row in zip(history.flatten(), weight.flatten(0, 1), strict=True):
        if item:
            expected[1 + codes[item, 0]] += row
            expected[1 + 3 + codes[item, 1]] += row
    torch.testing.assert_close(items.token_embedding.weight.grad, expected)


def test_padding_is_zero_even_if_the_given_row_is_not(vectors, codes):
    items = ItemRepresentation(N_ITEMS, 8, vectors + 5.0, codes=codes, vocab_sizes=(3, 2))
    assert items(torch.tensor([[0, 1]]))[0, 0].abs().max() == 0
    assert items.catalogue()[0].abs().max() == 0


def test_padding_stays_zero_after_training(vectors, codes):
    items = ItemRepresentation(N_ITEMS, 8, vectors, codes=codes, vocab_sizes=(3, 2))
    optimiser = torch.optim.Adam(items.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        (items(torch.tensor([0, 1, 4])) - 1).square().sum().backward()
        optimiser.step()
    assert items(torch.tensor([0])).abs().max() == 0


def test_catalogue_agrees_with_single_items(vectors, codes):
    items = ItemRepresentation(N_ITEMS, 8, vectors, codes=codes, vocab_sizes=(3, 2))
    torch.testing.assert_close(items.catalogue(), items(torch.arange(N_ITEMS + 1)))


def test_catalogue_is_computed_once_per_parameter_version(vectors):
    items = ItemRepresentation(N_ITEMS, 8, vectors)
    optimiser = torch.optim.Adam(items.parameters(), lr=0.1, fused=True)
    with torch.no_grad():
        first = items.catalogue()
        assert items.catalogue() is first
    assert items.catalogue().requires_grad
    items(torch.tensor([1])).sum().backward()
    optimiser.step()
    with torch.no_grad():
        second = items.catalogue()
        assert second is not first
        torch.testing.assert_close(second, items(torch.arange(N_ITEMS + 1)))
        items.load_state_dict(copy.deepcopy(ItemRepresentation(N_ITEMS, 8, vectors).state_dict()))
        torch.testing.assert_close(items.catalogue(), items(torch.arange(N_ITEMS + 1)))


def test_items_need_a_source():
    with pytest.raises(ValueError, match="vectors, ids or codes"):
        ItemRepresentation(N_ITEMS, 8, None, use_ids=False)


@pytest.mark.parametrize("table", ["vectors", "codes"])
def test_wrong_table_size_is_named(table, vectors, codes):
    broken = {"vectors": vectors, "codes": codes}
    broken[table] = broken[table][:-1]
    with pytest.raises(ValueError, match=table):
        ItemRepresentation(N_ITEMS, 8, broken["vectors"], codes=broken["codes"], vocab_sizes=(3, 2))


def test_last_only_equals_last_row_of_full_layer():
    torch.manual_seed(1)
    block = AttentionBlock(8, 2, 16, 0.0)
    hidden = torch.randn(3, 4, 8)
    bias = torch.full((4, 4), -torch.inf).triu(1).expand(3, 1, 4, 4)
    full, last = (block(hidden, bias, last_only=only) for only in (False, True))
    torch.testing.assert_close(last[:, 0], full[:, -1])


def test_single_head_attention_matches_the_formula():
    torch.manual_seed(2)
    block = AttentionBlock(4, 1, 3, 0.0)
    hidden = torch.randn(1, 3, 4)
    bias = torch.full((3, 3), -torch.inf).triu(1).expand(1, 1, 3, 3)
    normed = block.attention_norm(hidden)[0]
    key, value = block.key_value(normed).split(4, dim=-1)
    scores = block.query(normed) @ key.T / 2.0 + bias[0, 0]
    mixed = hidden[0] + block.output(scores.softmax(-1) @ value)
    expected = mixed + block.contract(block.expand(block.feedforward_norm(mixed)).relu())
    torch.testing.assert_close(block(hidden, bias, last_only=False)[0], expected)


@given(st.lists(st.integers(1, N_ITEMS), min_size=0, max_size=HISTORY - 1))
@settings(max_examples=20, deadline=None)
def test_rows_do_not_influence_each_other(clicks):
    vectors = torch.randn(N_ITEMS + 1, 6, generator=torch.Generator().manual_seed(3))
    encoder = make_encoder(vectors).eval()
    row = [0] * (HISTORY - len(clicks)) + clicks
    alone = encoder(observe([row]))
    together = encoder(observe([row, [7, 6, 5, 4, 3], [0] * HISTORY]))
    torch.testing.assert_close(alone[0], together[0])
    assert alone.isfinite().all()


def test_order_and_newest_item_matter(vectors):
    encoder = make_encoder(vectors).eval()
    states = encoder(observe([[0, 0, 1, 2, 3], [0, 0, 2, 1, 3], [0, 0, 1, 2, 4]]))
    assert (states[0] - states[1]).abs().max() > 1e-4
    assert (states[0] - states[2]).abs().max() > 1e-4


def test_parameters_at_padded_positions_have_no_influence(vectors):
    encoder = make_encoder(vectors).eval()
    observation = observe([[0, 0, 1, 2, 3]])
    before = encoder(observation)
    with torch.no_grad():
        encoder.positions[:2] += 10.0
    torch.testing.assert_close(encoder(observation), before)
    assert (encoder(observe([[4, 5, 1, 2, 3]])) - before).abs().max() > 1e-4


def test_empty_history_gives_a_finite_state_and_gradient(vectors):
    encoder = make_encoder(vectors)
    state = encoder(observe([[0] * HISTORY]))
    state.sum().backward()
    gradients = [weight.grad for weight in encoder.parameters() if weight.grad is not None]
    assert state.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_user_features_and_step_enter_the_state(vectors):
    encoder = make_encoder(vectors, category_sizes=(3, 2), n_dense=2, max_step=20).eval()
    history = [[0, 0, 1, 2, 3]]

    def state(categories=(1, 1), dense=(0.5, 0.5), step=0):
        return encoder(
            observe(
                history, torch.tensor([categories]), torch.tensor([dense]), torch.tensor([step])
            )
        )

    base = state()
    for other in (state(categories=(2, 1)), state(categories=(1, 0)), state(dense=(0.5, 1.0))):
        assert (other - base).abs().max() > 1e-4
    assert (state(step=3) - base).abs().max() > 1e-4
    torch.testing.assert_close(state(step=25), state(step=20))


def test_equal_codes_of_two_fields_use_different_rows(vectors):
    encoder = make_encoder(vectors, category_sizes=(3, 2)).eval()
    history = [[0, 0, 1, 2, 3]] * 2
    states = encoder(observe(history, torch.tensor([[1, 0], [0, 1]])))
    assert (states[0] - states[1]).abs().max() > 1e-4


def test_dropout_only_while_training(vectors):
    encoder = make_encoder(vectors, dropout=0.5)
    observation = observe([[1, 2, 3, 4, 5]])
    assert not torch.equal(encoder(observation), encoder(observation))
    encoder.eval()
    torch.testing.assert_close(encoder(observation), encoder(observation), rtol=0, atol=0)


def test_wrong_history_width_is_refused(vectors):
    with pytest.raises(ValueError, match="history"):
        make_encoder(vectors)(observe([[1, 2, 3]]))


def test_responses_decide_what_an_item_says(vectors):
    encoder = make_encoder(vectors, reads_responses=True).eval()
    history = torch.tensor([[0, 0, 1, 2, 3]] * 3)
    responses = torch.tensor([[0, 0, 1, 1, 1], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0]])
    states = encoder(observe(history)._replace(responses=responses))
    assert (states[0] - states[1]).abs().max() > 1e-3
    assert (states[1] - states[2]).abs().max() > 1e-3
    # a history that was clicked throughout is read as clicks alone are
    plain = make_encoder(vectors).eval()
    plain.load_state_dict(encoder.state_dict(), strict=False)
    torch.testing.assert_close(plain(observe(history[:1])), states[:1])


def test_responses_of_padding_do_not_matter(vectors):
    encoder = make_encoder(vectors, reads_responses=True).eval()
    seen = observe([[0, 0, 0, 2, 3]])
    states = [encoder(seen._replace(responses=torch.tensor([[y, y, y, 1, 0]]))) for y in (0, 1)]
    torch.testing.assert_close(states[0], states[1])


def test_an_encoder_of_clicks_has_the_weights_it_always_had(vectors):
    names, more = (
        {name for name, _ in make_encoder(vectors, reads_responses=reads).named_parameters()}
        for reads in (False, True)
    )
    assert more - names == {"skip_gate", "skip_vector"}
    alike = [make_encoder(vectors, reads_responses=reads).fuse_expand.weight for reads in (0, 1)]
    assert torch.equal(*alike)


def test_the_other_form_of_the_history_is_refused(vectors):
    seen = observe([[0, 0, 0, 2, 3]])
    with pytest.raises(ValueError, match="responses"):
        make_encoder(vectors, reads_responses=True)(seen)
    with pytest.raises(ValueError, match="responses"):
        make_encoder(vectors)(seen._replace(responses=torch.zeros(1, 5).long()))


@torch.no_grad()
def test_what_surrounds_the_attention_by_hand(vectors):
    encoder = make_encoder(vectors, n_layers=0, n_dense=1, max_step=3, reads_responses=True)
    torch.nn.init.normal_(encoder.skip_gate)
    seen = observe([[0, 0, 0, 2, 4]] * 2, dense=torch.ones(2, 1), step=torch.tensor([2, 9]))
    seen = seen._replace(responses=torch.tensor([[0, 0, 0, 0, 1], [0, 0, 0, 1, 0]]))
    item = encoder.items(torch.tensor(4))
    skipped = item * encoder.skip_gate + encoder.skip_vector
    user = encoder.dense_projection.weight[:, 0] + encoder.dense_projection.bias
    for entry, step, state in zip((item, skipped), (2, 3), encoder(seen), strict=True):
        newest = encoder.history_norm(entry + encoder.positions[-1])
        joined = torch.cat([newest, user, encoder.step_embedding.weight[step]])
        fused = encoder.fuse_contract(encoder.fuse_expand(joined).relu())
        torch.testing.assert_close(state, encoder.state_norm(newest + fused))


def test_masks_and_offsets_are_no_part_of_a_state(vectors):
    encoder = make_encoder(vectors, category_sizes=(3, 2))
    assert encoder.state_dict().keys() == dict(encoder.named_parameters()).keys()
