"""``pg_ra``: policy gradient in a learned space of action representations.

An internal policy draws a representation e ~ N(mu(s), sigma); a mapping f turns it into items,
here a softmax over the dot products of e with the items' representations, from which the slate
is drawn without replacement. Only the internal policy receives the policy gradient. The items'
representations are learned by supervision alone: an inference network g reads a transition (s, s')
and must point at the items that caused it, ``-log f(a | g(s, s'))``; here these are the clicked
items, for the others leave no trace in s'.

The table of the HSRL paper has a row "PG-RA" that its text calls "DDPG-RA", DDPG with the action
representations of Chandak et al. The cited algorithm is a policy gradient and the row is named so;
that is what is built here. Hyper-actions trained through a critic are ``ddpg``, ``td3`` and
``hac``.

References:
    Chandak et al. 2019, "Learning Action Representations for Reinforcement Learning", sections 3
    and 4, Algorithm 1 (PG-RA).
"""

from __future__ import annotations

import torch
from torch import nn

from hsrl_pipeline.agents.base import Action, AgentContext, Bootstrap, LogBatch, UpdateStats
from hsrl_pipeline.agents.encoding import build_state_encoder, initial_weights
from hsrl_pipeline.agents.torch_agent import TorchAgent
from hsrl_pipeline.config.agents.pg_ra import PGRASettings
from hsrl_pipeline.losses.auxiliary import (
    gaussian_entropy,
    gaussian_log_prob,
    representation_loss,
)
from hsrl_pipeline.losses.policy_gradient import policy_gradient_loss
from hsrl_pipeline.losses.returns import clipped_advantage
from hsrl_pipeline.networks.actors import GaussianActor, HyperActor, LatentActor
from hsrl_pipeline.networks.critics import StateValue
from hsrl_pipeline.networks.item_representation import ItemRepresentation
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch
from hsrl_pipeline.shapes import PAD_ID


class ActionRepresentationAgent(TorchAgent[PGRASettings]):
    """PG-RA with a Gaussian internal policy, on-policy.

    Args:
        settings: Settings of the agent.
        context: Sizes, item tables, device and seed.
    """

    def __init__(self, settings: PGRASettings, context: AgentContext) -> None:
        encoder = build_state_encoder(settings.encoder, context)
        size, hidden, latent = encoder.embedding_size, settings.hidden_size, settings.latent_size
        with initial_weights(context.seed, "agent.heads"):
            # starts from the item vectors where the context has them, as all encoders do
            items = ItemRepresentation(
                context.n_items, latent, torch.from_numpy(context.item_vectors)
            )
            head = GaussianActor(size, hidden, latent, settings.initial_std)
            actor = HyperActor(encoder, head, items)
            value = StateValue(size, hidden)
            # bounded like the internal policy, so that the items spread within its reach
            inference = LatentActor(2 * size, hidden, latent)
        critics: dict[str, nn.Module] = {"value_mean": value, "inference": inference}
        super().__init__("pg_ra", settings, context, policy=actor, critics=critics)
        self.latent_size = latent
        self._actor, self._head, self._value = actor, head, value
        self._inference = inference
        self._add_optimizer("all", self._modules.parameters(), settings.learning_rate)

    @torch.no_grad()
    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        """Return the items of the mean representation, or draw representation and items."""
        mean, std = self._head(self._actor.encoder(observation))
        if not explore:
            slates = self._selector.greedy(observation.mask_shown(self._actor.score_all(mean)))
            return Action(slates, mean, mean.new_zeros(mean.shape[0]))
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        latent = mean + std * noise
        logits = observation.mask_shown(self._actor.score_all(latent))
        slates, _ = self._selector.sample(logits, generator)
        return Action(slates, latent, gaussian_log_prob(latent, mean, std).sum(-1))

    @torch.no_grad()
    def item_scores(self, observation: Observation) -> torch.Tensor:
        """Return the scores of all items; see ``ItemScorer``."""
        return self._actor.score_all(self._head(self._actor.encoder(observation))[0])

    @torch.no_grad()
    def scores_of(self, observation: Observation, items: torch.Tensor) -> torch.Tensor:
        """Return the scores of given items; see ``ItemScorer``."""
        return self._actor.score_items(self._head(self._actor.encoder(observation))[0], items)

    def _learn(
        self, batch: TransitionBatch, bootstrap: Bootstrap, log: LogBatch | None
    ) -> UpdateStats:
        """Take one step on internal policy, value and action representations."""
        target, next_states = bootstrap
        with self._updating():
            states = self._actor.encoder(batch.observation)
            mean, std = self._head(states)
            value = self._value(states).float()
            # the representations are fitted to transitions, not the state to them
            pair = torch.cat([states.detach(), next_states], dim=-1)
            scores = self._actor.score_all(self._inference(pair)).float()
        mean, std = mean.float(), std.float()
        log_prob = gaussian_log_prob(batch.latent_action, mean, std).mean(-1, keepdim=True)
        entropy = gaussian_entropy(std).mean()
        advantage = clipped_advantage(target, value, self._settings.advantage_clip)
        policy_loss = policy_gradient_loss(advantage, log_prob)
        value_loss = (value - target).square().mean()
        logits = batch.observation.mask_shown(scores)
        log_likelihood = self._selector.log_prob(logits, batch.slates)
        counted = self._selector.without_absent(batch.slates) != PAD_ID
        inferred = representation_loss(log_likelihood, batch.clicks * counted)
        loss = (
            policy_loss
            - self._settings.entropy_coef_at(self._n_updates) * entropy
            + self._settings.value_coef * value_loss
            + self._settings.representation_coef * inferred
        )
        loss.backward()
        norm = self._step("all")
        losses = {
            "actor_loss": policy_loss.detach(),
            "critic_loss": value_loss.detach(),
            "representation_loss": inferred.detach(),
        }
        diagnostics = {
            "entropy": entropy.detach(),
            "gradient_norm_actor": norm,
            "value_mean": value.detach().mean(),
            "value_error": (value.detach() - target).abs().mean(),
        }
        return UpdateStats(losses, diagnostics)

    def _value_next(self, batch: TransitionBatch) -> tuple[torch.Tensor, torch.Tensor]:
        state = self._actor.encoder(batch.next_observation)
        return self._value(state), state


def build_pg_ra(settings: PGRASettings, context: AgentContext) -> ActionRepresentationAgent:
    """Return an untrained ``pg_ra`` agent."""
    return ActionRepresentationAgent(settings, context)
