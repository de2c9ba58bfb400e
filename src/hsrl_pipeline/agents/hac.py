"""``hac``: hyper-action and effect-action, kept together by alignment and supervision.

The actor emits a hyper-action Z; the effect-action is the slate that Z's dot products with the
items select. One critic judges both spaces: an effect-action enters as the mean vector of its
items (its inverse transform h), a hyper-action as it is. Four losses share one update:

* TD error of Q(s, h(slate)) against r + gamma (1 - terminated) Q'(s', h(slate'));
* actor: -Q(s, Z), which trains the actor head alone;
* alignment: squared distance of Z and h(slate selected by Z);
* supervision: click loss of the scores Z gives to a replayed slate, against its real feedback;
  with ``item_bias`` each item also has a part that is the same for everybody.

The paper leaves open which slate the alignment uses. Here it is the one the present hyper-action
selects: the replayed slate carries exploration noise and older weights, which the actor should
not be drawn back to.

References:
    Liu et al. 2023, "Exploration and Regularization of the Latent Action Space in
    Recommendation" (WWW '23).
"""

from __future__ import annotations

import torch

from hsrl_pipeline.agents.base import Action, AgentContext, Bootstrap, LogBatch, UpdateStats
from hsrl_pipeline.agents.encoding import build_state_encoder, initial_weights
from hsrl_pipeline.agents.torch_agent import TorchAgent
from hsrl_pipeline.config.agents.hac import HACSettings
from hsrl_pipeline.losses.auxiliary import alignment_loss, pooled_items
from hsrl_pipeline.losses.deterministic_pg import (
    critics_loss,
    deterministic_policy_loss,
    noisy_action,
)
from hsrl_pipeline.losses.supervised import click_loss
from hsrl_pipeline.networks.actors import HyperActor, ItemBias, LatentActor
from hsrl_pipeline.networks.critics import ActionValues
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch


class HyperActorCriticAgent(TorchAgent[HACSettings]):
    """HAC on a replay buffer.

    Args:
        settings: Settings of the agent.
        context: Sizes, item tables, device and seed.
    """

    def __init__(self, settings: HACSettings, context: AgentContext) -> None:
        encoder = build_state_encoder(settings.encoder, context)
        size = encoder.embedding_size
        with initial_weights(context.seed, "agent.heads"):
            head = LatentActor(size, settings.hidden_size, size)
            bias = ItemBias(context.n_items) if settings.item_bias else None
            actor = HyperActor(encoder, head, encoder.items, bias)
            critic = ActionValues(size, size, settings.hidden_size, n_critics=1)
        super().__init__("hac", settings, context, policy=actor, critics={"critic": critic})
        self.latent_size = size
        self._actor, self._critic = actor, critic
        self._target_actor = self._add_target("policy", actor)
        self._target_critic = self._add_target("critic", critic)
        self._add_optimizer("critic", critic.parameters(), settings.critic_learning_rate)
        self._add_optimizer("actor", actor.parameters(), settings.learning_rate)

    @torch.no_grad()
    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        """Return a slate; exploring adds noise to the hyper-action and draws the items."""
        latent = self._actor.head(self._actor.encoder(observation))
        if explore:
            latent = noisy_action(
                latent,
                noise_std=self._settings.exploration_noise_std,
                noise_clip=torch.inf,
                generator=generator,
            ).clamp(-1.0, 1.0)
        scores = observation.mask_shown(self._actor.score_all(latent))
        if explore and self._settings.sample_items:
            slates, log_prob = self._selector.sample(scores, generator)
        else:
            slates = self._selector.greedy(scores)
            log_prob = scores.new_zeros(slates.shape[0])
        return Action(slates, latent, log_prob)

    @torch.no_grad()
    def item_scores(self, observation: Observation) -> torch.Tensor:
        """Return the scores of all items; see ``ItemScorer``."""
        return self._actor.score_all(self._actor.head(self._actor.encoder(observation)))

    @torch.no_grad()
    def scores_of(self, observation: Observation, items: torch.Tensor) -> torch.Tensor:
        """Return the scores of given items; see ``ItemScorer``."""
        return self._actor.score_items(self._actor.head(self._actor.encoder(observation)), items)

    def _learn(
        self, batch: TransitionBatch, bootstrap: Bootstrap, log: LogBatch | None
    ) -> UpdateStats:
        """Take one step on all four losses."""
        target = bootstrap.td_target
        with self._updating():
            states = self._actor.encoder(batch.observation)
            table = self._actor.items.catalogue()
            taken = pooled_items(table.detach(), batch.slates)
            values = self._critic(states, taken)
            critic_loss = critics_loss(values.float(), target)

            latent = self._actor.head(states)
            shown = self._selector.without_absent(batch.slates)
            logits = (table[batch.slates] @ latent.unsqueeze(-1)).squeeze(-1)
            bias = self._actor.bias
            if bias is not None:
                logits = bias.click_logits(logits, batch.slates)
            supervision = click_loss(logits.float(), batch.clicks, shown)
            recovered = self._recovered(self._actor, batch.observation, latent, table)
            alignment = alignment_loss(latent, recovered)
            frozen = states.detach()
            ascent = deterministic_policy_loss(
                self._critic.first(frozen, self._actor.head(frozen)).float()
            )
        shared = (
            critic_loss
            + self._settings.supervision_coef * supervision
            + self._settings.alignment_coef * alignment
        )
        if bias is not None:
            shared = shared + self._settings.bias_shrinkage * bias.values.square().sum()
        shared.backward()  # type: ignore[no-untyped-call]
        head = list(self._actor.head.parameters())
        (self._settings.policy_coef * ascent).backward(inputs=head)  # type: ignore[no-untyped-call]
        diagnostics = {
            "gradient_norm_critic": self._step("critic"),
            "gradient_norm_actor": self._step("actor"),
            "value_mean": values.detach().mean(),
            "value_error": (values.detach() - target).abs().mean(),
        }
        self._polyak_update(self._target_actor, self._actor, self._settings.tau)
        self._polyak_update(self._target_critic, self._critic, self._settings.tau)
        losses = {
            "critic_loss": critic_loss,
            "actor_loss": ascent,
            "alignment_loss": alignment,
            "supervision_loss": supervision,
        }
        return UpdateStats({name: loss.detach() for name, loss in losses.items()}, diagnostics)

    def _value_next(self, batch: TransitionBatch) -> tuple[torch.Tensor, torch.Tensor]:
        next_states = self._target_actor.encoder(batch.next_observation)
        next_latent = self._target_actor.head(next_states)
        table = self._target_actor.items.catalogue()
        next_taken = self._recovered(self._target_actor, batch.next_observation, next_latent, table)
        return self._target_critic.first(next_states, next_taken), next_states

    @torch.no_grad()
    def _recovered(
        self,
        actor: HyperActor,
        observation: Observation,
        latent: torch.Tensor,
        table: torch.Tensor,
    ) -> torch.Tensor:
        """Return the hyper-action that the slate selected by ``latent`` stands for."""
        scores = observation.mask_shown(actor.score_table(latent, table))
        return pooled_items(table, self._selector.greedy(scores))


def build_hac(settings: HACSettings, context: AgentContext) -> HyperActorCriticAgent:
    """Return an untrained ``hac`` agent."""
    return HyperActorCriticAgent(settings, context)
