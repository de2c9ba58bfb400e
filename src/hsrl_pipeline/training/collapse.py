"""Early warning of a policy that shows everyone the same few items."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


class CollapseMonitor:
    """Warns once when the exposure narrows, and anew after it was wide in between.

    Args:
        agent_name: The learner, for the message.
        slate_size: Items per slate.
        least_slates: How many slates' worth of equally shown items is the least without warning.
    """

    def __init__(self, agent_name: str, slate_size: int, least_slates: float) -> None:
        self._agent_name = agent_name
        self._slate_size = slate_size
        self._least_items = least_slates * slate_size
        self.collapsed = False

    def check(self, iteration: int, effective_items: float) -> None:
        """Judge the exposure since the last check.

        Args:
            iteration: Updates so far.
            effective_items: How many equally shown items the exposure amounts to.
        """
        collapsed = effective_items < self._least_items
        if collapsed and not self.collapsed:
            logger.warning(
                "%s collapses: at iteration %d its exposure amounts to %.0f items for all users "
                "(%d per slate); more entropy or a smaller learning rate keeps it exploring",
                self._agent_name,
                iteration,
                effective_items,
                self._slate_size,
            )
        self.collapsed = collapsed
