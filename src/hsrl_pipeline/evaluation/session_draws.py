"""Common random numbers: the same users and the same uniform draws for every policy."""

from __future__ import annotations

import torch

from hsrl_pipeline.seeding import torch_generator

EPISODES_PER_BLOCK = 64
"""Episodes whose draws come from one generator; a constant, so that draws never depend on how
many sessions are rolled out or at once."""


class SessionDraws:
    """Random numbers addressed by episode, step and slot.

    Episode ``e`` starts from the same pool row and meets the same uniforms whatever the policy,
    the number of episodes and the batch size, so that differences between policies are paired.
    Only the rows asked for are held in memory.

    Args:
        seed: Seed of the evaluation.
        n_rows: Rows of the user pool.
        horizon: Longest session in steps.
        slate_size: Items per slate, K.
    """

    def __init__(self, seed: int, n_rows: int, horizon: int, slate_size: int) -> None:
        self._seed = seed
        self._n_rows = n_rows
        self._shape = (EPISODES_PER_BLOCK, horizon, slate_size)

    def episodes(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the draws of episodes ``start`` to ``stop - 1``.

        Args:
            start: First episode, at least 0.
            stop: End, exclusive.

        Returns:
            rows: (episode,) int64. Pool row that each episode starts from.
            uniforms: (episode, horizon, slate) float32. In [0, 1): an item is clicked when its
                uniform is below its click probability.
        """
        first = start // EPISODES_PER_BLOCK
        blocks = [self._block(number) for number in range(first, -(-stop // EPISODES_PER_BLOCK))]
        rows, uniforms = (torch.cat(parts) for parts in zip(*blocks, strict=True))
        wanted = slice(start - first * EPISODES_PER_BLOCK, stop - first * EPISODES_PER_BLOCK)
        return rows[wanted], uniforms[wanted]

    def starts(self, stop: int) -> torch.Tensor:
        """Return (episode,) int64: the pool rows that episodes 0 to ``stop - 1`` start from."""
        blocks = range(-(-stop // EPISODES_PER_BLOCK))
        return torch.cat([self._rows(self._generator(number)) for number in blocks])[:stop]

    def _block(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        generator = self._generator(number)
        return self._rows(generator), torch.rand(self._shape, generator=generator)

    def _generator(self, number: int) -> torch.Generator:
        return torch_generator(self._seed, f"evaluation.sessions.{number}")

    def _rows(self, generator: torch.Generator) -> torch.Tensor:
        return torch.randint(self._n_rows, (EPISODES_PER_BLOCK,), generator=generator)
