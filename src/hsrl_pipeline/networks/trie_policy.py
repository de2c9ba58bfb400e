"""Policy over the trie of semantic IDs: each level conditioned on the codes already taken."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from hsrl_pipeline.networks.row_scores import row_scores
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie
from hsrl_pipeline.shapes import PAD_ID

ContextUpdate = Literal["taken", "expected", "none"]


class TriePolicy(nn.Module):
    """Autoregressive code distributions that put mass on existing items only.

    At each level the softmax runs over the children of the prefix taken so far. The context then
    loses what was taken, ``c_l = LayerNorm(c_{l-1} - E_l[z_l])``: unlike Eq. 13, where the
    expected embedding is taken out, later codes depend on earlier ones given the state.

    Args:
        embedding_size: Width d of contexts.
        vocab_sizes: Number of codes per level.
        trie: The catalogue's prefixes.
        context_update: ``taken`` as above, ``expected`` as Eq. 13, ``none`` leaves the state.
        gated: Whether a taken code also scales the context, ``c (1 + G_l[z]) - E_l[z]``: the
            subtraction alone is additive in state and prefix, so that a prefix cannot change what
            the state says of the codes below it.
        temperature: Divides all scores; small values let distributions sharpen quickly.
        valid_only: Normalise over valid children; otherwise over the vocabulary, so that mass is
            lost on codes without items.
        item_vectors: (item, vector) float32 or None. With them, the last code of an item is also
            scored by the product of the projected context with the item's vector; where items
            share a code, with the mean of their vectors, weighted by their shares.
    """

    leaf_vectors: torch.Tensor | None

    def __init__(
        self,
        embedding_size: int,
        vocab_sizes: tuple[int, ...],
        trie: CodeTrie,
        *,
        context_update: ContextUpdate = "taken",
        gated: bool = False,
        temperature: float = 1.0,
        valid_only: bool = True,
        item_vectors: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        self.trie = trie
        self._context_update = context_update
        self._temperature = temperature
        self._valid_only = valid_only
        self.heads = nn.ModuleList(nn.Linear(embedding_size, size) for size in vocab_sizes)
        self.code_embeddings = nn.ParameterList()
        self.gates = nn.ParameterList()
        self.norms = nn.ModuleList()
        if context_update != "none":
            for size in vocab_sizes[:-1]:
                table = torch.empty(size, embedding_size)
                self.code_embeddings.append(nn.Parameter(nn.init.normal_(table)))
                self.norms.append(nn.LayerNorm(embedding_size))
                if gated:
                    gate = torch.empty(size, embedding_size)
                    self.gates.append(nn.Parameter(nn.init.normal_(gate, std=0.1)))
        # what follows a code differs between shelves, so its probability must be free to differ
        self.root_embedding: nn.Parameter | None = None
        self.root_gate: nn.Parameter | None = None
        if trie.n_roots > 1:
            self.root_embedding = nn.Parameter(torch.zeros(trie.n_roots, embedding_size))
            if gated:
                self.root_gate = nn.Parameter(torch.zeros(trie.n_roots, embedding_size))
        self.vector_query: nn.Linear | None = None
        leaf_vectors = None
        if item_vectors is not None:
            self.vector_query = nn.Linear(embedding_size, item_vectors.shape[1])
            leaf_vectors = _leaf_vectors(trie, item_vectors)
        self.register_buffer("leaf_vectors", leaf_vectors, persistent=False)

    def set_trie(self, trie: CodeTrie, item_vectors: torch.Tensor) -> None:
        """Walk down another trie from now on; no weight changes.

        The softmax at a prefix runs over the children it has now: the share of those that left
        goes to their siblings, and those that arrived take theirs from them.

        Args:
            trie: The prefixes of the live items, on the policy's device.
            item_vectors: (item, vector) float32.
        """
        self.trie = trie
        if self.leaf_vectors is not None:
            self.leaf_vectors = _leaf_vectors(trie, item_vectors)

    def enter(self, state: torch.Tensor, roots: torch.Tensor) -> torch.Tensor:
        """Return the context at roots: the state, told apart by shelf where there are several.

        Args:
            state: (row, embed) float32. c_0.
            roots: (row,) int64. One root per shelf.

        Returns:
            (row, embed) float32.
        """
        if self.root_embedding is None:
            return state
        scaled = state if self.root_gate is None else state * (1.0 + self.root_gate[roots])
        return scaled + self.root_embedding[roots]

    def choose(
        self, level: int, context: torch.Tensor, nodes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the distribution over the children of nodes.

        Args:
            level: Level of the children, from 1 to L.
            context: (..., embed) float32. c_{level-1} of each node.
            nodes: (...) int64. Nodes of level ``level - 1``, or a single one for all contexts.

        Returns:
            log_probs: (..., slot) float32. ``-inf`` in empty slots.
            children: (..., slot) int64. Node numbers.
            codes: (..., slot) int64.
        """
        children, codes, valid = self.trie.branches(level, nodes)
        of_codes = self.heads[level - 1](context) / self._temperature
        leading = nodes.shape if nodes.numel() > 1 else of_codes.shape[:-1]
        codes = codes.expand(*leading, -1)
        of_codes = of_codes.expand(*leading, -1)
        of_vectors = self._vector_scores(level, context, nodes, children)
        children = children.expand(*leading, -1)
        if not self._valid_only:
            if of_vectors is not None:
                of_vectors = of_vectors.masked_fill(~valid, 0.0)
                of_codes = of_codes.scatter_add(-1, codes, of_vectors.to(of_codes.dtype))
            log_probs = of_codes.log_softmax(-1).gather(-1, codes)
            return log_probs.masked_fill(~valid, -torch.inf), children, codes
        scores = of_codes.gather(-1, codes)
        if of_vectors is not None:
            scores = scores + of_vectors
        return scores.masked_fill(~valid, -torch.inf).log_softmax(-1), children, codes

    def _vector_scores(
        self, level: int, context: torch.Tensor, nodes: torch.Tensor, children: torch.Tensor
    ) -> torch.Tensor | None:
        """Return (..., slot) float32, what vectors add to the scores of last codes, if anything."""
        if level != self.trie.n_levels or self.vector_query is None or self.leaf_vectors is None:
            return None
        query = self.vector_query(context) / self._temperature
        if nodes.numel() == 1:
            vectors = F.embedding(children, self.leaf_vectors)
            of_one_node: torch.Tensor = query @ vectors.flatten(0, -2).t()
            return of_one_node
        return row_scores(query, self.leaf_vectors, children, self.trie.n_children(level, nodes))

    def refine(self, level: int, context: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Return the next context, after a code of ``level`` was taken.

        Args:
            level: Level of the taken codes, from 1 to L - 1.
            context: (..., embed) float32. c_{level-1}.
            codes: (...) int64. The taken codes.

        Returns:
            (..., embed) float32, c_level.
        """
        if self._context_update == "none":
            return context
        embedding = self.code_embeddings[level - 1]
        gate = self.gates[level - 1] if self.gates else None
        if self._context_update == "taken":
            removed = F.embedding(codes, embedding)
            scale = None if gate is None else F.embedding(codes, gate)
        else:
            probs = (self.heads[level - 1](context) / self._temperature).softmax(-1)
            removed = probs @ embedding
            scale = None if gate is None else probs @ gate
        kept = context if scale is None else context * (1.0 + scale)
        refined: torch.Tensor = self.norms[level - 1](kept - removed)
        return refined

    def item_log_prob(
        self, state: torch.Tensor, items: torch.Tensor, shown: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the log-probabilities of given items by following their codes down the trie.

        Args:
            state: (batch, embed) float32. c_0.
            items: (batch, any) int64. PAD_ID costs nothing: many places of what was shown are
                free.
            shown: (batch, shown) int64. Items that may not be shown again, PAD_ID elsewhere: they
                leave their share to the other items of their code.

        Returns:
            (batch, any) float32. Log-probability of each item: its code's, and its share among
            the items of that code. 0 for PAD_ID.
        """
        trie = self.trie
        log_shares = trie.item_log_shares(items, shown).to(state.dtype)
        rows, places = (items != PAD_ID).nonzero(as_tuple=True)
        listed = items[rows, places]
        paths = trie.paths_of(listed)
        slots = trie.slots_on(paths)
        log_prob, context = log_shares[rows, places], self.enter(state[rows], paths[:, 0])
        for level in range(1, trie.n_levels + 1):
            nodes = paths[:, level - 1]
            if level == 1 and trie.n_roots == 1:
                of_states, _, _ = self.choose(level, state, nodes.new_zeros(1))
                taken = of_states[rows, slots[:, 0]]
            else:
                log_probs, _, _ = self.choose(level, context, nodes)
                taken = log_probs.gather(-1, slots[:, level - 1 : level])[:, 0]
            log_prob = log_prob + taken
            if level < trie.n_levels:
                code = trie.get_buffer(f"code_{level}")[paths[:, level]]
                context = self.refine(level, context, code)
        return log_shares.new_zeros(items.shape).index_put((rows, places), log_prob)


def _leaf_vectors(trie: CodeTrie, item_vectors: torch.Tensor) -> torch.Tensor:
    """Return (leaf, vector) float32, the mean vector of the items of each code, by their shares."""
    shares = trie.log_shares[trie.leaf_items].exp().to(item_vectors.dtype)
    first = trie.get_buffer(f"first_{trie.n_levels + 1}")
    return F.embedding_bag(
        trie.leaf_items, item_vectors, first, mode="sum", per_sample_weights=shares
    )
