"""From descriptions of new items to rows of the items table."""

from __future__ import annotations

import numpy as np
import pytest

from hsrl_pipeline.semantic_ids.item_facts import FactColumns
from hsrl_pipeline.serving import RequestError
from hsrl_pipeline.serving.item_features import ContentColumn, ItemEncoder, NewItem
from hsrl_pipeline.serving.user_features import NumberScale

MISSING = np.nan
ENCODER = ItemEncoder(
    columns=(
        ContentColumn("war", NumberScale(0.0, 1.0), is_mark=True),
        ContentColumn("length", NumberScale(90.0, 20.0), is_mark=False),
    ),
    vector_size=2,
    facts=FactColumns(median_price=7.0, shelves=(1, 3), has_special=True),
)


def test_columns_are_told_from_raw_numbers_and_those_of_the_table() -> None:
    marks = ContentColumn.between("war", np.array([0.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0]))
    assert marks == ContentColumn("war", NumberScale(0.0, 1.0), is_mark=True)
    # mean 90 and deviation 20; what was missing is 0 in the table
    raw, standard = np.array([70.0, MISSING, 110.0]), np.array([-1.0, 0.0, 1.0])
    length = ContentColumn.between("length", raw, standard)
    assert length == ContentColumn("length", NumberScale(90.0, 20.0), is_mark=False)
    share = ContentColumn.between("share", np.array([0.2, 0.7]), np.array([0.2, 0.7]))
    assert not share.is_mark
    assert share.scale.apply(0.45) == pytest.approx(0.45)


def test_a_row_holds_what_ingestion_would_write() -> None:
    item = NewItem(
        "x",
        title="The End",
        content={"length": 130},
        vector=[0.5, -1.0],
        price=np.e - 1,
        shelf=3,
        special=True,
    )
    unknown = NewItem("y", content={"length": None, "war": 1}, vector=[0, 0], shelf=1)
    for place, one in enumerate((item, unknown)):
        ENCODER.check(place, one, frozenset())
    table, facts = ENCODER.table([item, unknown], np.array([4, 6]))
    assert table.content[[4, 6]].tolist() == [[0.0, 2.0], [1.0, 0.0]]
    assert table.vectors[[4, 6]].tolist() == [[0.5, -1.0], [0.0, 0.0]]
    assert table.titles[[4, 6]].tolist() == ["The End", ""]
    # the logarithm of 1 + price, shelf 1, shelf 3, special
    np.testing.assert_allclose(facts[4], [1.0, 0.0, 1.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(facts[6], [np.log(8.0), 1.0, 0.0, 0.0], rtol=1e-6)
    assert not table.content[5].any()


@pytest.mark.parametrize(
    ("shelf", "shelves"), [(None, frozenset()), (2, frozenset()), (3, frozenset({1, 2}))]
)
def test_an_item_lies_on_a_shelf_of_the_slates_or_of_the_facts(
    shelf: int | None, shelves: frozenset[int]
) -> None:
    item = NewItem("x", content={"length": 130}, vector=[0.5, -1.0], shelf=shelf)
    with pytest.raises(RequestError, match=r"new\.4\.shelf"):
        ENCODER.check(4, item, shelves)


def test_an_encoder_survives_json() -> None:
    assert ItemEncoder.from_dict(ENCODER.to_dict()) == ENCODER
