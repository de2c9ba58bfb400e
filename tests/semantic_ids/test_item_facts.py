from __future__ import annotations

import numpy as np
import pandas as pd

from hsrl_pipeline.semantic_ids.item_facts import collect_facts


def test_price_shelf_and_flag_become_columns() -> None:
    items = pd.DataFrame(
        {
            "item_index": [2, 1, 3],
            "price": [np.e - 1, 0.0, None],
            "shelf": np.array([1, 3, 3], np.int8),
            "special": np.array([0, 1, 0], np.int8),
        }
    )
    median = np.log1p((np.e - 1) / 2)
    np.testing.assert_allclose(
        collect_facts(items),
        [[0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 0, 0], [median, 0, 1, 0]],
        rtol=1e-6,
    )


def test_tables_without_such_columns_have_no_facts() -> None:
    items = pd.DataFrame({"item_index": [1, 2], "price": [None, None]})
    assert collect_facts(items).shape == (3, 0)
