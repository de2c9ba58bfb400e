"""``a2c``: advantage actor-critic with one softmax over the whole catalogue.

A slate is drawn position by position without replacement (Gumbel-top-K), so its log-probability
is exact; one advantage, from a state value, weighs the whole slate.

References:
    Mnih et al. 2016, "Asynchronous Methods for Deep Reinforcement Learning", Algorithm S3, in its
    synchronous form. Clipping of the advantage as in the HSRL paper (section 3.5.1).
"""

from __future__ import annotations

import torch
from torch import nn

from hsrl_pipeline.agents.base import Action, AgentContext, Bootstrap, LogBatch, UpdateStats
from hsrl_pipeline.agents.encoding import build_state_encoder, initial_weights
from hsrl_pipeline.agents.torch_agent import TorchAgent
from hsrl_pipeline.config.agents.a2c import A2CSettings
from hsrl_pipeline.losses.policy_gradient import level_entropies, policy_gradient_loss
from hsrl_pipeline.losses.returns import clipped_advantage
from hsrl_pipeline.networks.actors import ItemActor
from hsrl_pipeline.networks.critics import StateValue
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch


class ItemActorCriticAgent(TorchAgent[A2CSettings]):
    """On-policy actor-critic on items; actor and critic share the state encoder.

    Args:
        settings: Settings of the agent.
        context: Sizes, item tables, device and seed.
    """

    def __init__(self, settings: A2CSettings, context: AgentContext) -> None:
        encoder = build_state_encoder(settings.encoder, context, new_items=settings.new_items)
        actor = ItemActor(encoder)
        with initial_weights(context.seed, "agent.heads"):
            value = StateValue(encoder.embedding_size, settings.value_hidden_size)
        super().__init__("a2c", settings, context, policy=actor, critics={"value_mean": value})
        self._actor, self._value = actor, value
        weights: list[nn.Parameter] = [*actor.parameters(), *value.parameters()]
        self._add_optimizer("all", weights, settings.learning_rate)

    @torch.no_grad()
    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        """Return a slate drawn without replacement when exploring, else the likeliest items."""
        logits = observation.mask_shown(self._actor(observation))
        if explore:
            slates, log_prob = self._selector.sample(logits, generator)
        else:
            slates = self._selector.greedy(logits)
            log_prob = logits.new_zeros(slates.shape[0])
        return Action(slates, self._no_latent(slates), log_prob)

    @torch.no_grad()
    def item_scores(self, observation: Observation) -> torch.Tensor:
        """Return the scores of all items; see ``ItemScorer``."""
        return self._actor.score_all(self._actor.encoder(observation))

    @torch.no_grad()
    def scores_of(self, observation: Observation, items: torch.Tensor) -> torch.Tensor:
        """Return the scores of given items; see ``ItemScorer``."""
        return self._actor.score_slates(self._actor.encoder(observation), items)

    def _learn(
        self, batch: TransitionBatch, bootstrap: Bootstrap, log: LogBatch | None
    ) -> UpdateStats:
        """Take one gradient step on policy, value and entropy."""
        target = bootstrap.td_target
        with self._updating():
            states = self._actor.encoder(batch.observation)
            scores = self._actor.score_all(states).float()
            value = self._value(states).float()
        logits = batch.observation.mask_shown(scores)
        advantage = clipped_advantage(target, value, self._settings.advantage_clip)
        log_prob = self._selector.log_prob(logits, batch.slates)
        policy_loss = policy_gradient_loss(advantage, log_prob)
        value_loss = (value - target).square().mean()
        entropy = level_entropies([self._selector.distribution(logits)]).sum()
        loss = (
            policy_loss
            + self._settings.value_coef * value_loss
            - self._settings.entropy_coef_at(self._n_updates) * entropy
        )
        loss.backward()
        norm = self._step("all")
        return UpdateStats(
            {"actor_loss": policy_loss.detach(), "critic_loss": value_loss.detach()},
            {
                "entropy": entropy.detach(),
                "gradient_norm_actor": norm,
                "value_mean": value.detach().mean(),
                "value_error": (value.detach() - target).abs().mean(),
            },
        )

    def _value_next(self, batch: TransitionBatch) -> tuple[torch.Tensor, torch.Tensor]:
        state = self._actor.encoder(batch.next_observation)
        return self._value(state), state


def build_a2c(settings: A2CSettings, context: AgentContext) -> ItemActorCriticAgent:
    """Return an untrained ``a2c`` agent."""
    return ItemActorCriticAgent(settings, context)
