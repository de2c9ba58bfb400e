import math
import pickle

import numpy as np
import pytest
import torch

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.simulator.response.attention import AttentionResponse, ResponseSizes

N_ITEMS, HISTORY, WIDTH, HEADS = 12, 5, 8, 2
CATEGORY_SIZES = (3, 4)


def make_model(
    *, n_items=N_ITEMS, content_size=3, category_sizes=CATEGORY_SIZES, n_dense=2, **rates
):
    torch.manual_seed(1)
    rng = np.random.default_rng(0)
    content = rng.normal(size=(n_items + 1, content_size)).astype(np.float32)
    content[0] = 0.0
    exposures = rng.integers(1, 30, n_items + 1)
    exposures[[0, 4]] = 0
    clicks = exposures // 3
    n_statistics = 2 if content_size else 0
    statistics = rng.normal(size=(n_items + 1, n_statistics)).astype(np.float32)
    sizes = ResponseSizes(
        n_items, category_sizes, n_dense, content_size, HISTORY, WIDTH, HEADS, n_statistics
    )
    model = AttentionResponse(sizes, content, clicks, exposures, statistics, **rates)
    with torch.no_grad():  # no part may stay at a value that hides it
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def make_inputs(rows=6, *, n_items=N_ITEMS, slate=4, seed=0):
    rng = np.random.default_rng(seed)
    history = rng.integers(1, n_items + 1, (rows, HISTORY))
    for row in range(rows):
        history[row, : row % (HISTORY + 1)] = 0  # row 5 has no history at all
    return (
        torch.from_numpy(np.stack([rng.integers(0, size, rows) for size in CATEGORY_SIZES], 1)),
        torch.from_numpy(rng.normal(size=(rows, 2)).astype(np.float32)),
        torch.from_numpy(history),
        torch.from_numpy(rng.integers(1, n_items + 1, (rows, slate))),
    )


def observe(inputs):
    return Observation(*inputs[:3], torch.zeros(len(inputs[2]), dtype=torch.int64))


def layer(module, vector):
    """Apply a module to one numpy vector."""
    return module(torch.as_tensor(vector, dtype=torch.float32)[None])[0].detach().numpy()


def item_features(model, item):
    return torch.cat(
        [model.items.content[item], model.items.statistics[item] * model.items.seen[item]]
    )


def item_vector(model, item):
    vector = layer(model.items.feature_projection, item_features(model, item))
    if model.items.seen[item]:
        vector = vector + model.items.embedding.weight[item].detach().numpy()
    return vector


def log_odds_by_loops(model, categories, dense, history, item):
    """The definition, one history entry and one head at a time."""
    user = model.base_user.detach().numpy().copy()
    for field, code in enumerate(categories.tolist()):
        if code:
            offset = sum(CATEGORY_SIZES[:field])
            user = user + model.category_embedding.weight[offset + code].detach().numpy()
    user = layer(model.user_norm, user + layer(model.dense_projection, dense))
    query = layer(model.query_projection, user)
    head_width = WIDTH // HEADS
    context = np.zeros(WIDTH)
    for head in range(HEADS):
        part = slice(head * head_width, (head + 1) * head_width)
        value_part = slice(WIDTH + part.start, WIDTH + part.stop)
        empty = model.empty_memory.detach().numpy()
        entries = [(empty[part], empty[value_part], 0.0)]
        for place, clicked in enumerate(history.tolist()):
            if clicked:
                memory = layer(model.items.memory_projection, item_vector(model, clicked))
                entries.append(
                    (memory[part], memory[value_part], model.recency_bias[head, place].item())
                )
        scores = np.array([query[part] @ k / math.sqrt(head_width) + b for k, _, b in entries])
        weights = np.exp(scores) / np.exp(scores).sum()
        context[part] = sum(w * value for w, (_, value, _) in zip(weights, entries, strict=True))
    length = math.log1p(int((history > 0).sum())) / math.log1p(HISTORY)
    state = (
        user + layer(model.context_projection, context) + layer(model.length_projection, [length])
    )
    hidden = torch.nn.functional.gelu(
        torch.as_tensor(layer(model.state_hidden, layer(model.state_norm, state)))
    )
    state = layer(model.output_norm, state + layer(model.state_output, hidden))
    target = layer(model.items.target_projection, item_vector(model, item))
    bias = (
        model.items.global_bias.item()
        + layer(model.items.feature_bias, item_features(model, item))[0]
    )
    if model.items.seen[item]:
        bias += model.items.bias[item].item()
    return float(state @ target / math.sqrt(WIDTH) + bias + layer(model.state_bias, state)[0])


def test_logits_follow_the_definition():
    model = make_model().eval()
    inputs = make_inputs()
    answers = model.logits(*inputs).detach().numpy()
    for row in range(6):
        for slot in range(4):
            expected = log_odds_by_loops(
                model, *(field[row] for field in inputs[:3]), int(inputs[3][row, slot])
            )
            assert answers[row, slot] == pytest.approx(expected, abs=1e-4)


def test_calibration_is_an_affine_map_of_log_odds():
    model, inputs = make_model().eval(), make_inputs()
    raw, raw_all = model.logits(*inputs), model.scores_all(observe(inputs))
    model.calibrate(0.5, -0.25)
    assert torch.allclose(model.logits(*inputs), raw * 0.5 - 0.25)
    assert torch.allclose(model.scores_all(observe(inputs)), raw_all * 0.5 - 0.25)


