"""What one step does to a session, as pure functions on tensors.

The training environment and the evaluation rollouts advance their sessions through
``SessionRules.advance`` alone, so that both live by the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from hsrl_pipeline.config.session import CandidatesConfig, RewardConfig, SessionConfig
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.shapes import PAD_ID
from hsrl_pipeline.simulator.rewards import slate_reward

LEAVING_PATIENCE = 1.0
"""A user whose patience is below this leaves."""

PATIENCE_ROUNDING = 1e-9
"""Sums of steps that reach the threshold exactly must not fall below it by rounding."""


class SessionState(NamedTuple):
    """Everything that changes in a batch of sessions.

    Attributes:
        observation: What a policy sees.
        patience: (batch,) float64. Patience left, tau.
        clicked: (batch, history) int64. The clicks that the simulated user goes by, left-padded
            with PAD_ID, newest last; width 0 where the observation's own history holds them.
        showings: (batch, showing) int64. All items shown so far, an item as often as it was,
            filled up with PAD_ID; width 0 unless items may be shown more than once, but not
            always. Policies do not see it: ``Observation.shown`` says what may not be shown again.
    """

    observation: Observation
    patience: torch.Tensor
    showings: torch.Tensor
    clicked: torch.Tensor

    @property
    def simulator_view(self) -> Observation:
        """What the simulated user goes by: the observation with clicks alone as history."""
        if not self.clicked.shape[1]:
            return self.observation
        nothing = self.clicked.new_empty((len(self.clicked), 0))
        return self.observation._replace(history=self.clicked, responses=nothing)

    def rows(self, index: torch.Tensor) -> SessionState:
        """Return the sessions picked by an int64 index or a bool mask."""
        return SessionState(
            self.observation.rows(index),
            self.patience[index],
            self.showings[index],
            self.clicked[index],
        )


class Advance(NamedTuple):
    """Outcome of one step, before any refill.

    Attributes:
        state: The same users one step later.
        reward: (batch,) float64. Slate reward.
        terminated: (batch,) bool. The user ran out of patience.
        truncated: (batch,) bool. The horizon was reached with the user still there.
    """

    state: SessionState
    reward: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor


def append_clicks(
    history: torch.Tensor, slates: torch.Tensor, clicks: torch.Tensor
) -> torch.Tensor:
    """Return the last H of the history followed by the clicked items in slate order.

    Args:
        history: (batch, history) int64. Left-padded with PAD_ID, newest last.
        slates: (batch, slate) int64. Shown items.
        clicks: (batch, slate) float32 or bool. Non-zero where the item was clicked.

    Returns:
        (batch, history) int64. Left-padded with PAD_ID, newest last.

    References:
        docs/protocol.md#session-dynamics, point 4.
    """
    clicked = clicks.to(torch.bool)
    history_size, slate_size = history.shape[1], slates.shape[1]
    rank = clicked.cumsum(dim=1)
    # Clicked items line up behind the history, all others on one spare column after them; the
    # window then slides over this by the number of clicks of its row.
    places = torch.where(clicked, rank + (history_size - 1), history_size + slate_size)
    extended = torch.nn.functional.pad(history, (0, slate_size + 1)).scatter_(1, places, slates)
    columns = torch.arange(history_size, device=history.device)
    return extended.gather(1, columns + rank[:, -1:])


def append_shown(window: torch.Tensor, slot_values: torch.Tensor) -> torch.Tensor:
    """Return the window after a slate: one entry per slot, in slate order, the oldest dropped.

    Args:
        window: (batch, history) int64. Newest last.
        slot_values: (batch, slate) int64. Shown items, or the responses to them.

    Returns:
        (batch, history) int64. Newest last.

    References:
        docs/protocol.md#the-history.
    """
    return torch.cat([window, slot_values], dim=1)[:, -window.shape[1] :]


def spend_patience(patience: torch.Tensor, reward: torch.Tensor, slate_size: int) -> torch.Tensor:
    """Return the patience after a step: ``tau - [K(1 - r) + 1]``.

    Args:
        patience: (batch,) float64. Patience before the step.
        reward: (batch,) float64. Slate reward of the step.
        slate_size: Items per slate, K.

    Returns:
        (batch,) float64.

    References:
        docs/protocol.md#session-dynamics, point 5.
    """
    return patience - (slate_size * (1.0 - reward) + 1.0)


def session_end(
    patience: torch.Tensor, step: torch.Tensor, horizon: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return which users left and which were cut off by the horizon.

    Args:
        patience: (batch,) float64. Patience after the step.
        step: (batch,) int64. Steps taken, this one included.
        horizon: Longest session in steps.

    Returns:
        terminated, truncated: (batch,) bool each, never both true. A user who leaves at the
        horizon has left: nothing follows that a learner could bootstrap from.

    References:
        docs/protocol.md#session-dynamics, point 6.
    """
    terminated = patience < LEAVING_PATIENCE - PATIENCE_ROUNDING
    return terminated, (step >= horizon) & ~terminated


