"""Hierarchical policy network: one code distribution per level of the semantic ID."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn


class LevelOutputs(NamedTuple):
    """What the policy computed for a batch of states.

    Attributes:
        contexts: ``L + 1`` tensors (batch, embed) float32: c_0 (the state) to c_L.
        log_probs: ``L`` tensors (batch, vocab) float32: log-probabilities of each level's codes.
    """

    contexts: list[torch.Tensor]
    log_probs: list[torch.Tensor]


class HierarchicalPolicy(nn.Module):
    """Coarse-to-fine code distributions with residual contexts (HPN, Eq. 11-13).

    After each level the expected code embedding is taken out of the context, so that the next
    level decides on what is left: ``c_l = LayerNorm(c_{l-1} - sum_z p(z) E_l[z])``.

    Args:
        embedding_size: Width d of contexts.
        vocab_sizes: Number of codes per level; any number of levels.
        gated: Whether a level's expected gate also scales the context,
            ``LayerNorm(c_{l-1} * (1 + sum_z p(z) G_l[z]) - sum_z p(z) E_l[z])``; Eq. 13 has none.
        residual: Whether contexts are refined. Without it every level reads the state itself:
            the ablation without hierarchical policy (Table 3).
    """

    def __init__(
        self,
        embedding_size: int,
        vocab_sizes: tuple[int, ...],
        *,
        residual: bool = True,
        gated: bool = False,
    ) -> None:
        super().__init__()
        if not vocab_sizes:
            raise ValueError("a semantic ID needs at least one level, vocab_sizes is empty")
        self.vocab_sizes = vocab_sizes
        self.residual = residual
        self.heads = nn.ModuleList(
            nn.Linear(embedding_size, size, bias=False) for size in vocab_sizes
        )
        self.code_embeddings = nn.ParameterList()
        self.gates = nn.ParameterList()
        self.norms = nn.ModuleList()
        if residual:
            for size in vocab_sizes:
                table = torch.empty(size, embedding_size)
                self.code_embeddings.append(nn.Parameter(nn.init.normal_(table)))
                self.norms.append(nn.LayerNorm(embedding_size))
        if residual and gated:
            for size in vocab_sizes:
                gate = torch.empty(size, embedding_size)
                self.gates.append(nn.Parameter(nn.init.normal_(gate, std=0.1)))

    def forward(self, state: torch.Tensor) -> LevelOutputs:
        """Return contexts and code distributions of all levels.

        Args:
            state: (batch, embed) float32. Output of the state encoder, c_0.

        Returns:
            Contexts c_0 to c_L and the log-probabilities of levels 1 to L.
        """
        contexts, log_probs = [state], []
        for level, head in enumerate(self.heads):
            current = contexts[-1]
            log_prob = head(current).log_softmax(-1)
            log_probs.append(log_prob)
            if self.residual:
                probs = log_prob.exp()
                expected = probs @ self.code_embeddings[level]
                if self.gates:
                    current = current * (1.0 + probs @ self.gates[level])
                current = self.norms[level](current - expected)
            contexts.append(current)
        return LevelOutputs(contexts, log_probs)
