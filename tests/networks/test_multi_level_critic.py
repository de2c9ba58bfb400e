import pytest
import torch

from hsrl_pipeline.networks.multi_level_critic import MultiLevelCritic


def seeded_critic(*sizes, **options):
    torch.manual_seed(0)
    return MultiLevelCritic(*sizes, **options)


def test_value_is_the_softmax_weighted_sum_of_level_values():
    torch.manual_seed(0)
    critic = MultiLevelCritic(4, 3, 5)
    with torch.no_grad():
        critic.level_logits.copy_(torch.log(torch.tensor([1.0, 2.0, 5.0])))
    contexts = [torch.randn(2, 4) for _ in range(3)]
    values = []
    for level, context in enumerate(contexts):
        hidden = (context @ critic.hidden_weight[level] + critic.hidden_bias[level]).relu()
        values.append((hidden @ critic.value_weight[level] + critic.value_bias[level])[:, 0])
    torch.testing.assert_close(critic.level_values(contexts), torch.stack(values))
    expected = (values[0] + 2 * values[1] + 5 * values[2]) / 8
    torch.testing.assert_close(critic(contexts), expected)


def test_level_weights_are_learned_through_the_critic_loss():
    torch.manual_seed(0)
    critic = MultiLevelCritic(4, 3, 5)
    contexts = [torch.randn(8, 4) for _ in range(3)]
    (critic(contexts) - 1.0).square().mean().backward()
    assert critic.level_logits.grad.abs().max() > 0
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.5)
    before = critic.level_weights.detach().clone()
    optimizer.step()
    assert (critic.level_weights - before).abs().max() > 0
    assert critic.level_weights.sum().item() == pytest.approx(1.0)


def test_weights_move_to_the_level_that_predicts():
    torch.manual_seed(0)
    critic = MultiLevelCritic(2, 3, 8)
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.05)
    generator = torch.Generator().manual_seed(1)
    for _ in range(150):
        contexts = list(torch.randn(3, 64, 2, generator=generator))
        optimizer.zero_grad()
        (critic(contexts) - 3 * contexts[1][:, 0]).square().mean().backward()
        optimizer.step()
    assert critic.level_weights.argmax().item() == 1


def test_single_critic_reads_the_state_alone():
    critic = MultiLevelCritic(4, 1, 5)
    contexts = [torch.randn(2, 4), torch.full((2, 4), torch.nan)]
    assert critic(contexts).isfinite().all()
    assert critic.level_weights.tolist() == [1.0]


def test_equal_weights_give_the_mean_and_the_value_of_untrained_learned_ones():
    learned, equal = (
        seeded_critic(4, 3, 5, learned_weights=learned_weights) for learned_weights in (True, False)
    )
    contexts = list(torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(equal(contexts), equal.level_values(contexts).mean(0))
    assert torch.equal(equal(contexts), learned(contexts))


def test_equal_weights_of_equal_values_are_the_single_critic():
    single, equal = seeded_critic(4, 1, 5), seeded_critic(4, 3, 5, learned_weights=False)
    with torch.no_grad():
        for name in ("hidden_weight", "hidden_bias", "value_weight", "value_bias"):
            getattr(equal, name).copy_(getattr(single, name))
    state = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(equal([state] * 3), single([state]))


def test_equal_weights_are_no_state_and_nothing_to_learn():
    learned, equal = MultiLevelCritic(4, 3, 5), MultiLevelCritic(4, 3, 5, learned_weights=False)
    assert set(learned.state_dict()) - set(equal.state_dict()) == {"level_logits"}
    assert "level_logits" not in dict(equal.named_parameters())
    assert equal.level_weights.tolist() == pytest.approx([1 / 3] * 3)
    with pytest.raises(RuntimeError, match="level_logits"):
        equal.load_state_dict(learned.state_dict())
