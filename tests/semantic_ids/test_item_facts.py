from __future__ import annotations

import json

import numpy as np
import pandas as pd

from hsrl_pipeline.semantic_ids.item_facts import FactColumns


def make_items() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_index": [2, 1, 3],
            "price": [np.e - 1, 0.0, None],
            "shelf": np.array([1, 3, 3], np.int8),
            "special": np.array([0, 1, 0], np.int8),
        }
    )


def test_price_shelf_and_flag_become_columns() -> None:
    items = make_items()
    median = np.log1p((np.e - 1) / 2)
    np.testing.assert_allclose(
        FactColumns.fit(items).table(items),
        [[0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 0, 0], [median, 0, 1, 0]],
        rtol=1e-6,
    )


def test_tables_without_such_columns_have_no_facts() -> None:
    items = pd.DataFrame({"item_index": [1, 2], "price": [None, None]})
    assert FactColumns.fit(items).table(items).shape == (3, 0)


def test_columns_are_fitted_on_known_items_and_serve_for_others() -> None:
    items = make_items()
    facts = FactColumns.fit(items, np.array([False, True, False, True]))

    assert facts == FactColumns(median_price=0.0, shelves=(3,), has_special=True)
    np.testing.assert_allclose(
        facts.table(items), [[0, 0, 0], [0, 1, 1], [1, 0, 0], [0, 1, 0]], rtol=1e-6
    )
    assert FactColumns.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts
