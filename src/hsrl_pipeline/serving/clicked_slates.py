"""Slates with their clicks, as a policy that follows clicks takes them in under any version."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from hsrl_pipeline.agents.follows_clicks import FollowedItems, FollowsClicks
from hsrl_pipeline.serving.recommender import Recommender
from hsrl_pipeline.serving.requests import ReadRequest, observe
from hsrl_pipeline.shapes import PAD_ID


@dataclass(frozen=True)
class ShownSlate:
    """What was shown to whom, in the user's own ids, which outlive a version of the catalogue.

    Exclusions are left out: they say nothing of clicks on what was shown.

    Attributes:
        items: Shown items.
        history: Items of the history that the policy read.
        responses: The responses to them.
        categories: Indices of the categorical user features.
        numbers: Standardised numeric user features.
    """

    items: Sequence[str]
    history: Sequence[str]
    responses: Sequence[int]
    categories: Sequence[int]
    numbers: Sequence[float]

    @classmethod
    def of(cls, recommender: Recommender, read: ReadRequest, items: Sequence[str]) -> ShownSlate:
        """Return the slate of an answer.

        Args:
            recommender: What answered.
            read: The request as it was read.
            items: The items of the answer.
        """
        ids = recommender.model.item_ids
        history = tuple(ids[item] for item in read.history)
        return cls(items, history, read.responses, read.categories, read.numbers)


@dataclass(frozen=True)
class ClickedSlate:
    """A shown slate and what was clicked of it.

    Attributes:
        shown: The slate.
        clicks: Clicked items of it.
    """

    shown: ShownSlate
    clicks: Collection[str]


def follows_clicks(recommender: Recommender) -> bool:
    """Return whether clicks on what is shown change what is shown later."""
    agent = recommender.agent
    return isinstance(agent, FollowsClicks) and agent.follows_clicks


def take_in(recommender: Recommender, slates: Sequence[ClickedSlate]) -> None:
    """Let a policy take in slates, those of other versions too.

    Items that the version has never had count as padding, and are left out of histories.

    Args:
        recommender: Its policy follows clicks.
        slates: Any number.
    """
    agent = recommender.agent
    if not slates or not isinstance(agent, FollowsClicks):
        return
    index = recommender.model.item_index
    width = max(len(slate.shown.items) for slate in slates)
    items = torch.full((len(slates), width), PAD_ID, dtype=torch.int64)
    clicks = torch.zeros((len(slates), width))
    for row, slate in enumerate(slates):
        names = slate.shown.items
        items[row, : len(names)] = torch.tensor([index.get(name, PAD_ID) for name in names])
        clicks[row, : len(names)] = torch.tensor([float(name in slate.clicks) for name in names])
    reads = [_read_under(recommender, slate.shown) for slate in slates]
    model = recommender.model
    agent.observe(observe(reads, model.history_size, model.reads_responses), items, clicks)


def hand_over(earlier: Recommender, following: Recommender) -> None:
    """Let a recommender know what the policy of another has taken in.

    Items that only one of both follows are passed over: what arrives starts without statistics.

    Args:
        earlier: What has answered so far.
        following: What answers from now on.
    """
    old, new = earlier.agent, following.agent
    if not isinstance(old, FollowsClicks) or not isinstance(new, FollowsClicks):
        return
    items, statistics = old.followed_items()
    ids = earlier.model.item_ids
    if ids is not following.model.item_ids:
        index = following.model.item_index
        known = [index.get(ids[item], PAD_ID) for item in items.tolist()]
        items = torch.tensor(known, dtype=torch.int64)
    new.take_over(FollowedItems(items, statistics))


def _read_under(recommender: Recommender, shown: ShownSlate) -> ReadRequest:
    """Return who was shown a slate, in the item indices of a version."""
    index, published = recommender.model.item_index, recommender.catalogue.published
    read = [
        (index[name], response)
        for name, response in zip(shown.history, shown.responses, strict=True)
        if name in index and published[index[name]]
    ]
    return ReadRequest(
        history=[item for item, _ in read],
        responses=[response for _, response in read],
        categories=list(shown.categories),
        numbers=list(shown.numbers),
        candidates=None,
        exclude=[],
        n=len(shown.items),
        unknown_history=len(shown.history) - len(read),
    )
