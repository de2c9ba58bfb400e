"""Values of a state together with the codes a slate has taken so far, one per level."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from hsrl_pipeline.networks.level_values import LevelValues
from hsrl_pipeline.shapes import check_dtype, check_shape

EMBEDDING_GAIN = 10.0
"""What code embeddings are multiples of. Adam moves every weight by about the same amount a step,
and a code that one item of a slate has is only a share of the mean."""


class PrefixCritic(LevelValues):
    """A value of the state, and of the state with the slate's codes of the first levels.

    Level 0 values the state itself, V(s). Level l values it with the codes that all items of the
    slate have taken on the levels 1 to l: a Q of a slate that is decided so far. The context
    follows the taken codes as a residual does and is averaged over the slate,
    ``x_l = x_{l-1} - mean_k E_l[z_kl]`` with ``x_0 = c_0``.

    What a code at level l is credited with may be measured from level l - 1, which does not know
    it. The last codes have no value: nothing is decided after them.

    The embeddings are the critic's own. Those of the policy exist only where its contexts are
    residual, and serve the expected codes of Eq. 13.

    Args:
        embedding_size: Width d of states.
        vocab_sizes: Number of codes per level; any number of levels.
        hidden_size: Hidden width of each level's perceptron.
    """

    def __init__(self, embedding_size: int, vocab_sizes: tuple[int, ...], hidden_size: int) -> None:
        super().__init__(embedding_size, len(vocab_sizes), hidden_size)
        self.code_embeddings = nn.ParameterList(
            nn.Parameter(
                nn.init.normal_(torch.empty(size, embedding_size), std=1.0 / EMBEDDING_GAIN)
            )
            for size in vocab_sizes[:-1]
        )

    def forward(self, contexts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the state value.

        Args:
            contexts: Tensors (batch, embed) float32. The first, c_0, is read.

        Returns:
            (batch,) float32.
        """
        hidden = torch.addmm(self.hidden_bias[0], contexts[0], self.hidden_weight[0]).relu()
        return torch.addmm(self.value_bias[0], hidden, self.value_weight[0]).squeeze(-1)

    def prefix_values(
        self, state: torch.Tensor, codes: torch.Tensor, counted: torch.Tensor
    ) -> torch.Tensor:
        """Return the values before the first code, before the second, and so on.

        Args:
            state: (batch, embed) float32. Output of the state encoder, c_0.
            codes: (batch, slate, level) int64. Codes of the slate's items.
            counted: (batch, slate) bool. False for items without codes; the mean leaves them out.

        Returns:
            (level, batch) float32. Entry l has read the codes of the levels 1 to l alone.

        Raises:
            ValueError: A shape or dtype differs from these.
        """
        check_shape("state", state, None, self.hidden_weight.shape[1])
        check_shape("codes", codes, state.shape[0], None, self.n_contexts)
        check_dtype("codes", codes, "int64")
        check_shape("counted", counted, *codes.shape[:2])
        check_dtype("counted", counted, "bool")
        shares = EMBEDDING_GAIN * counted / counted.sum(-1, keepdim=True).clamp(min=1)
        contexts = [state]
        for level, table in enumerate(self.code_embeddings):
            taken = F.embedding_bag(
                codes[..., level].contiguous(), table, mode="sum", per_sample_weights=shares
            )
            contexts.append(contexts[-1] - taken)
        return self.level_values(contexts)
