"""Whether a policy over semantic IDs finds rare items as well as frequent ones, among a million.

The catalogue has power-law popularity: the 1,000 most popular items draw 80 % of the traffic, and
the vectors of rare items are noisier. Each shape (L, V) is judged by collisions and reconstruction
error, and heads learn by imitation to name the item a user wants: the user is a noisy copy of the
item's vector, and wanted items are drawn by traffic, so that most rare items are never wanted
while a head learns. Judged are users who want items of each band of popularity alike; an answer
counts if the very item has the highest score among all. Of items that share all codes the most
popular has it.

Heads: ``codes`` scores items by their codes alone, ``look_up`` by codes, vector and a deviation
(the default of ``hsrl``), ``rows`` has a learned row per item and knows neither. The item whose
vector is nearest to the user is the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.bench_training import some_threads
from benchmarks.report import BenchmarkLine
from benchmarks.stress_semantic_ids import describe_codes, fit_codes
from benchmarks.synthetic_catalogue import SyntheticCatalogue, draw_catalogue
from hsrl_pipeline.agents.encoding import initial_weights
from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.seeding import numpy_generator, torch_generator

N_ITEMS, EMBEDDING_SIZE = 1_000_000, 64
SHAPES = ((2, 256), (3, 64), (3, 256))
LEARNED_SHAPES = ((3, 64), (3, 256))
"""Those that heads learn on; learning is what takes long."""

STATE_SIZE, CONTEXT_SIZE = 64, 64
STEPS, BATCH, LEARNING_RATE = 1000, 128, 5e-3
N_NEGATIVES = 256
"""Items beside the wanted one in a step's loss: half of them from all, half of its first code."""

USER_NOISE = 0.5
"""Norm of what a user's vector differs by from the item's, which has norm 1."""

JUDGED = 300
"""Users per band."""

Scores = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
"""From (batch, state) and (batch, any) int64 items, or None for all, to their scores."""


