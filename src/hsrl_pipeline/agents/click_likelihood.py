"""What clicks say of a policy over slates that stands for the log-odds of clicks."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from hsrl_pipeline.agents.base import LogBatch
from hsrl_pipeline.agents.drawn_slates import DrawnSlates
from hsrl_pipeline.agents.slate_policies import SlatePolicy
from hsrl_pipeline.losses.supervised import sampled_negative_loss


class ClickLikelihood:
    """Log-odds of clicks that a policy stands for, and how well they explain clicks.

    They are linear in an item's log-probability, plus a level that depends on the state and the
    shelf, which has a normaliser of its own: the policy is then the softmax of click log-odds at
    ``click_temperature``, which has the most entropy for its expected click log-odds.

    Args:
        bias: Levels of all shelves from states, (batch, embed) to (batch, shelf).
        shelf_of: (item,) int64. The shelf of each item, from 0.
        click_temperature: Log-odds of a click per nat of log-probability.
        doubt_coef: Exposures without click that a random item per logged slate counts as.
    """

    def __init__(
        self,
        bias: nn.Linear,
        shelf_of: torch.Tensor,
        *,
        click_temperature: float,
        doubt_coef: float,
    ) -> None:
        self.bias = bias
        self._shelf_of = shelf_of
        self._click_temperature = click_temperature
        self._doubt_coef = doubt_coef

    def log_odds(
        self, state: torch.Tensor, items: torch.Tensor, click_scores: torch.Tensor
    ) -> torch.Tensor:
        """Return the log-odds of clicks.

        Args:
            state: (batch, embed) float32. Encoded observations.
            items: (batch, any) int64. Items in ``[1, n_items]``.
            click_scores: (batch, any) float32. Their click scores; see ``SlatePolicy``.

        Returns:
            (batch, any) float32.
        """
        level: torch.Tensor = self.bias(state).gather(1, self._shelf_of[items])
        return (self._click_temperature * click_scores + level).float()

    def loss_of_sessions(
        self, policy: SlatePolicy, drawn: DrawnSlates, click_scores: torch.Tensor
    ) -> torch.Tensor:
        """Return the negative click likelihood of slates of sessions, 0-dim float32.

        Args:
            policy: What the clicks speak of.
            drawn: The slates and their clicks.
            click_scores: (group * batch, slate) float32. Click scores of their items.
        """
        logits = self.log_odds(drawn.state, drawn.slates, click_scores)
        return _cross_entropy(logits, drawn.clicks, policy.has_code[drawn.slates])

    def loss_of_log(
        self, policy: SlatePolicy, state: torch.Tensor, log: LogBatch, doubted: torch.Tensor
    ) -> torch.Tensor:
        """Return the negative click likelihood of logged slates, 0-dim float32.

        One random item per slate counts as a fraction of an exposure without click: items that
        were hardly ever shown would otherwise win by chance.

        Args:
            policy: What the clicks speak of.
            state: (batch, embed) float32. Encoded observations of the slates.
            log: The slates and their clicks.
            doubted: (batch, 1) int64. The random items.
        """
        items = torch.cat([log.slates, doubted], dim=1)
        logits = self.log_odds(state, items, policy.click_scores(state, items))
        shown = _cross_entropy(logits[:, :-1], log.clicks, policy.has_code[log.slates])
        return shown + self._doubt_coef * sampled_negative_loss(logits[:, -1], log.slates.shape[1])


def _cross_entropy(
    logits: torch.Tensor, clicks: torch.Tensor, counted: torch.Tensor
) -> torch.Tensor:
    """Return the mean over all places, (batch, slate), of which those not ``counted`` are 0."""
    return F.binary_cross_entropy_with_logits(logits, clicks, weight=counted.to(logits.dtype))
