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

import torch

from hsrl_pipeline.agents.base import AgentContext, Bootstrap, LogBatch, UpdateStats
from hsrl_pipeline.agents.drawn_slates import drawn_slates
from hsrl_pipeline.agents.hsrl_networks import build_networks
from hsrl_pipeline.agents.hsrl_policy import HsrlPolicy
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.losses.returns import clipped_advantage
from hsrl_pipeline.losses.slate_likelihood import slate_credit_loss
from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.replay.transitions import TransitionBatch


class HsrlAgent(HsrlPolicy):
    """Policy over semantic IDs and state-value critic, on fresh transitions.

    Args:
        settings: Settings of the agent.
        context: Sizes, item tables, semantic IDs, device and seed.
    """

    def __init__(self, settings: HsrlSettings, context: AgentContext) -> None:
        networks = build_networks(settings, context)
        super().__init__(settings, context, networks)
        self._critic = networks.critic
        self._target_encoder = self._add_target("encoder", self._encoder)
        self._target_critic = self._add_target("critic", self._critic)
        self._add_optimizer("policy", self._parameter_groups(), settings.learning_rate)
        self._add_optimizer("critic", self._critic.parameters(), settings.critic_learning_rate)
        self._set_phase()

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Return what the policy's optimiser steps: deviations of items by steps of their own."""
        weights = dict.fromkeys([*self._policy.parameters(), *self._clicks.bias.parameters()])
        own = self._head.deviations if isinstance(self._head, CodeScores) else None
        groups: list[dict[str, Any]] = [{"params": [one for one in weights if one is not own]}]
        if own is not None:
            groups.append({"params": [own], "gain": self._settings.deviation_gain})
        return groups

    @property
    def warming_up(self) -> bool:
        """Whether updates still belong to the warm start."""
        return self._n_updates < self._settings.warm_start_iterations

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
                losses["session_click_loss"] = self._clicks.loss_of_sessions(
                    self._slates, drawn, likelihood.click_scores
                )
                total = total + own.session_likelihood_coef * losses["session_click_loss"]
            if not warming_up:
                advantage = clipped_advantage(target, value, own.advantage_clip)
                diagnostics["advantage_std"] = advantage.std(correction=0)
                losses["actor_loss"] = slate_credit_loss(
                    likelihood.positions if own.without_replacement else likelihood.items,
                    drawn.clicks,
                    advantage,
                    slate_credit_coef=own.slate_credit_coef,
                    item_credit=own.item_credit,
                )
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

    def _log_click_loss(self, log: LogBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the negative click likelihood of logged slates, 0-dim float32."""
        state = self._encoder(log.observation)
        drawn = torch.randint(
            len(self._live_items), (len(log.slates), 1), generator=generator, device=self._device
        )
        return self._clicks.loss_of_log(self._slates, state, log, self._live_items[drawn])

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


def build_hsrl(settings: HsrlSettings, context: AgentContext) -> HsrlAgent:
    """Return an untrained ``hsrl`` agent."""
    return HsrlAgent(settings, context)
