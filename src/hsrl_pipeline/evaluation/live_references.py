"""The references under a version of a moving catalogue, and what each of them may know."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hsrl_pipeline.agents.base import Policy
from hsrl_pipeline.agents.slate_selection import SlateSelector
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.config.catalogue import UPPER_REFERENCE
from hsrl_pipeline.evaluation.references import (
    GreedyPolicy,
    ItemScorePolicy,
    RandomPolicy,
    fit_static_slate,
    popularity_policy,
)
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting
from hsrl_pipeline.simulator.response.base import UserResponseModel
from hsrl_pipeline.simulator.session_setting import SessionSetting


def live_selector(sessions: SessionSetting, catalogue: LiveCatalogue) -> SlateSelector:
    """Return what turns scores into slates of live items.

    Args:
        sessions: Sizes, shelves and device of the sessions.
        catalogue: The version of the catalogue.

    Raises:
        ValueError: Too few items are live, on a shelf or at all.
    """
    selector = SlateSelector(
        sessions.n_items, sessions.slate_size, sessions.shelves, sessions.device
    )
    selector.set_live(catalogue.live)
    return selector


def static_slate_of_launch(
    fitted: ItemScorePolicy, launch: LiveCatalogue, selector: SlateSelector
) -> ItemScorePolicy:
    """Return the order of the launch, in which the next best fills the gaps of those that left.

    Items that came after the launch are unranked: they come last, by item number.

    Args:
        fitted: The static slate that was fitted under the launch.
        launch: The catalogue of the launch.
        selector: Turns scores into slates of items that are live now.
    """
    # what the fit says of items beyond the launch is nothing that anyone knew
    scores = np.where(launch.live, fitted.scores.cpu().numpy(), -np.inf)
    ranking = np.argsort(-scores, kind="stable")
    order = np.empty(len(scores), dtype=np.float32)
    order[ranking] = -np.arange(len(scores), dtype=np.float32)
    return ItemScorePolicy(
        "static_slate", selector, torch.from_numpy(order).to(fitted.scores.device)
    )


def live_references(
    full_knowledge: UserResponseModel,
    clicks: NDArray[np.int64],
    launch: LiveCatalogue,
    order_of_launch: ItemScorePolicy,
    training_setting: EvaluationSetting,
    *,
    same_knowledge: UserResponseModel | None = None,
    fit_best_now: bool = True,
) -> list[Policy]:
    """Return the policies that do not learn, under the catalogue of a setting.

    Args:
        full_knowledge: The training simulator, which knows all items of the universe.
        clicks: (item,) int64. Clicks seen so far, of the log and of sessions under earlier
            versions; 0 for new items.
        launch: The catalogue of the launch.
        order_of_launch: The static slate that was fitted under the launch.
        training_setting: Sessions of training users under the catalogue that is live now.
        same_knowledge: A response model that knows what policies know; None leaves its reference
            out.
        fit_best_now: Whether a static slate is fitted with full knowledge under the catalogue.

    Returns:
        ``random``, ``popular``, ``static_slate`` (the order of the launch),
        ``static_slate_full_knowledge``, ``greedy_same_knowledge`` and ``greedy_full_knowledge``,
        which is the upper reference.

    Raises:
        ValueError: The setting has no catalogue.
    """
    sessions, catalogue = training_setting.sessions, training_setting.catalogue
    if catalogue is None:
        raise ValueError("references under a moving catalogue need a setting with a catalogue")
    selector = live_selector(sessions, catalogue)
    policies: list[Policy] = [
        RandomPolicy(selector, sessions.n_items),
        popularity_policy(clicks, selector, sessions.device),
        static_slate_of_launch(order_of_launch, launch, selector),
    ]
    if fit_best_now:
        best_now = fit_static_slate(full_knowledge, selector, training_setting)
        best_now.name = "static_slate_full_knowledge"
        policies.append(best_now)
    if same_knowledge is not None:
        name = "greedy_same_knowledge"
        policies.append(GreedyPolicy(name, selector, same_knowledge, published_only=True))
    policies.append(GreedyPolicy(UPPER_REFERENCE, selector, full_knowledge))
    return policies
