"""The best items by code, against a look at all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hsrl_pipeline.catalogue import LiveCatalogue
from hsrl_pipeline.networks import code_search
from hsrl_pipeline.networks.catalogue_tables import CatalogueTables
from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.networks.code_search import CodeSearch
from hsrl_pipeline.shapes import PAD_ID

VOCABS, N_ITEMS, WIDTH, VECTOR = (5, 6, 4), 900, 8, 7
STATES = torch.randn(12, WIDTH, generator=torch.Generator().manual_seed(1))
NOTHING = torch.zeros(len(STATES), 0, dtype=torch.int64)


@pytest.fixture(autouse=True)
def small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search by code in small catalogues too, and in two rounds."""
    monkeypatch.setattr(code_search, "FEWEST_ITEMS", 1)
    monkeypatch.setattr(code_search, "FEWEST_PER_GROUP", 1.0)
    monkeypatch.setattr(code_search, "FIRST_GROUPS", 4)
    monkeypatch.setattr(code_search, "LARGEST_SHARE", 1)


def make_tables(spread: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Return (item, level) codes and (item, vector) vectors that lie near those of their code."""
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, size, N_ITEMS + 1) for size in VOCABS], axis=1)
    codes[PAD_ID] = -1
    middles = rng.normal(size=(*VOCABS, VECTOR))
    vectors = middles[tuple(codes.T)] + spread * rng.normal(size=(N_ITEMS + 1, VECTOR))
    vectors[PAD_ID] = 0.0
    return codes, vectors.astype(np.float32)


def make_head(spread: float = 0.1, **options: Any) -> CodeScores:
    codes, vectors = make_tables(spread)
    torch.manual_seed(0)
    head = CodeScores(
        WIDTH,
        codes,
        VOCABS,
        **{
            "context_size": 6,
            "temperature": 0.5,
            "item_vectors": torch.from_numpy(vectors),
            "item_deviations": True,
            "item_priors": np.linspace(0.0, 1.0, N_ITEMS + 1, dtype=np.float32),
            **options,
        },
    )
    with torch.no_grad():
        for weight in head.parameters():
            weight.add_(0.3 * torch.randn(weight.shape))
    return head


def look_at_all(head: CodeScores, shown: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    scores = head(STATES).scatter(1, shown, -torch.inf)
    best = scores.topk(n, dim=-1)
    return best.indices.masked_fill(best.values == -torch.inf, PAD_ID), best.values


def take(head: CodeScores, live: np.ndarray, published: np.ndarray) -> None:
    """Set the live items of a head of which some are published."""
    codes, vectors = make_tables()
    catalogue = LiveCatalogue(live, vectors, np.where((published | live)[:, None], codes, -1))
    cpu = torch.device("cpu")
    head.set_items(CatalogueTables.of(catalogue, published=published, live=live, device=cpu))


def assert_same(search: CodeSearch, shown: torch.Tensor, n: int) -> None:
    with torch.inference_mode():
        found = search.best(STATES, shown, n)
        items, scores = look_at_all(search.head, shown, n)
    assert found is not None
    torch.testing.assert_close(found[1], scores, rtol=1e-5, atol=1e-5)
    assert torch.equal(found[0], items)


@pytest.mark.parametrize("n", [1, 10, 40])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"item_vectors": None},
        {"item_deviations": False},
        {"item_priors": None},
        {"item_vectors": None, "item_deviations": False, "item_priors": None, "gated": False},
    ],
)
def test_the_best_are_those_of_a_look_at_all(options: dict[str, Any], n: int) -> None:
    head = make_head(**options)
    if len(options) > 1:  # items of one code have one score: any of them may come
        search = CodeSearch(head)
        with torch.inference_mode():
            found = search.best(STATES, NOTHING, n)
            expected = look_at_all(head, NOTHING, n)[1]
        assert found is not None
        torch.testing.assert_close(found[1], expected, rtol=1e-5, atol=1e-5)
        assert all(len(set(row.tolist())) == n for row in found[0])
    else:
        assert_same(CodeSearch(head), NOTHING, n)


def test_fewer_items_are_opened_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    search, opened = CodeSearch(make_head()), []
    whole = CodeSearch._open

    def counted(self: CodeSearch, groups: torch.Tensor, *rest: Any) -> Any:
        opened.append(len(groups))
        return whole(self, groups, *rest)

    monkeypatch.setattr(CodeSearch, "_open", counted)
    with torch.inference_mode():
        assert search.best(STATES, NOTHING, 3) is not None
    assert len(opened) == 2 * len(STATES)
    assert max(opened) < len(search.starts) / 4


def test_shown_items_stay_out() -> None:
    search = CodeSearch(make_head())
    shown = look_at_all(search.head, NOTHING, 7)[0]
    shown[:, 3] = PAD_ID
    assert_same(search, shown, 5)


def test_items_leave_return_and_arrive() -> None:
    head, rng = make_head(), np.random.default_rng(5)
    item = np.arange(N_ITEMS + 1)
    published = (item > 0) & (item <= N_ITEMS - 60)
    take(head, published, item > 0)
    search = CodeSearch(head)
    order = search.order
    fewer = published & (rng.random(N_ITEMS + 1) < 0.7)
    for live in (fewer, published, fewer | (item > N_ITEMS - 40), item > 0):
        take(head, live, item > 0)
        search.set_items()
        assert_same(search, NOTHING, 10)
    assert search.order is order  # groups are not made anew for few items
    assert len(search.later) == 60
    take(head, item > N_ITEMS - 100, item > 0)
    search.set_items()
    assert_same(search, NOTHING, 10)
    assert len(search.order) == 100


def test_where_few_items_are_left_the_rest_is_padding() -> None:
    head = make_head()
    take(head, np.isin(np.arange(N_ITEMS + 1), [3, 80, 500]), np.arange(N_ITEMS + 1) > 0)
    assert_same(CodeSearch(head), NOTHING, 5)


def test_a_look_at_all_is_left_to_others_where_it_is_cheaper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert CodeSearch(make_head(spread=5.0)).best(STATES, NOTHING, 3) is None  # wide groups
    codes = np.arange(N_ITEMS + 1)[:, None] - 1
    monkeypatch.setattr(code_search, "FEWEST_PER_GROUP", 1.1)
    alone = CodeScores(WIDTH, codes, (N_ITEMS,))  # a code for every item
    assert CodeSearch(alone).best(STATES, NOTHING, 3) is None
    monkeypatch.setattr(code_search, "LARGEST_SHARE", 10)
    with torch.inference_mode():  # many items have to be opened
        assert CodeSearch(make_head()).best(STATES, NOTHING, 30) is None
