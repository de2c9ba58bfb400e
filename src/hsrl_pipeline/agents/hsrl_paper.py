"""``hsrl_paper``: Hierarchical Semantic RL with the paper's equations as written.

References:
    "Hierarchical Semantic RL: Tackling the Problem of Dynamic Action Space for RL-based
    Recommendations", section 3, Eq. 10-26; ablations of its Table 3.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hsrl_pipeline.agents.base import Action, AgentContext, Bootstrap, LogBatch, UpdateStats
from hsrl_pipeline.agents.encoding import build_state_encoder, initial_weights
from hsrl_pipeline.agents.slate_decoding import ShelfDecoder
from hsrl_pipeline.agents.torch_agent import TorchAgent
from hsrl_pipeline.config.agents.hsrl_paper import HsrlPaperSettings
from hsrl_pipeline.losses.policy_gradient import (
    behavior_cloning_loss,
    level_entropies,
    policy_gradient_loss,
)
from hsrl_pipeline.losses.returns import clipped_advantage, level_targets
from hsrl_pipeline.networks.catalogue_tables import CatalogueTables, WrittenRows
from hsrl_pipeline.networks.hierarchical_policy import HierarchicalPolicy, LevelOutputs
from hsrl_pipeline.networks.multi_level_critic import MultiLevelCritic
from hsrl_pipeline.networks.prefix_critic import PrefixCritic
from hsrl_pipeline.networks.semantic_items import ItemWalk, SemanticItems
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch
from hsrl_pipeline.shapes import PAD_ID


class HsrlPaperAgent(TorchAgent[HsrlPaperSettings]):
    """Hierarchical policy network and multi-level critic, trained jointly on replay (Eq. 26).

    One forward pass serves policy, entropy, cloning and critic: logged and replayed states go
    through the encoder together.

    Args:
        settings: Settings of the agent; each ablation is one of them.
        context: Sizes, item tables, semantic IDs, device and seed.
    """

    def __init__(self, settings: HsrlPaperSettings, context: AgentContext) -> None:
        width = settings.encoder.embedding_size
        encoder = build_state_encoder(settings.encoder, context)
        with initial_weights(context.seed, "agent.hsrl_paper.networks"):
            head = HierarchicalPolicy(
                width,
                context.vocab_sizes,
                residual=settings.policy_head == "hierarchical",
                gated=settings.gated_context,
            )
            critic = _build_critic(settings, context.vocab_sizes)
        policy = nn.ModuleDict({"encoder": encoder, "head": head})
        super().__init__(
            "hsrl_paper",
            settings,
            context,
            policy=policy,
            critics={"critic": critic},
            log_batch_size=settings.cloning_batch_size,
        )
        self.uses_log = settings.cloning_coef > 0.0
        self._encoder, self._head, self._critic = encoder, head, critic
        self._shelves, self._item_priors = context.shelves, context.item_priors
        self._items = self._semantic_items(context.codes)
        self._slate_size = context.slate_size
        self._target_policy = self._add_target("policy", policy)
        self._target_critic = self._add_target("critic", critic)
        self._add_optimizer("policy", policy.parameters(), settings.learning_rate)
        self._add_optimizer("critic", critic.parameters(), settings.critic_learning_rate)

    def _take_catalogue(self, tables: CatalogueTables) -> list[WrittenRows]:
        """Give Eq. 14 the live items; no weight belongs to an item."""
        self._items = self._semantic_items(tables.live_codes)
        return []

    def _semantic_items(self, codes: np.ndarray) -> SemanticItems:
        items = SemanticItems(codes, self._vocab_sizes, self._shelves, self._item_priors)
        return items.to(self._device)

    def _excluded(self, observation: Observation) -> torch.Tensor:
        """Return (batch, shown) int64, PAD_ID also for shown items that are not live any more."""
        shown = observation.shown
        return shown.masked_fill(~self._items.trie.has_code[shown], PAD_ID)

    @torch.no_grad()
    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        """Return the most likely items, or a draw without replacement when exploring."""
        state = self._encoder(observation)
        outputs: LevelOutputs = self._head(state)
        if explore:
            walk = ItemWalk(self._items, outputs.log_probs)
            decoder = ShelfDecoder(walk, self._slate_size, beam_width=self._slate_size)
            slates, item_log_prob, excluded = decoder.decode(
                state, self._excluded(observation), draw=True, generator=generator
            )
            log_prob = decoder.positions_log_prob(item_log_prob, excluded).sum(-1)
        else:
            scores = self._items.catalogue_log_probs(outputs.log_probs, self._excluded(observation))
            slates = self._selector.greedy(observation.mask_shown(scores))
            log_prob = scores.new_zeros(slates.shape[0])
        return Action(slates, self._no_latent(slates), log_prob)

    @torch.no_grad()
    def item_scores(self, observation: Observation) -> torch.Tensor:
        """Return the scores of all items; see ``ItemScorer``."""
        return self._items.catalogue_log_probs(
            self._head(self._encoder(observation)).log_probs, self._excluded(observation)
        )

    @torch.no_grad()
    def scores_of(self, observation: Observation, items: torch.Tensor) -> torch.Tensor:
        """Return the scores of given items; see ``ItemScorer``."""
        return self._items.log_prob(
            self._head(self._encoder(observation)).log_probs, items, self._excluded(observation)
        )

    def _learn(
        self, batch: TransitionBatch, bootstrap: Bootstrap, log: LogBatch | None
    ) -> UpdateStats:
        """Take one joint gradient step on replayed transitions and logged slates."""
        own = self._settings
        target = bootstrap.td_target
        with self._updating():
            outputs, logged = self._forward(batch.observation, log)
            reaches = own.value_reaches_encoder
            contexts = [c if reaches else c.detach() for c in outputs.contexts]
            values, log_probs = self._decisions(contexts, outputs.log_probs, batch)
            entropies = level_entropies(outputs.log_probs)
            critic_loss = (values - target).square().mean()
            measured_by = level_targets(target, values, own.level_decay)
            advantages = torch.stack(
                [
                    clipped_advantage(*pair, own.advantage_clip)
                    for pair in zip(measured_by, values, strict=True)
                ]
            )
            actor_loss = torch.stack(
                [policy_gradient_loss(*pair) for pair in zip(advantages, log_probs, strict=True)]
            ).sum()
            losses = {"critic_loss": critic_loss, "actor_loss": actor_loss}
            # Eq. 23 is the negative entropy and is minimised: the entropy enters with a minus
            price = own.entropy_coef_at(self._n_updates)
            total = critic_loss + actor_loss - price * entropies.sum()
            if log is not None and logged is not None:
                logged_log_prob = self._items.log_prob(logged.log_probs, log.slates)
                losses["cloning_loss"] = behavior_cloning_loss(
                    logged_log_prob, log.clicks, self._items.trie.has_code[log.slates]
                )
                total = total + own.cloning_coef * losses["cloning_loss"]
        torch.autograd.backward(total)
        diagnostics = {
            "gradient_norm_actor": self._step("policy"),
            "gradient_norm_critic": self._step("critic"),
        }
        self._polyak_update(self._target_policy, self._policy, own.tau)
        self._polyak_update(self._target_critic, self._critic, own.tau)
        with torch.no_grad():
            diagnostics |= {
                "value_mean": values.mean(),
                "value_error": (values - target).abs().mean(),
                "advantage_mean": advantages.mean(),
            }
            spreads = advantages.std(-1, correction=0)
            diagnostics["advantage_std"] = spreads.mean()
            diagnostics |= _numbered("entropy_level", entropies, first=1)
            if isinstance(self._critic, MultiLevelCritic):
                diagnostics |= _numbered("level_weight", self._critic.level_weights, first=0)
            else:
                diagnostics |= _numbered("advantage_std_level", spreads, first=1)
        return UpdateStats({name: loss.detach() for name, loss in losses.items()}, diagnostics)

    def _decisions(
        self,
        contexts: list[torch.Tensor],
        level_log_probs: list[torch.Tensor],
        batch: TransitionBatch,
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return what advantages are measured from, and what they are the advantages of.

        Args:
            contexts: ``L + 1`` tensors (batch, embed) float32, of the observations.
            level_log_probs: ``L`` tensors (batch, vocab) float32, of the observations.
            batch: Replayed transitions.

        Returns:
            values: (decision, batch) float32. Items as a whole are one decision; with prefix
                values their codes are L decisions, each with the value before it.
            log_probs: A (batch, slate) float32 for each decision. A replayed item that has left
                the catalogue since teaches nothing: its log-probability counts as 0.
        """
        if isinstance(self._critic, PrefixCritic):
            counted = self._items.trie.has_code[batch.slates]
            codes = self._items.codes[batch.slates]
            values = self._critic.prefix_values(contexts[0], codes, counted)
            of_codes = self._items.code_log_probs(level_log_probs, batch.slates)
            log_probs = [log_prob.masked_fill(~counted, 0.0) for log_prob in of_codes]
        else:
            values = self._critic(contexts).unsqueeze(0)
            log_prob = self._items.log_prob(
                level_log_probs, batch.slates, self._excluded(batch.observation)
            )
            log_probs = [log_prob.masked_fill(log_prob == -torch.inf, 0.0)]
        return values.float(), log_probs

    def _value_next(self, batch: TransitionBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what Eq. 18 takes from the target networks."""
        state = self._target_policy["encoder"](batch.next_observation)
        values_all_levels = self._settings.critic_head in ("multi_level", "uniform")
        contexts = self._target_policy["head"](state).contexts if values_all_levels else [state]
        return self._target_critic(contexts), state

    def _forward(
        self, observation: Observation, log: LogBatch | None
    ) -> tuple[LevelOutputs, LevelOutputs | None]:
        """Run encoder and policy once over replayed and logged states, then part them."""
        joined = observation if log is None else _stack(observation, log.observation)
        outputs: LevelOutputs = self._head(self._encoder(joined))
        if log is None:
            return outputs, None
        split = observation.batch_size
        replayed, logged = (
            LevelOutputs(*([tensor[rows] for tensor in part] for part in outputs))
            for rows in (slice(None, split), slice(split, None))
        )
        return replayed, logged


def build_hsrl_paper(settings: HsrlPaperSettings, context: AgentContext) -> HsrlPaperAgent:
    """Return an untrained ``hsrl_paper`` agent."""
    return HsrlPaperAgent(settings, context)


def _build_critic(
    settings: HsrlPaperSettings, vocab_sizes: tuple[int, ...]
) -> MultiLevelCritic | PrefixCritic:
    """Return an untrained critic."""
    width, hidden = settings.encoder.embedding_size, settings.critic_hidden_size
    if settings.critic_head == "prefix":
        return PrefixCritic(width, vocab_sizes, hidden)
    if settings.critic_head == "single":
        return MultiLevelCritic(width, 1, hidden)
    learned = settings.critic_head == "multi_level"
    return MultiLevelCritic(width, len(vocab_sizes) + 1, hidden, learned_weights=learned)


def _stack(first: Observation, second: Observation) -> Observation:
    """Put two batches of states below each other; ``shown`` does not enter a state."""
    joined = Observation(*(torch.cat(pair) for pair in zip(first[:4], second[:4], strict=True)))
    return joined._replace(responses=torch.cat([first.responses, second.responses]))


def _numbered(name: str, values: torch.Tensor, first: int) -> dict[str, torch.Tensor]:
    """Name the entries of a vector ``name_first``, ``name_first+1``, ..."""
    return {f"{name}_{first + index}": value for index, value in enumerate(values.detach())}
