"""What the acting sessions earned and were shown since the last point of the curves."""

from __future__ import annotations

from typing import Any

import torch

from hsrl_pipeline.simulator.slate_env import StepResult


class ExposureMeter:
    """Running figures of the acting sessions, kept on the device.

    Args:
        batch_size: Parallel sessions.
        n_items: Number of real items.
        device: Where the figures are kept.
    """

    def __init__(self, batch_size: int, n_items: int, device: torch.device) -> None:
        self._session_reward = torch.zeros(batch_size, device=device)
        self._finished = torch.zeros(3, dtype=torch.float64, device=device)
        self._steps = torch.zeros(3, dtype=torch.float64, device=device)
        self._shown = torch.zeros(n_items + 1, device=device)

    def record(self, slates: torch.Tensor, result: StepResult) -> None:
        """Count one step of all sessions.

        Args:
            slates: (batch, slate) int64. What was shown.
            result: What came of it.
        """
        self._session_reward += result.reward
        over = result.terminated | result.truncated
        ended = over.to(torch.float32)
        self._finished += torch.stack(
            [
                ended.sum(),
                ended @ self._session_reward,
                ended @ result.next_observation.step.float(),
            ]
        )
        self._session_reward = self._session_reward.masked_fill(over, 0.0)
        count = result.reward.new_full((), len(result.reward))
        self._steps += torch.stack([count, result.reward.sum(), result.clicks.sum()])
        flat = slates.flatten()
        self._shown.index_add_(0, flat, torch.ones_like(flat, dtype=torch.float32))

    def read(self) -> dict[str, float]:
        """Return the figures since the last call and start anew.

        Returns:
            ``step_reward``, ``clicks_per_slot``, ``coverage`` (distinct items shown),
            ``effective_items`` (exponential of the exposure's entropy: how many equally shown
            items it amounts to) and, when a session ended, ``train_reward`` and ``train_depth``
            (means over ended sessions). Empty when nothing was recorded.
        """
        steps, reward, clicks = self._steps.tolist()
        if not steps:
            return {}
        ended, total_reward, depth = self._finished.tolist()
        slots = float(self._shown.sum())
        share = self._shown[self._shown > 0] / slots
        figures = {
            "step_reward": reward / steps,
            "clicks_per_slot": clicks / slots,
            "coverage": float(len(share)),
            "effective_items": float((-(share * share.log()).sum()).exp()),
        }
        if ended:
            figures |= {"train_reward": total_reward / ended, "train_depth": depth / ended}
        for counter in (self._finished, self._steps, self._shown):
            counter.zero_()
        return figures

    def state_dict(self) -> dict[str, Any]:
        """Return the running figures."""
        return {
            "session_reward": self._session_reward.clone(),
            "finished": self._finished.clone(),
            "steps": self._steps.clone(),
            "shown": self._shown.clone(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self._session_reward.copy_(state["session_reward"])
        self._finished.copy_(state["finished"])
        self._steps.copy_(state["steps"])
        self._shown.copy_(state["shown"])
