"""Requests for recommendations, their checks, and what a policy sees of a batch of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.serving.own_ids import OwnId, own_id
from hsrl_pipeline.serving.request_errors import RequestError
from hsrl_pipeline.serving.served_model import ServedModel
from hsrl_pipeline.shapes import PAD_ID

LONGEST_HISTORY = 10_000
MOST_CANDIDATES = 100_000
MOST_EXCLUDED = 10_000
MOST_ITEMS = 1_000
"""Largest numbers of ids that a request may carry, and of items it may ask for."""


@dataclass(frozen=True)
class RecommendRequest:
    """One question, in the user's own ids.

    Attributes:
        history: Ids of clicked items, oldest first; None for a user without any.
        responses: Where the history holds shown items: 1 for each that was clicked, 0 for each
            that was not. None where all were clicked.
        user: Features by name; missing ones may be left out.
        candidates: Ids to choose among; None for the whole live catalogue.
        exclude: Ids that must not come back.
        n: Items to recommend; fewer come back where fewer candidates may be shown.
    """

    history: Sequence[OwnId] | None = None
    user: Mapping[str, Any] = field(default_factory=dict)
    candidates: Sequence[OwnId] | None = None
    exclude: Sequence[OwnId] = ()
    n: int = 10
    responses: Sequence[int] | None = None


@dataclass(frozen=True, eq=False)
class ReadRequest:
    """A request that is good, in item indices.

    Attributes:
        history: Known items of the history that the policy reads, the newest last, at most H.
        responses: 1 for each of them that was clicked, 0 for one that was not.
        categories: Codes of the user's categorical features.
        numbers: Standardised numeric features.
        candidates: (candidate,) int64. Live candidates, each once; None for the live catalogue.
        exclude: Items that must not come back.
        n: Items to recommend at most.
        unknown_history: Ids of the history that no item has, or none that was published.
    """

    history: list[int]
    responses: list[int]
    categories: list[int]
    numbers: list[float]
    candidates: NDArray[np.int64] | None
    exclude: list[int]
    n: int
    unknown_history: int


def read_request(
    request: RecommendRequest, model: ServedModel, catalogue: LiveCatalogue
) -> ReadRequest:
    """Return a request in item indices.

    An id of the history or of the exclusions that no item has is passed over: it may be an item
    that this model was never told of. So is one of the history that nobody has published yet. An
    unknown candidate is refused, because the caller expects it to be ranked; one that is not live
    is left out.

    Args:
        request: The question.
        model: Names and sizes.
        catalogue: The version that answers.

    Raises:
        RequestError: Something can't be answered; names the field.
    """
    index = model.item_index
    history, responses, unknown = _read_history(request, model, catalogue)
    categories, numbers = model.users.encode(request.user)
    _refuse_longer("exclude", request.exclude, MOST_EXCLUDED)
    excluded = set(_items_of("exclude", request.exclude, index))
    excluded.discard(PAD_ID)
    candidates = None
    if request.candidates is not None:
        candidates = _read_candidates(request.candidates, index, catalogue, excluded)
    n = request.n
    n_live = len(catalogue.live_items)
    if n < 1 or n > min(n_live, MOST_ITEMS):
        raise RequestError(
            "n", f"{n} items can't be recommended; ask for 1 to {min(n_live, MOST_ITEMS)}"
        )
    if candidates is None and n % model.n_shelves:
        raise RequestError("n", f"items of {model.n_shelves} shelves come in equal numbers of each")
    if candidates is None and n_live <= len(excluded):
        left = catalogue.live.copy()
        left[list(excluded)] = False
        if not left.any():
            raise RequestError("exclude", "nothing is left to recommend")
    return ReadRequest(
        history, responses, categories, numbers, candidates, sorted(excluded), n, unknown
    )


def observe(requests: Sequence[ReadRequest], history_size: int, responses: bool) -> Observation:
    """Return what a policy sees of a batch of users at the start of a session.

    Args:
        requests: The batch.
        history_size: Length H of the window.
        responses: Whether the policy reads responses.
    """
    batch = len(requests)
    history = np.zeros((batch, history_size), np.int64)
    clicked = np.zeros((batch, history_size), np.int64)
    shown = np.zeros((batch, max(len(request.exclude) for request in requests)), np.int64)
    for row, request in enumerate(requests):
        if request.history:
            history[row, -len(request.history) :] = request.history
            clicked[row, -len(request.history) :] = request.responses
        shown[row, : len(request.exclude)] = request.exclude
    return Observation(
        user_categories=_rows([request.categories for request in requests], torch.int64),
        user_dense=_rows([request.numbers for request in requests], torch.float32),
        history=torch.from_numpy(history),
        step=torch.zeros(batch, dtype=torch.int64),
        shown=torch.from_numpy(shown),
        responses=torch.from_numpy(clicked) if responses else None,
    )


def _rows(values: list[Any], dtype: torch.dtype) -> torch.Tensor:
    """Return (batch, any); the width may be 0."""
    return torch.tensor(values, dtype=dtype).reshape(len(values), -1)


def _read_history(
    request: RecommendRequest, model: ServedModel, catalogue: LiveCatalogue
) -> tuple[list[int], list[int], int]:
    """Return the items that the policy reads, the responses to them, and how many are unknown."""
    ids, told = request.history, request.responses
    if ids is not None and not len(ids):
        raise RequestError("history", "it is empty; leave it out for a user without a history")
    ids = () if ids is None else ids
    if told is not None and len(told) != len(ids):
        raise RequestError("responses", f"{len(told)} for {len(ids)} items of the history")
    _refuse_longer("history", ids, LONGEST_HISTORY)
    items = _items_of("history", ids, model.item_index)
    responses = [1] * len(items)
    if told is not None:
        responses = [_response(place, value) for place, value in enumerate(told)]
    known = catalogue.published[np.asarray(items, np.int64)].tolist()
    read = [
        (item, response)
        for item, response, is_known in zip(items, responses, known, strict=True)
        if is_known and (response or model.reads_responses)
    ][-model.history_size :]
    unknown = known.count(False)
    return [item for item, _ in read], [response for _, response in read], unknown


def _response(place: int, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value not in (0, 1):
        raise RequestError(f"responses.{place}", "a response is 1 for a click and 0 for none")
    return int(value)


def _read_candidates(
    ids: Sequence[OwnId],
    index: Mapping[str, int],
    catalogue: LiveCatalogue,
    excluded: set[int],
) -> NDArray[np.int64]:
    _refuse_longer("candidates", ids, MOST_CANDIDATES)
    if not len(ids):
        raise RequestError("candidates", "there are none; leave the field out to search all items")
    items = _items_of("candidates", ids, index)
    if PAD_ID in items:
        first = own_id("candidates", ids[items.index(PAD_ID)])
        raise RequestError(
            "candidates", f"{items.count(PAD_ID)} are unknown, the first is {first[:100]!r}"
        )
    known = np.array(list(dict.fromkeys(items)), dtype=np.int64)
    live: NDArray[np.int64] = known[catalogue.live[known]]
    if not len(live):
        raise RequestError("candidates", "none of them is live")
    allowed = live[~np.isin(live, list(excluded))] if excluded else live
    if not len(allowed):
        raise RequestError("exclude", "nothing is left of the live candidates")
    return allowed


def _items_of(field: str, ids: Sequence[OwnId], index: Mapping[str, int]) -> list[int]:
    """Return the items that ids name, PAD_ID where none does.

    Where all are text exactly as the index has it, none needs a closer look.
    """
    by_text: Mapping[OwnId, int] = index  # type: ignore[assignment]
    try:
        return [by_text[value] for value in ids]
    except (KeyError, TypeError):  # unknown, written in another way, or no id at all
        return [
            index.get(own_id(f"{field}.{place}", value), PAD_ID) for place, value in enumerate(ids)
        ]


def _refuse_longer(name: str, ids: Sequence[OwnId], most: int) -> None:
    if len(ids) > most:
        raise RequestError(name, f"{len(ids)} ids are too many; at most {most} are read")
