"""One policy under one version of the catalogue: from batches of requests to answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hsrl_pipeline.agents.base import ItemScorer
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.serving.request_errors import RequestError
from hsrl_pipeline.serving.requests import ReadRequest, RecommendRequest, observe, read_request
from hsrl_pipeline.serving.served_model import ServedModel
from hsrl_pipeline.shapes import PAD_ID


@dataclass(frozen=True)
class Recommendation:
    """The answer to one request.

    Attributes:
        items: The user's own ids, best first (on each shelf, where there are shelves).
        scores: What the items were ranked by; comparable within one answer alone.
        semantic_ids: Codes of each item.
        catalogue_version: Version that answered.
        model: Name of the model.
        log_probs: Log-probability with which each item was chosen for its place, given the places
            before; 0 where nothing was left to chance.
        unknown_history: Ids of the history that no item has.
        illegal: Items that are not live or have no semantic ID; by construction there are none.
    """

    items: list[str]
    scores: list[float]
    semantic_ids: list[list[int]]
    catalogue_version: str
    model: str
    log_probs: list[float]
    unknown_history: int = 0
    illegal: int = 0


class Recommender:
    """Answers requests; nothing changes in it but what a policy that follows clicks is told.

    Args:
        model: The policy, its users and ids.
        agent: The restored policy; None restores it.
        catalogue: Version that the agent is set to; None for the model's own.
        explore: Draw items by the softmax of their scores instead of taking the best, so that
            what is logged can be used for off-policy estimates.
        seed: Seed of the draws; None for one that nobody knows.
    """

    def __init__(
        self,
        model: ServedModel,
        agent: ItemScorer | None = None,
        catalogue: LiveCatalogue | None = None,
        *,
        explore: bool = False,
        seed: int | None = None,
    ) -> None:
        self.model = model
        self.catalogue = model.catalogue if catalogue is None else catalogue
        if agent is None:
            agent = model.restore()
            agent.prepare_to_serve()
        self.agent = agent
        self.explore = explore
        self._version = self.catalogue.version
        self._ids = np.array(model.item_ids, dtype=object)
        self._live = torch.from_numpy(self.catalogue.live)
        self._generator = torch.Generator()
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    @property
    def version(self) -> str:
        """Version of the catalogue that answers."""
        return self._version

    def under(self, catalogue: LiveCatalogue) -> Recommender:
        """Return one that serves another version of the catalogue; this one goes on as it is.

        Args:
            catalogue: The version, of the same items.
        """
        agent = self.agent.twin()
        agent.set_catalogue(catalogue)
        return Recommender(self.model, agent, catalogue, explore=self.explore)

    def of(self, model: ServedModel) -> Recommender:
        """Return one that goes by another model's names, with the same policy and version.

        Args:
            model: A model with the same tables.
        """
        return Recommender(model, self.agent, self.catalogue, explore=self.explore)

    @property
    def slate_size(self) -> int:
        """Items of the slates that the policy was trained on."""
        return int(self.model.policy["config"]["sizes"]["slate_size"])

    def warm_up(self, batches: Sequence[int] = (1, 2, 8)) -> None:
        """Answer some requests of both kinds, so that the first of a user is not the slowest.

        Args:
            batches: Sizes of the batches.
        """
        some = self.catalogue.live_items[: self.slate_size]
        ids = [self.model.item_ids[item] for item in some]
        for batch in batches:
            for candidates in (None, ids):
                request = RecommendRequest(history=ids, candidates=candidates, n=self.slate_size)
                self.answer([self.read(request)] * batch)

    def read(self, request: RecommendRequest) -> ReadRequest:
        """Return a request in item indices.

        Raises:
            RequestError: It can't be answered; names the field.
        """
        return read_request(request, self.model, self.catalogue)

    def recommend(self, request: RecommendRequest) -> Recommendation:
        """Return the answer to one request.

        Raises:
            RequestError: It can't be answered; names the field.
        """
        return self.answer([self.read(request)])[0]

    def answer_all(
        self, requests: Sequence[RecommendRequest]
    ) -> list[Recommendation | RequestError]:
        """Return the answers to a batch; a request that can't be answered spoils no other.

        Args:
            requests: Any number.
        """
        results: list[Any] = []
        for request in requests:
            try:
                results.append(self.read(request))
            except RequestError as error:
                results.append(error)
        good = [place for place, read in enumerate(results) if isinstance(read, ReadRequest)]
        for place, answer in zip(good, self.answer([results[i] for i in good]), strict=True):
            results[place] = answer
        return results

    @torch.inference_mode()
    def answer(self, requests: Sequence[ReadRequest]) -> list[Recommendation]:
        """Return the answers to a batch of requests, in one forward pass per way to answer.

        Args:
            requests: As `read` returns them.
        """
        answers: dict[int, Recommendation] = {}
        searching = [i for i, request in enumerate(requests) if request.candidates is None]
        scoring = [i for i, request in enumerate(requests) if request.candidates is not None]
        # items of several shelves come shelf by shelf, so that a longer list is no extension
        sizes = {requests[i].n for i in searching} if self.model.n_shelves > 1 else {0}
        groups = [[i for i in searching if not n or requests[i].n == n] for n in sizes]
        for rows, find in (*((group, self._search) for group in groups), (scoring, self._rank)):
            if not rows:
                continue
            group_requests = [requests[i] for i in rows]
            items, scores, log_probs = find(group_requests)
            made = self._answers(group_requests, items, scores, log_probs)
            answers.update(zip(rows, made, strict=True))
        return [answers[i] for i in range(len(requests))]

    def _observe(self, requests: Sequence[ReadRequest]) -> Any:
        return observe(requests, self.model.history_size, self.model.reads_responses)

    def _search(
        self, requests: Sequence[ReadRequest]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return the best items of the live catalogue."""
        observation = self._observe(requests)
        n = max(request.n for request in requests)
        if not self.explore:
            return (*self.agent.best_items(observation, n), None)
        scores = observation.mask_shown(self.agent.item_scores(observation))
        everything = torch.arange(scores.shape[1]).expand(len(scores), -1)
        return self._draw(everything, scores.masked_fill(~self._live, -torch.inf), n)

    def _rank(
        self, requests: Sequence[ReadRequest]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return the best of given candidates."""
        given = [request.candidates for request in requests if request.candidates is not None]
        width = max(len(items) for items in given)
        candidates = np.zeros((len(requests), width), np.int64)
        for row, items in enumerate(given):
            candidates[row, : len(items)] = items
        listed = torch.from_numpy(candidates)
        # exclusions are no candidates, so the policy need not know them
        observation = self._observe(requests)
        observation = observation._replace(shown=observation.history.new_empty((len(listed), 0)))
        scores = self.agent.scores_of(observation, listed).float()
        scores = scores.masked_fill(listed == PAD_ID, -torch.inf)
        n = min(width, max(request.n for request in requests))
        if self.explore:
            return self._draw(listed, scores, n)
        best = scores.topk(n, dim=-1)
        return listed.gather(1, best.indices), best.values, None

    def _draw(
        self, items: torch.Tensor, scores: torch.Tensor, n: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw items without replacement by the softmax of their scores (Gumbel-top-K)."""
        waiting = torch.empty_like(scores).exponential_(generator=self._generator)
        places = (scores - waiting.log()).topk(min(n, scores.shape[1]), dim=-1).indices
        chosen = scores.gather(1, places)
        others = scores.scatter(1, places, -torch.inf).logsumexp(-1, keepdim=True)
        tail = torch.cat([others, chosen.flip(-1)], dim=-1).logcumsumexp(-1)
        log_probs = (chosen - tail[:, 1:].flip(-1)).clamp(max=0.0)
        return items.gather(1, places), chosen, log_probs

    def _answers(
        self,
        requests: Sequence[ReadRequest],
        items: torch.Tensor,
        scores: torch.Tensor,
        log_probs: torch.Tensor | None,
    ) -> list[Recommendation]:
        chosen, values = items.numpy(), scores.numpy()
        chances = np.zeros_like(values) if log_probs is None else log_probs.numpy()
        found = (np.isfinite(values) & (chosen != PAD_ID)).sum(1).tolist()
        legal = self.catalogue.live[chosen].cumsum(1)
        rows = zip(
            self._ids[chosen].tolist(),
            values.tolist(),
            self.catalogue.codes[chosen].tolist(),
            chances.tolist(),
            strict=True,
        )
        answers = []
        for row, (request, (names, ranked, codes, chance)) in enumerate(
            zip(requests, rows, strict=True)
        ):
            n = min(request.n, found[row])
            answers.append(
                Recommendation(
                    items=names[:n],
                    scores=ranked[:n],
                    semantic_ids=codes[:n],
                    catalogue_version=self._version,
                    model=self.model.name,
                    log_probs=chance[:n],
                    unknown_history=request.unknown_history,
                    illegal=n - int(legal[row, n - 1]) if n else 0,
                )
            )
        return answers
