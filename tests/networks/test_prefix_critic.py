import pytest
import torch

from hsrl_pipeline.networks.multi_level_critic import MultiLevelCritic
from hsrl_pipeline.networks.prefix_critic import EMBEDDING_GAIN, PrefixCritic

STATE = torch.tensor([[10.0, 10.0]])
CODES = torch.tensor([[[0, 1, 0], [1, 2, 1]]])


def summing_critic():
    """Levels of 2, 3 and 2 codes; every value is the sum of a context's positive entries."""
    critic = PrefixCritic(2, (2, 3, 2), 2)
    first, second = torch.tensor([[1.0, 0], [0, 2]]), torch.tensor([[0.0, 0], [1, 1], [3, 5]])
    with torch.no_grad():
        critic.hidden_weight.copy_(torch.eye(2))
        critic.value_weight.fill_(1.0)
        for table, embeddings in zip(critic.code_embeddings, (first, second), strict=True):
            table.copy_(embeddings / EMBEDDING_GAIN)
    return critic


def random_critic(vocab_sizes=(4, 3, 5), seed=0):
    torch.manual_seed(seed)
    return PrefixCritic(6, vocab_sizes, 7)


def random_slates(batch=8, vocab_sizes=(4, 3, 5)):
    generator = torch.Generator().manual_seed(1)
    codes = [torch.randint(size, (batch, 3), generator=generator) for size in vocab_sizes]
    state = torch.randn(batch, 6, generator=generator)
    return state, torch.stack(codes, -1), torch.ones(batch, 3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        # means over the slate: (0.5, 1) at level 1, (2, 3) at level 2
        ([True, True], [20.0, 18.5, 13.5]),
        ([True, False], [20.0, 19.0, 17.0]),
        ([False, True], [20.0, 18.0, 10.0]),
        ([False, False], [20.0, 20.0, 20.0]),
    ],
)
def test_values_follow_the_codes_of_the_counted_items(counted, expected):
    values = summing_critic().prefix_values(STATE, CODES, torch.tensor([counted]))
    torch.testing.assert_close(values[:, 0], torch.tensor(expected))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_value_knows_the_codes_before_it_and_no_other(level):
    critic, (state, codes, counted) = random_critic(), random_slates()
    other = codes.clone()
    other[..., level] = (other[..., level] + 1) % 3
    before, after = (critic.prefix_values(state, taken, counted) for taken in (codes, other))
    assert torch.equal(before[: level + 1], after[: level + 1])
    assert all((before[later] != after[later]).any() for later in range(level + 1, 3))


def test_the_state_value_is_that_before_the_first_code():
    critic, (state, codes, counted) = random_critic(), random_slates()
    for bias in (critic.hidden_bias, critic.value_bias):
        torch.nn.init.normal_(bias)
    torch.testing.assert_close(critic([state]), critic.prefix_values(state, codes, counted)[0])


def test_the_order_of_the_slate_does_not_matter():
    critic, (state, codes, counted) = random_critic(), random_slates()
    values = critic.prefix_values(state, codes, counted)
    torch.testing.assert_close(critic.prefix_values(state, codes.flip(1), counted), values)


def test_one_level_is_the_single_critic():
    critic, (state, codes, counted) = random_critic((4,)), random_slates(vocab_sizes=(4,))
    torch.manual_seed(0)
    single = MultiLevelCritic(6, 1, 7)
    assert torch.equal(critic.prefix_values(state, codes, counted)[0], single([state]))
    assert not critic.code_embeddings


def test_it_learns_what_codes_are_worth():
    critic = random_critic((4, 3))
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(1)
    for _ in range(200):
        codes = torch.stack(
            [torch.randint(size, (64, 3), generator=generator) for size in (4, 3)], -1
        )
        reward = codes[..., 0].eq(2).float().mean(1)
        values = critic.prefix_values(torch.zeros(64, 6), codes, torch.ones(64, 3).bool())
        optimizer.zero_grad()
        (values - reward).square().mean().backward()
        optimizer.step()
    before, after = (values.detach() - reward).square().mean(1).tolist()
    # variance of a third of three draws of one in four
    assert before > 0.03 and after < 0.005


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"state": torch.zeros(8, 5)}, r"state has shape \(8, 5\)"),
        ({"codes": torch.zeros(8, 3, 2).long()}, r"codes has shape \(8, 3, 2\)"),
        ({"codes": torch.zeros(7, 3, 3).long()}, r"codes has shape \(7, 3, 3\)"),
        ({"codes": torch.zeros(8, 3, 3)}, "codes has dtype float32, expected int64"),
        ({"counted": torch.ones(8, 2).bool()}, r"counted has shape \(8, 2\)"),
        ({"counted": torch.ones(8, 3)}, "counted has dtype float32, expected bool"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(changed, message):
    state, codes, counted = random_slates()
    inputs = {"state": state, "codes": codes, "counted": counted} | changed
    with pytest.raises(ValueError, match=message):
        random_critic().prefix_values(**inputs)


def test_untrained_code_embeddings_spread_by_one():
    torch.manual_seed(0)
    (table,) = PrefixCritic(64, (100, 3), 4).code_embeddings
    assert float((EMBEDDING_GAIN * table).std()) == pytest.approx(1.0, rel=0.05)
