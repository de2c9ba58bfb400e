"""``td3`` and the mechanics it shares with ``ddpg``: a continuous action that ranks the catalogue.

The actor emits a hyper-action z; items are scored by their dot product with z, plus a bias of
their own that the clicks on shown slates teach, and the best K make the slate. Critics judge
(s, z), noise on z explores. z lives on a sphere rather than in the box of the original papers
(docs/agents.md#the-hyper-actions-of-ddpg-and-td3-are-directions).

References:
    Fujimoto, van Hoof and Meger 2018, "Addressing Function Approximation Error in Actor-Critic
    Methods", Algorithm 1.
    Dulac-Arnold et al. 2015, "Deep Reinforcement Learning in Large Discrete Action Spaces", for
    acting on items through fixed positions in the action space.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hsrl_pipeline.agents.base import Action, AgentContext, Bootstrap, LogBatch, UpdateStats
from hsrl_pipeline.agents.encoding import build_state_encoder, initial_weights
from hsrl_pipeline.agents.torch_agent import TorchAgent
from hsrl_pipeline.config.agents.shared import HyperActionSettings
from hsrl_pipeline.config.agents.td3 import TD3Settings
from hsrl_pipeline.losses.deterministic_pg import (
    critics_loss,
    deterministic_policy_loss,
    noisy_action,
)
from hsrl_pipeline.losses.supervised import click_loss
from hsrl_pipeline.networks.actors import (
    DirectionActor,
    HyperActor,
    ItemBias,
    ItemSpace,
    scale_to_sphere,
)
from hsrl_pipeline.networks.critics import ActionValues
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch


@dataclass(frozen=True)
class Variant:
    """What tells TD3 from DDPG.

    Attributes:
        name: Registered name of the agent.
        latent_size: Wanted width of the hyper-action.
        n_critics: 2 for TD3's twins, 1 for DDPG.
        policy_delay: Critic updates per actor update; 1 for DDPG.
        target_noise_std: Noise on the target action; 0 for DDPG.
        target_noise_clip: Bound of that noise.
        behavior_coef: Weight of the click loss on logged slates; 0 learns from replay alone.
        log_batch_size: Logged slates per update, if regularised.
    """

    name: str
    latent_size: int
    n_critics: int
    policy_delay: int
    target_noise_std: float
    target_noise_clip: float
    behavior_coef: float = 0.0
    log_batch_size: int = 0


class DeterministicAgent(TorchAgent[HyperActionSettings]):
    """Actor and critics on a continuous hyper-action, from a replay buffer.

    The encoder is trained by the critics, and the actor's loss stops at the state: its gradient
    never runs through critic or encoder weights only to be thrown away.

    Args:
        settings: Settings that DDPG and TD3 have in common.
        variant: What tells them apart.
        context: Sizes, item tables, device and seed.
    """

    def __init__(
        self, settings: HyperActionSettings, variant: Variant, context: AgentContext
    ) -> None:
        encoder = build_state_encoder(settings.encoder, context)
        size, hidden = encoder.embedding_size, settings.hidden_size
        with initial_weights(context.seed, "agent.heads"):
            # with clicks to learn from, the items move; else they are placed by their vectors
            learned = variant.behavior_coef > 0.0
            vectors = torch.from_numpy(context.item_vectors)
            items = encoder.items if learned else ItemSpace(vectors, variant.latent_size)
            latent_size = size if learned else min(variant.latent_size, vectors.shape[1])
            head = DirectionActor(size, hidden, latent_size)
            bias = ItemBias(context.n_items) if settings.item_bias else None
            actor = HyperActor(encoder, head, items, bias)
            critics = ActionValues(size, latent_size, hidden, variant.n_critics)
        super().__init__(
            variant.name,
            settings,
            context,
            policy=actor,
            critics={"critics": critics},
            log_batch_size=variant.log_batch_size,
        )
        self.latent_size = latent_size
        self.uses_log = learned
        self._variant = variant
        self._actor, self._critics = actor, critics
        self._target_actor = self._add_target("policy", actor)
        self._target_critics = self._add_target("critics", critics)
        self._add_optimizer(
            "critics",
            [*encoder.parameters(), *critics.parameters()],
            settings.critic_learning_rate,
        )
        self._add_optimizer("actor", actor.head.parameters(), settings.learning_rate)
        if bias is not None:
            self._add_optimizer("item_bias", bias.parameters(), settings.critic_learning_rate)

    @torch.no_grad()
    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        """Return the top-K slate of the hyper-action, which is noisy when exploring."""
        latent = self._actor.head(self._actor.encoder(observation))
        if explore:
            noise_std = self._settings.exploration_noise_std
            latent = scale_to_sphere(
                noisy_action(latent, noise_std=noise_std, noise_clip=torch.inf, generator=generator)
            )
        slates = self._selector.greedy(observation.mask_shown(self._actor.score_all(latent)))
        return Action(slates, latent, latent.new_zeros(latent.shape[0]))

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
        """Take one critic step and, every ``policy_delay`` updates, one actor step."""
        target = bootstrap.td_target
        with self._updating():
            states = self._actor.encoder(batch.observation)
            values = self._critics(states, batch.latent_action)
            critic_loss = critics_loss(values.float(), target)
            losses = {"critic_loss": critic_loss.detach()}
            total = critic_loss
            if log is not None:
                losses["behavior_loss"], weighted = self._behavior_loss(log)
                total = total + weighted
            if self._actor.bias is not None:
                losses["bias_loss"], weighted = self._bias_loss(batch, self._actor.bias)
                total = total + weighted
        total.backward()  # type: ignore[no-untyped-call]
        if self._actor.bias is not None:
            self._step("item_bias")
        diagnostics = {
            "gradient_norm_critic": self._step("critics"),
            "value_mean": values.detach().mean(),
            "value_error": (values.detach() - target).abs().mean(),
        }
        if self._n_updates % self._variant.policy_delay == 0:
            with self._precision():
                frozen = states.detach()
                actor_loss = deterministic_policy_loss(
                    self._critics.first(frozen, self._actor.head(frozen)).float()
                )
            head = list(self._actor.head.parameters())
            actor_loss.backward(inputs=head)  # type: ignore[no-untyped-call]
            diagnostics["gradient_norm_actor"] = self._step("actor")
            losses["actor_loss"] = actor_loss.detach()
            self._polyak_update(self._target_actor, self._actor, self._settings.tau)
            self._polyak_update(self._target_critics, self._critics, self._settings.tau)
        return UpdateStats(losses, diagnostics)

    def _value_next(self, batch: TransitionBatch) -> tuple[torch.Tensor, torch.Tensor]:
        next_states = self._target_actor.encoder(batch.next_observation)
        next_action = noisy_action(
            self._target_actor.head(next_states),
            noise_std=self._variant.target_noise_std,
            noise_clip=self._variant.target_noise_clip,
            generator=self._draws_of(self._n_updates + 1),
        )
        next_values = self._target_critics(next_states, scale_to_sphere(next_action))
        # the smaller of twin critics (Fujimoto et al. 2018, Eq. 10); with one critic, DDPG's own
        return next_values.amin(0), next_states

    def _behavior_loss(self, log: LogBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the click loss for the record and its weighted form for the gradient."""
        latent = self._actor.head(self._actor.encoder(log.observation))
        logits = self._actor.click_logits(latent, log.slates)
        loss = click_loss(logits.float(), log.clicks, log.slates)
        return loss.detach(), self._variant.behavior_coef * loss

    def _bias_loss(
        self, batch: TransitionBatch, bias: ItemBias
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the click loss of the slates shown, which trains the bias alone, and the whole.

        A critic's gradient reaches the hyper-action and no further, so that it cannot say that an
        item is good for everybody.
        """
        with torch.no_grad():
            positions = self._actor.items(batch.slates)
            scores = (positions @ batch.latent_action.unsqueeze(-1)).squeeze(-1)
        logits = bias.click_logits(scores, batch.slates)
        shown = self._selector.without_absent(batch.slates)
        loss = click_loss(logits.float(), batch.clicks, shown)
        return loss.detach(), loss + self._settings.bias_shrinkage * bias.values.square().sum()


def build_td3(settings: TD3Settings, context: AgentContext) -> DeterministicAgent:
    """Return an untrained ``td3`` agent."""
    variant = Variant(
        name="td3",
        latent_size=settings.latent_size,
        n_critics=2,
        policy_delay=settings.policy_delay,
        target_noise_std=settings.target_noise_std,
        target_noise_clip=settings.target_noise_clip,
    )
    return DeterministicAgent(settings, variant, context)