def test_frozen_tables_change_no_answer_and_carry_no_gradient():
    model, inputs = make_model(dropout=0.5, history_dropout=0.5, id_dropout=0.5), make_inputs()
    expected = model.eval().logits(*inputs).detach()
    frozen = model.train().freeze()
    assert torch.equal(frozen.logits(*inputs), expected)
    assert not frozen.logits(*inputs).requires_grad
    assert "frozen_memory" not in frozen.state_dict()


def test_scores_of_the_catalogue_are_those_of_slates():
    model, inputs = make_model().freeze(), make_inputs()
    scores = model.scores_all(observe(inputs))
    assert scores.shape == (6, N_ITEMS + 1)
    assert torch.isneginf(scores[:, 0]).all()
    assert torch.allclose(scores.gather(1, inputs[3]), model.logits(*inputs), atol=1e-5)


def test_padding_is_never_clicked_and_reads_no_item():
    model, inputs = make_model().freeze(), make_inputs()
    slates = inputs[3].clone()
    slates[:, 1] = 0
    probabilities = model.probabilities(observe(inputs), slates)
    assert (probabilities[:, 1] == 0).all()
    with torch.no_grad():  # whatever stood in the padding row, nobody would notice
        model.frozen_memory[0] = 1e6
        model.frozen_targets[0] = 1e6
    assert torch.equal(model.probabilities(observe(inputs), slates), probabilities)


def test_a_user_without_history_gets_an_answer():
    model, inputs = make_model().freeze(), make_inputs()
    lone = [field[5:6] for field in inputs]
    assert (lone[2] == 0).all()
    assert model.logits(*lone).isfinite().all()


def test_history_order_counts():
    model, inputs = make_model().freeze(), make_inputs()
    flipped = (inputs[0], inputs[1], inputs[2].flip(1), inputs[3])
    assert not torch.allclose(model.logits(*inputs)[0], model.logits(*flipped)[0])


def test_few_items_of_a_large_catalogue_are_projected_alone():
    model = make_model(n_items=500).eval()
    inputs = make_inputs(n_items=500)
    subset = model.logits(*inputs).detach()
    assert torch.allclose(subset, model.freeze().logits(*inputs), atol=1e-6)


def test_a_cold_item_is_what_its_content_says():
    model, inputs = make_model().eval(), make_inputs()
    before = model.scores_all(observe(inputs))[:, 4].detach()
    with torch.no_grad():
        model.items.embedding.weight[4] += 100.0
        model.items.bias[4] += 100.0
        model.items.statistics[4] += 100.0
    assert torch.equal(model.scores_all(observe(inputs))[:, 4], before)
    with torch.no_grad():
        model.items.content[4] += 1.0
    assert not torch.allclose(model.scores_all(observe(inputs))[:, 4], before)


def test_a_missing_category_adds_nothing():
    model, inputs = make_model().eval(), make_inputs()
    missing = (torch.zeros_like(inputs[0]), *inputs[1:])
    before = model.logits(*missing).detach()
    with torch.no_grad():
        model.category_embedding.weight[[0, 3]] += 50.0
    assert torch.equal(model.logits(*missing), before)


@pytest.mark.parametrize("rate", ["dropout", "history_dropout", "id_dropout"])
def test_each_dropout_acts_while_training_only(rate):
    model, inputs = make_model(**{rate: 0.5}), make_inputs()
    assert not torch.equal(model.train().logits(*inputs), model.logits(*inputs))
    assert torch.equal(model.eval().logits(*inputs), model.logits(*inputs))


def test_a_model_without_any_feature_works():
    model = make_model(content_size=0, category_sizes=(), n_dense=0).eval()
    _, _, history, slates = make_inputs()
    empty = torch.zeros((6, 0))
    answers = model.logits(empty.long(), empty, history, slates)
    assert answers.isfinite().all()
    assert torch.equal(model.freeze().logits(empty.long(), empty, history, slates), answers)


def test_every_parameter_gets_a_gradient():
    model, inputs = make_model(), make_inputs()
    model.train().logits(*inputs).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(
    ("field", "name", "shape"),
    [
        (0, "user_categories", (6, 3)),
        (1, "user_dense", (6, 1)),
        (2, "history", (6, HISTORY + 1)),
        (3, "slates", (5, 4)),
    ],
)
def test_wrong_shapes_are_named(field, name, shape):
    inputs = list(make_inputs())
    inputs[field] = torch.ones(shape, dtype=inputs[field].dtype)
    with pytest.raises(ValueError, match=name):
        make_model().logits(*inputs)


def test_tables_of_another_catalogue_are_refused():
    sizes = ResponseSizes(3, (), 0, 1, HISTORY, WIDTH, HEADS)
    counts = np.ones(4, dtype=np.int64)
    with pytest.raises(ValueError, match="content"):
        AttentionResponse(sizes, np.zeros((5, 1), np.float32), counts, counts)
    with pytest.raises(ValueError, match="item_clicks"):
        AttentionResponse(sizes, np.zeros((4, 1), np.float32), counts[:2], counts)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="embed_dim 8 is not a multiple of n_heads 3"):
        ResponseSizes(3, (), 0, 1, HISTORY, 8, 3)


def test_a_frozen_model_pickles():
    model, inputs = make_model().freeze(), make_inputs()
    assert torch.equal(pickle.loads(pickle.dumps(model)).logits(*inputs), model.logits(*inputs))