@dataclass(frozen=True)
class Task:
    """A catalogue and what is asked of heads.

    Attributes:
        catalogue: Items from row 0, popular ones first.
        bands: First and last rank of each band of popularity, from 1.
        seed: Seed of all draws.
    """

    catalogue: SyntheticCatalogue
    bands: tuple[tuple[int, int], ...]
    seed: int

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.catalogue.vectors)

    def users_of(self, items: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
        """Return (any, embed) float32, users who want items, (any) int64 from 1."""
        vectors = torch.from_numpy(self.catalogue.vectors)[items - 1]
        noise = torch.randn(vectors.shape, generator=draws) / vectors.shape[1] ** 0.5
        return nn.functional.normalize(vectors + USER_NOISE * noise)

    def judged(self) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
        """Yield name, wanted items (judged) int64 and users (judged, embed) of each band."""
        for first, last in self.bands:
            draws = torch_generator(self.seed, f"benchmarks.judged.{first}")
            wanted = torch.randint(first, last + 1, (JUDGED,), generator=draws)
            yield f"rank_{first}_to_{last}", wanted, self.users_of(wanted, draws)


def run() -> Iterator[BenchmarkLine]:
    """Yield collisions and errors of each shape, then what each head finds."""
    with some_threads(1):
        task = make_task(N_ITEMS, EMBEDDING_SIZE)
        yield from accuracy_lines("nearest_vector", task, nearest_scores(task))
        codes_of = {}
        for shape in SHAPES:
            lines, codes = shape_lines(task, shape)
            yield from lines
            if shape in LEARNED_SHAPES:
                codes_of[shape] = codes
        for (n_levels, vocab), codes in codes_of.items():
            for head in ("codes", "look_up"):
                scores = learn(task, head, codes, (vocab,) * n_levels, n_steps=STEPS)
                yield from accuracy_lines(f"{head}_{n_levels}x{vocab}", task, scores, codes)
        scores = learn(task, "rows", codes, (vocab,) * n_levels, n_steps=STEPS)
        yield from accuracy_lines("rows", task, scores)


def make_task(n_items: int, embedding_size: int, *, seed: int = 0) -> Task:
    """Return a catalogue of a size, with a band of popularity per power of ten from 1,000 on."""
    ends = [10**power for power in range(3, 10) if 10**power < n_items] + [n_items]
    starts = [1, *(end + 1 for end in ends[:-1])]
    catalogue = draw_catalogue(n_items, embedding_size, seed=seed)
    return Task(catalogue, tuple(zip(starts, ends, strict=True)), seed)


def shape_lines(
    task: Task, shape: tuple[int, int]
) -> tuple[list[BenchmarkLine], NDArray[np.int64]]:
    """Return what one shape (L, V) does to the catalogue, and its (item, level) codes from row 1.

    Args:
        task: The catalogue.
        shape: Levels and codes per level.
    """
    fitted = fit_codes(task.catalogue, *shape, seed=task.seed, n_threads=1)
    found = describe_codes(task.catalogue, fitted)
    name = f"rare_items.{shape[0]}x{shape[1]}"
    lines = [
        BenchmarkLine(
            f"{name}.unique_share",
            100 * found["unique_share"],
            "%",
            f"{100 * found['unique_share_tail']:.3g} % in the rarer half, "
            f"{100 * found['unique_share_of_traffic']:.3g} % of traffic, largest group "
            f"{found['largest_group']}",
        ),
        BenchmarkLine(
            f"{name}.reconstruction_error",
            found["reconstruction_error"],
            "of squared norm",
            f"{found['reconstruction_error_head']:.3g} of the 1,000 most popular, "
            f"{found['reconstruction_error_tail']:.3g} of the rarer half",
        ),
    ]
    return lines, np.pad(fitted.codes, ((1, 0), (0, 0)), constant_values=-1)


def learn(
    task: Task,
    head: str,
    codes: NDArray[np.int64],
    vocab_sizes: Sequence[int],
    *,
    n_steps: int,
) -> Scores:
    """Return a head that has learned which item a user wants.

    The loss is that of a softmax over the wanted item and drawn ones, whose scores are corrected
    for how likely they were drawn, so that it tends to the loss of a softmax over all items.

    Args:
        task: The catalogue.
        head: ``codes``, ``look_up`` or ``rows``.
        codes: (item, level) int64. Row 0 is -1.
        vocab_sizes: Codes per level.
        n_steps: Steps of Adam.

    References:
        Bengio and Senécal 2008, "Adaptive Importance Sampling to Accelerate Training of a Neural
        Probabilistic Language Model".
    """
    width = task.catalogue.vectors.shape[1]
    with initial_weights(task.seed, "benchmarks.rare_items"):
        encoder = nn.Linear(width, STATE_SIZE)
        scorer = _Rows(task.n_items) if head == "rows" else _head(task, head, codes, vocab_sizes)
    sparse = list(scorer.parameters()) if head == "rows" else []
    dense = [*encoder.parameters(), *([] if sparse else scorer.parameters())]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.Adam(dense, lr=LEARNING_RATE)]
    if sparse:
        optimizers.append(torch.optim.SparseAdam(sparse, lr=LEARNING_RATE))
    draws = torch_generator(task.seed, "benchmarks.rare_items.users")
    negatives = _Negatives(codes, vocab_sizes[0], draws)
    rng = numpy_generator(task.seed, "benchmarks.rare_items.wanted")
    wanted_items = rng.choice(task.n_items, n_steps * BATCH, p=task.catalogue.traffic) + 1
    for step in range(n_steps):
        wanted = torch.from_numpy(wanted_items[step * BATCH : (step + 1) * BATCH])
        items, log_odds = negatives.beside(wanted)
        scores = scorer(encoder(task.users_of(wanted, draws)), items) - log_odds
        # a drawn item that is the wanted one says nothing
        again = (items == wanted.unsqueeze(1)).index_fill(1, torch.tensor([0]), False)
        loss = -scores.masked_fill(again, -torch.inf).log_softmax(1)[:, 0].mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.autograd.backward(loss)
        for optimizer in optimizers:
            optimizer.step()
    return lambda users, items: scorer(encoder(users), items)


def nearest_scores(task: Task) -> Scores:
    """Return the cosine similarity of users to the vectors of all items."""
    padded = torch.from_numpy(np.pad(task.catalogue.vectors, ((1, 0), (0, 0))))
    return lambda users, _: users @ padded.t()


def accuracy_lines(
    name: str, task: Task, scores: Scores, codes: NDArray[np.int64] | None = None
) -> Iterator[BenchmarkLine]:
    """Yield how often the wanted item has the highest score, band by band of popularity.

    Args:
        name: Name of the head.
        task: Whom to judge it on.
        scores: The head.
        codes: (item, level) int64. Where given, the lines also say how often the item of highest
            score has the codes of the wanted one: what is missing to that is collisions.
    """
    frequent = None
    for band, wanted, users in task.judged():
        best = best_items(scores, users)
        found = float((best == wanted).float().mean())
        of_codes = ""
        if codes is not None:
            same = (codes[best.numpy()] == codes[wanted.numpy()]).all(1).mean()
            of_codes = f"; its codes {100 * same:.3g} %"
        frequent = found if frequent is None else frequent
        yield BenchmarkLine(
            f"rare_items.{name}.top_1.{band}",
            100 * found,
            "%",
            f"{100 * frequent:.3g} % of the most popular{of_codes}",
            found / frequent if frequent else None,
        )


