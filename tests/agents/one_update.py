"""A small batch, and the gradients of one update on it, to compare with losses written out."""

from __future__ import annotations

import numpy as np
import torch

from hsrl_pipeline.agents.base import AgentContext, Bootstrap, LogBatch, UpdateStats
from hsrl_pipeline.agents.torch_agent import TorchAgent
from hsrl_pipeline.config.agents.shared import EncoderConfig
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch

N_ITEMS, SLATE, HISTORY, BATCH, WIDTH, GAMMA = 9, 3, 4, 6, 8, 0.9
ENCODER = EncoderConfig(
    embedding_size=WIDTH, n_layers=1, n_heads=2, feedforward_size=8, dropout=0.0
)
Gradients = dict[str, torch.Tensor]


def make_context() -> AgentContext:
    vectors = np.random.default_rng(0).normal(size=(N_ITEMS + 1, 5)).astype(np.float32)
    vectors[0] = 0.0
    codes = np.arange(-1, N_ITEMS)[:, None]
    device = torch.device("cpu")
    return AgentContext(N_ITEMS, SLATE, HISTORY, (), 0, 20, vectors, codes, (9,), device, 0)


def observe(generator: torch.Generator) -> Observation:
    history = torch.randint(1, N_ITEMS + 1, (BATCH, HISTORY), generator=generator)
    empty = torch.zeros(BATCH, 0)
    return Observation(empty.long(), empty, history, torch.zeros(BATCH).long())


def make_batch(latent_size: int) -> TransitionBatch:
    """Return transitions of which the first has ended."""
    generator = torch.Generator().manual_seed(0)
    slates = torch.rand(BATCH, N_ITEMS, generator=generator).argsort(1)[:, :SLATE] + 1
    clicks = (torch.rand(BATCH, SLATE, generator=generator) < 0.5).float()
    return TransitionBatch(
        observe(generator),
        slates,
        clicks,
        (1.2 * clicks - 0.2).mean(-1),
        observe(generator),
        torch.arange(BATCH) == 0,
        torch.zeros(BATCH, dtype=torch.bool),
        torch.randn(BATCH, latent_size, generator=generator),
        torch.zeros(BATCH),
    )


def target_of(batch: TransitionBatch, next_value: torch.Tensor) -> torch.Tensor:
    return batch.reward + GAMMA * torch.where(batch.terminated, 0.0, next_value.detach())


def slate_log_prob(scores: torch.Tensor, slates: torch.Tensor) -> torch.Tensor:
    """Return the log-probabilities of drawing each item after those before it."""
    left, found = scores.clone(), []
    for place in range(slates.shape[1]):
        item = slates[:, place : place + 1]
        found.append(left.gather(1, item) - left.logsumexp(1, keepdim=True))
        left = left.scatter(1, item, -torch.inf)
    return torch.cat(found, dim=1)


def without_padding(scores: torch.Tensor) -> torch.Tensor:
    return scores.masked_fill(torch.arange(N_ITEMS + 1) == 0, -torch.inf)


def update_of(
    agent: TorchAgent,
    batch: TransitionBatch | None,
    log: LogBatch | None = None,
    bootstrap: Bootstrap | None = None,
) -> tuple[UpdateStats, Gradients]:
    """Update an agent; return the gradients that its optimisers stepped on as well."""
    names = {id(weight): name for name, weight in agent._modules.named_parameters()}
    found: Gradients = {}
    step = agent._step

    def record(name: str) -> torch.Tensor:
        for group in agent._optimizers[name].param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    found[names[id(weight)]] = weight.grad.clone()
        return step(name)

    agent._step = record
    return agent.update(batch, log, bootstrap), found


def gradients_of(agent: TorchAgent, loss: torch.Tensor) -> Gradients:
    """Return the gradients of a loss that was made of an agent's networks."""
    names, weights = zip(*agent._modules.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    return {name: value for name, value in zip(names, found, strict=True) if value is not None}


def sum_of(first: Gradients, second: Gradients) -> Gradients:
    both = {key: first[key] + second[key] for key in first.keys() & second.keys()}
    return first | second | both


def assert_same_gradients(found: Gradients, expected: Gradients) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)


def assert_same_figures(found: dict[str, torch.Tensor], expected: Gradients) -> None:
    """Compare figures that an update reports; gradient norms are left to the optimiser."""
    plain = {name: value for name, value in found.items() if "gradient_norm" not in name}
    assert plain.keys() == expected.keys()
    for name, value in expected.items():
        assert not plain[name].requires_grad, name
        torch.testing.assert_close(plain[name], value.detach(), rtol=1e-4, atol=1e-6, msg=name)
