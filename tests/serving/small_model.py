"""A small model without any training, and calls of an application without a port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tests.agents.test_conformance import N_ITEMS, make_context, make_settings

from hsrl_pipeline.agents.policy_checkpoint import describe_policy
from hsrl_pipeline.agents.registry import build_agent
from hsrl_pipeline.catalogue import LiveCatalogue
from hsrl_pipeline.catalogue.changes import Publication
from hsrl_pipeline.config.session import HistoryForm
from hsrl_pipeline.config.sid import ItemVectorConfig
from hsrl_pipeline.semantic_ids.item_facts import FactColumns
from hsrl_pipeline.semantic_ids.item_vectorizer import ItemVectorizer, Standardisation
from hsrl_pipeline.semantic_ids.nearest import LevelCentroids
from hsrl_pipeline.semantic_ids.residual_quantizer import ResidualQuantizer
from hsrl_pipeline.serving.item_features import ContentColumn, ItemEncoder, NewItem
from hsrl_pipeline.serving.item_publisher import ItemPublisher
from hsrl_pipeline.serving.served_model import ServedModel, everything_live
from hsrl_pipeline.serving.user_features import NumberScale, UserEncoder

IDS = ("", *(f"film {number}" for number in range(1, N_ITEMS + 1)))
USERS = UserEncoder({"country": ("NL", "DE", "FR")}, {"age": NumberScale(40.0, 10.0)})
FIRST, LAST = IDS[1], IDS[-1]


def small_model(
    name: str = "hsrl",
    *,
    live: Sequence[int] | None = None,
    later: Sequence[int] = (),
    shelves: np.ndarray | None = None,
    publisher: ItemPublisher | None = None,
    history: HistoryForm = "clicks",
    **settings: object,
) -> ServedModel:
    """Return a model of 12 items; ``live`` ones are shown first, ``later`` ones may arrive."""
    context = make_context(shelves=shelves, history=history)
    unknown = np.isin(np.arange(N_ITEMS + 1), later)
    vectors = np.where(unknown[:, None], np.float32(0.0), context.item_vectors)
    codes = np.where(unknown[:, None], -1, context.codes)
    launch = everything_live(vectors, codes)
    own = make_settings(name, **settings)
    policy = describe_policy(build_agent(name, own, context), own, context, {"dataset": "small"})
    arrivals = None
    if later:
        rows = np.array(later)
        arrivals = Publication(rows, context.item_vectors[rows], context.codes[rows])
    catalogue = launch
    if live is not None:
        catalogue = LiveCatalogue(np.isin(np.arange(N_ITEMS + 1), live), vectors, codes)
    return ServedModel(
        policy,
        "small",
        IDS,
        USERS,
        launch,
        catalogue,
        20,
        shelves=shelves,
        arrivals=arrivals,
        publisher=publisher,
    )


def small_publisher(collisions: str = "keep", quality_weight: float = 0.0) -> ItemPublisher:
    """Return what makes vectors of six numbers and codes of two levels, as the small model has.

    Items have two marks, a length whose mean is 100 and whose deviation is 10, a price and a vector
    of three numbers.
    """
    rng = np.random.default_rng(3)
    encoder = ItemEncoder(
        columns=(
            ContentColumn("genre_war", NumberScale(0.0, 1.0), is_mark=True),
            ContentColumn("genre_love", NumberScale(0.0, 1.0), is_mark=True),
            ContentColumn("length", NumberScale(100.0, 10.0), is_mark=False),
        ),
        vector_size=3,
        facts=FactColumns(median_price=5.0),
    )
    vectorizer = ItemVectorizer(
        config=ItemVectorConfig(embedding_size=6, quality_weight=quality_weight),
        seed=0,
        content=Standardisation(np.zeros(4), np.ones(4)),
        titles=None,
        feedback=None,
        given=Standardisation(np.zeros(3), np.ones(3)),
        centre=np.zeros(7),
        axes=rng.normal(size=(7, 6)),
    )
    levels = tuple(
        LevelCentroids.plain(rng.normal(size=(size, 6)).astype(np.float32)) for size in (3, 4)
    )
    return ItemPublisher(encoder, vectorizer, ResidualQuantizer(levels), (3, 4), collisions)


def new_item(item_id: str | int = "film 13", **given: Any) -> NewItem:
    """Return an item that the small publisher takes."""
    content = {"genre_war": 1.0, "length": 112.0}
    return NewItem(
        item_id, **{"content": content, "vector": [0.1, -0.4, 0.3], "price": 3.0, **given}
    )


class Caller:
    """Calls an ASGI application as a client would; ``headers`` are those of the last answer."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.headers: dict[bytes, bytes] = {}

    async def __call__(
        self, method: str, path: str, body: Any = None, *, token: str | None = None
    ) -> tuple[int, Any]:
        """Return status and body; ``body`` is sent as it is when it is bytes."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        headers = [(b"content-type", b"application/json")]
        if token is not None:
            headers.append((b"authorization", f"Bearer {token}".encode()))
        scope: Mapping[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "server": ("test", 80),
            "client": ("test", 1),
            "headers": headers,
        }
        sent: list[dict[str, Any]] = []
        chunks = [raw[at : at + 65_536] for at in range(0, len(raw), 65_536)] or [b""]

        async def receive() -> dict[str, Any]:
            if not chunks:
                await asyncio.Event().wait()
            chunk = chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(dict(scope), receive, send)
        content = b"".join(message.get("body", b"") for message in sent[1:])
        self.headers = dict(sent[0]["headers"])
        kind = self.headers[b"content-type"]
        told = json.loads(content) if kind == b"application/json" else content.decode()
        return sent[0]["status"], told


async def until_ready(call: Caller) -> None:
    """Wait for the end of the warm-up."""
    while (await call("GET", "/ready"))[0] != 200:
        await asyncio.sleep(0.01)