@dataclass(frozen=True)
class SessionRules:
    """The constants of a session and the step they define.

    Attributes:
        session: Horizon, initial patience and history window.
        reward: Miss penalty and sweet point.
        candidates: How often an item may be shown; the observation tells when it may no more.
        slate_size: Items per slate, K.
    """

    session: SessionConfig
    reward: RewardConfig
    candidates: CandidatesConfig
    slate_size: int

    @property
    def shown_size(self) -> int:
        """Width of ``Observation.shown``: all slots of the longest session, or 0 when unused."""
        return self.session.horizon * self.slate_size if self.candidates.showings else 0

    @property
    def showings_size(self) -> int:
        """Width of ``SessionState.showings``; 0 where one showing decides."""
        return 0 if self.candidates.showings == 1 else self.shown_size

    def start(self, observation: Observation, clicked: torch.Tensor | None = None) -> SessionState:
        """Return new sessions of the users in an observation.

        Args:
            observation: The users, their histories before the session and what counts as shown.
            clicked: (batch, history) int64. What they clicked before the session; needed where the
                observation's history holds shown items.

        Returns:
            Sessions at step 0 with full patience; where shown items are excluded, what counts as
            shown before stands behind the places of the session's own items.
        """
        history = observation.history
        shown = history.new_zeros((len(history), self.shown_size))
        if self.candidates.exclude_shown:
            shown = torch.cat([shown, observation.shown], dim=1)
        return SessionState(
            Observation(
                observation.user_categories,
                observation.user_dense,
                history,
                torch.zeros_like(observation.step),
                shown,
                observation.responses,
            ),
            torch.full(
                (len(history),),
                self.session.initial_patience,
                dtype=torch.float64,
                device=history.device,
            ),
            history.new_zeros((len(history), self.showings_size)),
            history.new_empty((len(history), 0)) if clicked is None else clicked,
        )

    def advance(self, state: SessionState, slates: torch.Tensor, clicks: torch.Tensor) -> Advance:
        """Return the sessions after a slate and its feedback.

        These are points 3 to 6 of docs/protocol.md#session-dynamics.

        Args:
            state: Sessions before the step.
            slates: (batch, slate) int64. Shown items, valid.
            clicks: (batch, slate) float32. Drawn feedback.

        Returns:
            The outcome of the step for the same users; nothing is refilled.
        """
        before = state.observation
        reward = slate_reward(clicks, self.reward.miss_penalty, self.reward.sweet_point)
        patience = spend_patience(state.patience, reward, self.slate_size)
        step = before.step + 1
        shown, showings = self._remember(state, slates)
        terminated, truncated = session_end(patience, step, self.session.horizon)
        history, responses, clicked = before.history, before.responses, state.clicked
        if responses.shape[1]:
            history = append_shown(history, slates)
            responses = append_shown(responses, clicks.to(responses.dtype))
        else:
            history = append_clicks(history, slates, clicks)
        if clicked.shape[1]:
            clicked = append_clicks(clicked, slates, clicks)
        after = Observation(
            before.user_categories, before.user_dense, history, step, shown, responses
        )
        return Advance(
            SessionState(after, patience, showings, clicked), reward, terminated, truncated
        )

    def _remember(
        self, state: SessionState, slates: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what may not be shown again and all showings, with this step's slates."""
        before, showings = state.observation, state.showings
        allowed = self.candidates.showings
        if allowed is None:
            return before.shown, showings
        slots = torch.arange(self.slate_size, device=slates.device)
        places = before.step[:, None] * self.slate_size + slots
        if allowed == 1:
            return before.shown.scatter(1, places, slates), showings
        showings = showings.scatter(1, places, slates)
        times = (showings[:, :, None] == slates[:, None, :]).sum(dim=1)
        used_up = slates.masked_fill(times < allowed, PAD_ID)
        return before.shown.scatter(1, places, used_up), showings
