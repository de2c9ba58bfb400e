from __future__ import annotations

import numpy as np
import pandas as pd

from hsrl_pipeline.semantic_ids.codebook import Codebook
from hsrl_pipeline.semantic_ids.nearest import LevelCentroids
from hsrl_pipeline.semantic_ids.reports.examples import list_prefix_examples
from hsrl_pipeline.semantic_ids.residual_quantizer import ResidualQuantizer


def make_codebook(codes: list[list[int]]) -> Codebook:
    centroids = np.arange(4, dtype=np.float32)[:, None]
    quantizer = ResidualQuantizer((LevelCentroids.plain(centroids),) * 2)
    return Codebook(quantizer, np.array([[-1, -1], *codes]), (4, 4), "keep")


def make_items(n_items: int, titles: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_index": np.arange(1, n_items + 1),
            "item_id": [f"id{k}" for k in range(1, n_items + 1)],
            "title": titles,
        }
    )


def test_items_of_a_prefix_are_listed_with_their_titles() -> None:
    codebook = make_codebook([[0, 0], [0, 0], [0, 1], [1, 0]])
    table = list_prefix_examples(codebook, make_items(4, ["A", None, "C", "D"]))
    assert table.to_dict("list") == {
        "level": [1, 1, 1, 2, 2],
        "prefix": ["0", "0", "0", "0-0", "0-0"],
        "n_items": [3, 3, 3, 2, 2],
        "item_index": [1, 2, 3, 1, 2],
        "semantic_id": ["0-0", "0-0", "0-1", "0-0", "0-0"],
        "title": ["A", "id2", "C", "A", "id2"],
    }


def test_unique_codes_give_no_example_on_the_last_level() -> None:
    codebook = make_codebook([[0, 0], [1, 1]])
    assert list_prefix_examples(codebook, make_items(2, ["A", "B"])).empty