@torch.no_grad()
def best_items(scores: Scores, users: torch.Tensor) -> torch.Tensor:
    """Return (user,) int64, the items with the highest score of all; the first of equal ones."""
    return torch.cat([scores(rows, None)[:, 1:].argmax(1) + 1 for rows in users.split(2)])


class _Rows(nn.Module):
    """One learned row and bias per item."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.rows = nn.Embedding(n_items + 1, STATE_SIZE, sparse=True)
        self.bias = nn.Embedding(n_items + 1, 1, sparse=True)
        nn.init.normal_(self.rows.weight, std=0.01)
        nn.init.zeros_(self.bias.weight)

    def forward(self, state: torch.Tensor, items: torch.Tensor | None) -> torch.Tensor:
        """Return the scores of items, (batch, any) float32; None for all."""
        if items is None:
            return state @ self.rows.weight.t() + self.bias.weight[:, 0]
        products: torch.Tensor = (self.rows(items) @ state.unsqueeze(-1)).squeeze(-1)
        return products + self.bias(items).squeeze(-1)


class _Codes(nn.Module):
    """A head of semantic IDs."""

    def __init__(self, head: CodeScores) -> None:
        super().__init__()
        self.head = head

    def forward(self, state: torch.Tensor, items: torch.Tensor | None) -> torch.Tensor:
        """Return the scores of items, (batch, any) float32; None for all."""
        head = self.head
        if items is None:
            of_all: torch.Tensor = head(state)
            return of_all
        # in the contexts of the items' first codes alone, instead of tables of all codes
        first, *further = head.codes[items].unbind(-1)
        contexts = head.contexts(state)
        places = first * len(state) + torch.arange(len(state)).unsqueeze(1)
        scores: torch.Tensor = head.first_scores(state).gather(1, first)
        scores = scores + head.scores_in_contexts(
            nn.functional.embedding(places, contexts.flatten(0, 1)), further
        )
        if head.vector_query is not None and head.item_vectors is not None:
            vectors = nn.functional.embedding(items, head.item_vectors)
            scores = scores + (vectors @ head.vector_query(state).unsqueeze(-1)).squeeze(-1)
        if head.deviations is not None:
            scores = scores + head.deviations[items]
        return scores


def _head(task: Task, head: str, codes: NDArray[np.int64], vocab_sizes: Sequence[int]) -> _Codes:
    vectors = None
    if head == "look_up":
        vectors = torch.from_numpy(np.pad(task.catalogue.vectors, ((1, 0), (0, 0))))
    return _Codes(
        CodeScores(
            STATE_SIZE,
            codes,
            tuple(vocab_sizes),
            context_size=CONTEXT_SIZE,
            item_vectors=vectors,
            item_deviations=head == "look_up",
        )
    )


class _Negatives:
    """Draws items to tell the wanted one from: from all items, and from those of its first code.

    Args:
        codes: (item, level) int64. Row 0 is -1.
        n_first: Codes of the first level.
        draws: Random stream.
    """

    def __init__(self, codes: NDArray[np.int64], n_first: int, draws: torch.Generator) -> None:
        first = torch.from_numpy(codes[:, 0])
        self._first = first
        self._by_code = first[1:].argsort(stable=True) + 1
        self._sizes = torch.bincount(first[1:], minlength=n_first)
        self._starts = self._sizes.cumsum(0) - self._sizes
        self._draws = draws

    def beside(self, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return wanted and drawn items, and the log of how often each is drawn on average.

        Args:
            wanted: (batch) int64.

        Returns:
            items: (batch, 1 + drawn) int64. The wanted one first.
            log_odds: (batch, 1 + drawn) float32. 0 for the wanted one.
        """
        half, batch, n_items = N_NEGATIVES // 2, len(wanted), len(self._first) - 1
        anywhere = torch.randint(1, n_items + 1, (batch, half), generator=self._draws)
        code = self._first[wanted].unsqueeze(1)
        place = torch.rand(batch, half, generator=self._draws, dtype=torch.float64)
        near = self._by_code[self._starts[code] + (place * self._sizes[code]).long()]
        drawn = torch.cat([anywhere, near], dim=1)
        expected = half / n_items + half / self._sizes[code] * (self._first[drawn] == code)
        log_odds = nn.functional.pad(expected.log().float(), (1, 0))
        return torch.cat([wanted.unsqueeze(1), drawn], dim=1), log_odds
