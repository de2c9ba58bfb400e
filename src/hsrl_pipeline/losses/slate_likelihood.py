"""Likelihood of ordered slates and credit of their items."""

from __future__ import annotations

import torch

from hsrl_pipeline.shapes import check_dtype, check_shape

SMALLEST_REMAINDER = 1e-3
"""Probability left after the items before, below which the remainder counts as used up."""


def slate_log_prob(
    item_log_prob: torch.Tensor, excluded: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the log-probability of each position of a slate drawn without replacement.

    Position k is drawn from what the items before it leave:
    ``log pi(i_k) - log(1 - sum_{j<k} pi(i_j))``. Where almost nothing is left, rounding loses
    the second term, and such a position passes no gradient on: that of ``log pi(i_k)`` alone
    would push improbable items down without end.

    Args:
        item_log_prob: (batch, slate) float32. Log-probability of each item by itself.
        excluded: (batch,) float32 or None. Probability of items that could not be drawn at all.

    Returns:
        (batch, slate) float32. Its row sums are log-probabilities of ordered slates.

    Raises:
        ValueError: A shape or dtype differs from these.

    References:
        Kool, van Hoof and Welling 2019, "Stochastic Beams and Where to Find Them", section 2.3.
    """
    check_shape("item_log_prob", item_log_prob, None, None)
    check_dtype("item_log_prob", item_log_prob, "float")
    probs = item_log_prob.exp()
    used = probs.cumsum(-1) - probs
    if excluded is not None:
        check_shape("excluded", excluded, item_log_prob.shape[0])
        check_dtype("excluded", excluded, "float")
        used = used + excluded.unsqueeze(-1)
    left = 1.0 - used
    position = item_log_prob - left.clamp(min=SMALLEST_REMAINDER).log()
    return torch.where(left > SMALLEST_REMAINDER, position, position.detach())


def own_click_advantage(clicks: torch.Tensor) -> torch.Tensor:
    """Return by how much each item was clicked more than what its click is compared with.

    That is the mean click of the other items of its slate. A slate of one item has no others: its
    click is compared with those of the other slates. The latter do not depend on the item, and
    are a baseline. The former do so a little, for items after it are drawn from what it leaves:
    the less the larger the catalogue is beside the slate.

    Args:
        clicks: (batch, slate) float32. Clicks, or their probabilities, in [0, 1].

    Returns:
        (batch, slate) float32 in ``[-1, 1]``; 0 where there is nothing to compare with.

    Raises:
        ValueError: A shape or dtype differs from these.
    """
    check_shape("clicks", clicks, None, None)
    check_dtype("clicks", clicks, "float")
    compared = 0 if clicks.shape[1] == 1 else 1
    n_others = clicks.shape[compared] - 1
    if n_others == 0:
        return torch.zeros_like(clicks)
    return clicks - (clicks.sum(compared, keepdim=True) - clicks) / n_others


def group_click_advantage(clicks: torch.Tensor) -> torch.Tensor:
    """Return by how much each item was clicked more than those of other slates of its state.

    The slates of a group were drawn independently for one state, and an item is compared with the
    mean over the items of all slates but its own. That depends on nothing the item was chosen
    with, so it is a baseline that leaves the expected policy gradient as it is, for slates of one
    item too. With its own slate in the mean it would not be.

    Args:
        clicks: (group, batch, slate) float32. Clicks, or their probabilities, in [0, 1]; at least
            two slates in a group.

    Returns:
        (group, batch, slate) float32 in ``[-1, 1]``.

    Raises:
        ValueError: A shape or dtype differs from these.
    """
    check_shape("clicks", clicks, None, None, None)
    check_dtype("clicks", clicks, "float")
    group_size, _, slate_size = clicks.shape
    if group_size < 2:
        raise ValueError(f"clicks has shape {tuple(clicks.shape)}, a group has at least two slates")
    own = clicks.sum(-1, keepdim=True)
    others = own.sum(0, keepdim=True) - own
    return clicks - others / ((group_size - 1) * slate_size)


def slate_credit_loss(
    log_prob: torch.Tensor,
    clicks: torch.Tensor,
    advantage: torch.Tensor,
    *,
    slate_credit_coef: float,
    item_credit: bool,
) -> torch.Tensor:
    """Return the policy gradient loss with the credit of whole slates and of their items.

    Args:
        log_prob: (group * batch, slate) float32. Log-probability of each item, the slates shown
            before the other draws of their states.
        clicks: (group * batch, slate) float32. Clicks, or their probabilities, in [0, 1].
        advantage: (batch,) float32. Advantage of the slates shown; no gradient passes to it.
        slate_credit_coef: Weight of this advantage, which all items of a slate share.
        item_credit: Whether items are also credited with their own clicks; those of a group
            of slates always are.

    Returns:
        0-dim float32.

    Raises:
        ValueError: A shape or dtype differs from these.
    """
    check_shape("clicks", clicks, None, None)
    check_dtype("clicks", clicks, "float")
    check_shape("log_prob", log_prob, *clicks.shape)
    check_dtype("log_prob", log_prob, "float")
    check_shape("advantage", advantage, None)
    check_dtype("advantage", advantage, "float")
    n_shown = len(advantage)
    credit = slate_credit_coef * advantage.unsqueeze(-1)
    if len(clicks) > n_shown:
        groups = clicks.view(-1, n_shown, clicks.shape[1])
        item_loss = -(group_click_advantage(groups).flatten(0, 1) * log_prob).mean()
        return item_loss - (credit * log_prob[:n_shown]).mean()
    if item_credit:
        credit = credit + own_click_advantage(clicks)
    return -(credit * log_prob).mean()
