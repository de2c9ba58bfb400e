"""``hsrl``: hierarchical semantic RL, as we found it to work best.

What it shares with the paper is the action space, the coarse-to-fine policy with residual
contexts and actor-critic learning. What it changes, each a switch of its settings: the decoder is
conditioned on the codes taken and restricted to existing items, slates are drawn without
replacement by their exact likelihood, every item is credited with its own click, and the policy
starts from the click likelihood of the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from hsrl_pipeline.agents.base import (
    Action,
    AgentContext,
    Bootstrap,
    LogBatch,
    UpdateStats,
)
from hsrl_pipeline.agents.drawn_slates import drawn_slates
from hsrl_pipeline.agents.encoding import build_state_encoder, initial_weights
from hsrl_pipeline.agents.follows_clicks import FollowedItems
from hsrl_pipeline.agents.hsrl_heads import build_head, decided_codes, shelf_numbers
from hsrl_pipeline.agents.slate_policies import CatalogueSlates, SlateLikelihood, SlatePolicy
from hsrl_pipeline.agents.torch_agent import TorchAgent
from hsrl_pipeline.agents.walked_slates import CodeSlates, TrieSlates
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.losses.returns import clipped_advantage
from hsrl_pipeline.losses.slate_likelihood import group_click_advantage, own_click_advantage
from hsrl_pipeline.losses.supervised import sampled_negative_loss
from hsrl_pipeline.networks.catalogue_tables import CatalogueTables, WrittenRows, start_rows
from hsrl_pipeline.networks.code_masses import CodeMasses
from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.networks.code_search import CodeSearch
from hsrl_pipeline.networks.multi_level_critic import MultiLevelCritic
from hsrl_pipeline.networks.trie_policy import TriePolicy
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.replay.transitions import TransitionBatch
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie


class HsrlAgent(TorchAgent[HsrlSettings]):
    """Trie policy and state-value critic on fresh transitions.

    Args:
        settings: Settings of the agent.
        context: Sizes, item tables, semantic IDs, device and seed.
    """

    def __init__(self, settings: HsrlSettings, context: AgentContext) -> None:
        width = settings.encoder.embedding_size
        encoder = build_state_encoder(settings.encoder, context)
        codes, vocab_sizes = decided_codes(context.codes, context.vocab_sizes, settings)
        vectors = torch.from_numpy(context.item_vectors) if settings.use_leaf_vectors else None
        shelf_of = shelf_numbers(context)
        with initial_weights(context.seed, "agent.hsrl.networks"):
            head = build_head(settings, context, codes, vocab_sizes, vectors)
            click_bias = nn.Linear(width, int(shelf_of.max()) + 1)
            critic = MultiLevelCritic(width, 1, settings.critic_hidden_size)
        policy = nn.ModuleDict({"encoder": encoder, "head": head})
        critics: dict[str, nn.Module] = {"critic": critic}
        # a policy that follows clicks while it serves has to know how likely they are
        (critics if settings.arrival_prior is None else policy)["click_bias"] = click_bias
        super().__init__(
            "hsrl",
            settings,
            context,
            policy=policy,
            critics=critics,
            log_batch_size=settings.log_batch_size,
        )
        self._encoder, self._head, self._critic = encoder, head, critic
        self._click_bias = click_bias
        self._slate_size = context.slate_size
        self._shelves, self._item_priors = context.shelves, context.item_priors
        self._shelf_of = torch.from_numpy(shelf_of).to(context.device)
        self._search: CodeSearch | None = None
        codes_alone = settings.policy_head == "codes"
        trie = self._make_trie(context.codes) if codes_alone else None
        self._take_live(self._live, trie)
        self._target_encoder = self._add_target("encoder", encoder)
        self._target_critic = self._add_target("critic", critic)
        self._add_optimizer("policy", self._parameter_groups(policy), settings.learning_rate)
        self._add_optimizer("critic", critic.parameters(), settings.critic_learning_rate)
        self._set_phase()

    def _parameter_groups(self, policy: nn.Module) -> list[dict[str, Any]]:
        """Return what the policy's optimiser steps: deviations of items by steps of their own."""
        weights = dict.fromkeys([*policy.parameters(), *self._click_bias.parameters()])
        own = self._head.deviations if isinstance(self._head, CodeScores) else None
        groups: list[dict[str, Any]] = [{"params": [one for one in weights if one is not own]}]
        if own is not None:
            groups.append({"params": [own], "gain": self._settings.deviation_gain})
        return groups

    @property
    def follows_clicks(self) -> bool:
        """Whether shows and clicks of items that arrive later count in their scores."""
        return self._settings.arrival_prior is not None

    @property
    def warming_up(self) -> bool:
        """Whether updates still belong to the warm start."""
        return self._n_updates < self._settings.warm_start_iterations

    def _take_live(self, live: np.ndarray, trie: CodeTrie | None) -> None:
        """Recommend live items, (item,) bool, from now on.

        Args:
            live: (item,) bool. Row 0 is False.
            trie: Their codes, where the head scores codes alone.
        """
        head, own = self._head, self._settings
        self._slates: SlatePolicy
        if isinstance(head, TriePolicy):
            self._slates = TrieSlates(head, self._slate_size, own.beam_width)
        elif trie is not None:
            self._masses = CodeMasses(head, trie).to(self._device)
            self._slates = CodeSlates(self._masses, self._selector, self._slate_size)
        else:
            self._slates = CatalogueSlates(head, self._selector)
        live_items = np.flatnonzero(live)
        self._live_items = torch.from_numpy(live_items).to(self._device)
        # the entropy is that of one item of a shelf, averaged over shelves
        sizes = torch.bincount(self._shelf_of[self._live_items]).cpu().numpy()
        self._most_entropy = float(np.log(sizes[sizes > 0]).mean())

    def _take_catalogue(self, tables: CatalogueTables) -> list[WrittenRows]:
        """Bring the head to the live items, and the draw of doubtful ones with it."""
        own, head = self._settings, self._head
        written: list[WrittenRows] = []
        as_items = own.action_space == "items"
        trie = None if own.policy_head == "look_up" else self._make_trie(tables.live_codes)
        if isinstance(head, CodeScores):
            written += head.set_items(tables, own.new_items if as_items else None)
        elif trie is not None:
            head.set_trie(trie.to(self._device), tables.item_vectors)
            if as_items:
                written += start_rows(head.heads[0], tables, own.new_items)  # type: ignore[arg-type]
        self._take_live(tables.catalogue.live, trie)
        if self._search is not None:
            self._search.set_items()
        return written

    def _make_trie(self, codes: np.ndarray) -> CodeTrie:
        """Return the trie of what is decided, of the items that have codes, (item, level) int64."""
        decided, sizes = decided_codes(codes, self._vocab_sizes, self._settings)
        return CodeTrie(decided, sizes, self._shelves, self._item_priors)

    @torch.no_grad()
    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        """Return the likeliest items, or a draw without replacement when exploring."""
        slates, log_prob = self._slates.decode(
            self._encoder(observation), observation, draw=explore, generator=generator
        )
        return Action(slates, self._no_latent(slates), log_prob)

    @torch.no_grad()
    def item_scores(self, observation: Observation) -> torch.Tensor:
        """Return the scores of all items; see ``ItemScorer``."""
        return self._slates.item_scores(self._encoder(observation), observation)

    @torch.no_grad()
    def scores_of(self, observation: Observation, items: torch.Tensor) -> torch.Tensor:
        """Return the scores of given items; see ``ItemScorer``."""
        return self._slates.scores_of(self._encoder(observation), observation, items)

    def prepare_to_serve(self) -> None:
        """Make what finds the best of very many items quickly; see ``ItemScorer``."""
        # its bounds hold as long as scores of items stay, which those that follow clicks do not
        one_shelf = self._selector.n_shelves == 1
        if isinstance(self._head, CodeScores) and one_shelf and not self.follows_clicks:
            self._search = CodeSearch(self._head)

    @torch.no_grad()
    def best_items(self, observation: Observation, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the live items of highest score; the trie finds them by a beam."""
        state = self._encoder(observation)
        if isinstance(self._slates, TrieSlates):
            return self._slates.best_items(state, observation, n)
        found = None if self._search is None else self._search.best(state, observation.shown, n)
        if found is not None:
            return found
        scores = observation.mask_shown(self._slates.item_scores(state, observation))
        return self._selector.best(scores, n)

    def _learn(
        self, batch: TransitionBatch, bootstrap: Bootstrap, log: LogBatch | None
    ) -> UpdateStats:
        """Take one gradient step: click likelihood in the warm start, policy gradient after it."""
        own, warming_up = self._settings, self.warming_up
        losses: dict[str, torch.Tensor] = {}
        target = bootstrap.td_target
        with self._updating() as generator, self._leaving_out(generator):
            state = self._encoder(batch.observation)
            value = self._critic([state if own.value_reaches_encoder else state.detach()]).float()
            losses["critic_loss"] = (value - target).square().mean()
            total = losses["critic_loss"]
            diagnostics = {
                "value_mean": value.detach().mean(),
                "value_error": (value.detach() - target).abs().mean(),
            }
            drawn = drawn_slates(batch, state)
            likelihood = self._slates.likelihood(drawn.state, drawn.observation, drawn.slates)
            if own.session_likelihood_coef > 0.0:
                logits = self._click_logits(drawn.state, drawn.slates, likelihood.click_scores)
                counted = self._slates.has_code[drawn.slates].to(logits.dtype)
                losses["session_click_loss"] = F.binary_cross_entropy_with_logits(
                    logits, drawn.clicks, weight=counted
                )
                total = total + own.session_likelihood_coef * losses["session_click_loss"]
            if not warming_up:
                advantage = clipped_advantage(target, value, own.advantage_clip)
                diagnostics["advantage_std"] = advantage.std(correction=0)
                losses["actor_loss"] = self._actor_loss(drawn.clicks, likelihood, advantage)
                total = total + own.policy_coef * losses["actor_loss"]
                total = total - self._entropy_price * likelihood.entropy.mean()
            if log is not None:
                losses["log_click_loss"] = self._log_click_loss(log, generator)
                weight = 1.0 if warming_up else own.log_likelihood_coef
                total = total + weight * losses["log_click_loss"]
            if isinstance(self._head, CodeScores):
                total = total + own.deviation_shrinkage * self._head.deviation_penalty()
        torch.autograd.backward(total)
        diagnostics["gradient_norm_actor"] = self._step("policy")
        diagnostics["gradient_norm_critic"] = self._step("critic")
        self._polyak_update(self._target_encoder, self._encoder, own.tau)
        self._polyak_update(self._target_critic, self._critic, own.tau)
        self._set_phase()
        self.observe(batch.observation, batch.slates, batch.clicks)
        diagnostics["entropy"] = likelihood.entropy.detach().mean()
        return UpdateStats({name: loss.detach() for name, loss in losses.items()}, diagnostics)

    @contextmanager
    def _leaving_out(self, generator: torch.Generator) -> Iterator[None]:
        """Have some items absent, and others unseen, as long as an update lasts."""
        own, head = self._settings, self._head
        if not isinstance(head, CodeScores) or own.absent_share == own.unseen_share == 0.0:
            yield
            return
        drawn = torch.rand(len(head.has_code), generator=generator, device=self._device)
        absent = drawn < own.absent_share
        unseen = drawn >= 1.0 - own.unseen_share
        with head.leaving_out(absent, unseen, own_codes=own.action_space == "items"):
            yield

    @torch.no_grad()
    def observe(self, observation: Observation, slates: torch.Tensor, clicks: torch.Tensor) -> None:
        """Take in what became of slates, without an update; see ``FollowsClicks``."""
        head = self._head
        if isinstance(head, CodeScores) and head.statistics is not None:
            state = self._encoder(observation)
            logits = self._click_logits(state, slates, head.of_items(state, slates))
            head.statistics.observe(slates, clicks, logits.sigmoid())

    def followed_items(self) -> FollowedItems:
        """Return what was taken in so far; see ``FollowsClicks``."""
        statistics = self._head.statistics if isinstance(self._head, CodeScores) else None
        if statistics is None:
            none = torch.zeros(0, dtype=torch.int64, device=self._device)
            return FollowedItems(none, none.new_zeros((0, 2), dtype=torch.float32))
        return FollowedItems(*statistics.of_arrived())

    def take_over(self, followed: FollowedItems) -> None:
        """Take over what another policy has taken in; see ``FollowsClicks``."""
        if isinstance(self._head, CodeScores) and self._head.statistics is not None:
            self._head.statistics.take_over(*followed)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        self._set_phase()

    def _set_phase(self) -> None:
        """Put step size and need of the log in line with the number of updates."""
        own = self._settings
        self.uses_log = self.warming_up or own.log_likelihood_coef > 0.0
        rate = own.warm_start_learning_rate if self.warming_up else own.learning_rate
        self._set_learning_rate("policy", rate)

    def _value_next(self, batch: TransitionBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what Eq. 18 takes from the target networks."""
        state = self._target_encoder(batch.next_observation)
        return self._target_critic([state]), state

    @property
    def _entropy_price(self) -> float:
        """Weight of a nat of entropy of the item distribution."""
        own, price = self._settings, self._settings.entropy_coef_at(self._n_updates)
        return price / self._most_entropy if own.normalize_entropy else price

    def _actor_loss(
        self, clicks: torch.Tensor, likelihood: SlateLikelihood, advantage: torch.Tensor
    ) -> torch.Tensor:
        """Return the policy gradient loss with the slate's and each item's own credit.

        Args:
            clicks: (group * batch, slate) float32. Clicks of the slates, those shown first.
            likelihood: Likelihood of these slates.
            advantage: (batch,) float32. Advantage of the slates shown.
        """
        own = self._settings
        log_prob = likelihood.positions if own.without_replacement else likelihood.items
        credit = own.slate_credit_coef * advantage.unsqueeze(-1)
        n_shown = len(advantage)
        if len(clicks) > n_shown:
            groups = clicks.view(-1, n_shown, clicks.shape[1])
            item_loss = -(group_click_advantage(groups).flatten(0, 1) * log_prob).mean()
            return item_loss - (credit * log_prob[:n_shown]).mean()
        if own.item_credit:
            credit = credit + own_click_advantage(clicks)
        return -(credit * log_prob).mean()

    def _click_logits(
        self, state: torch.Tensor, items: torch.Tensor, click_scores: torch.Tensor
    ) -> torch.Tensor:
        """Return the log-odds of clicks on items that the policy stands for.

        They are linear in an item's log-probability, plus a level that depends on the state and
        the shelf, which has a normaliser of its own: the policy is then the softmax of click
        log-odds at ``click_temperature``, which has the most entropy for its expected click
        log-odds.
        """
        level: torch.Tensor = self._click_bias(state).gather(1, self._shelf_of[items])
        return (self._settings.click_temperature * click_scores + level).float()

    def _log_click_loss(self, log: LogBatch, generator: torch.Generator | None) -> torch.Tensor:
        """Return the negative click likelihood of logged slates.

        One random item per slate counts as a fraction of an exposure without click: items that
        were hardly ever shown would otherwise win by chance.
        """
        state = self._encoder(log.observation)
        drawn = torch.randint(
            len(self._live_items), (len(log.slates), 1), generator=generator, device=self._device
        )
        items = torch.cat([log.slates, self._live_items[drawn]], dim=1)
        logits = self._click_logits(state, items, self._slates.click_scores(state, items))
        counted = self._slates.has_code[log.slates].to(logits.dtype)
        shown = F.binary_cross_entropy_with_logits(logits[:, :-1], log.clicks, weight=counted)
        return shown + self._settings.doubt_coef * sampled_negative_loss(
            logits[:, -1], log.slates.shape[1]
        )


def build_hsrl(settings: HsrlSettings, context: AgentContext) -> HsrlAgent:
    """Return an untrained ``hsrl`` agent."""
    return HsrlAgent(settings, context)
