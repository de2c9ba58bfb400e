"""Items that share a prefix, with their titles: what the codes mean to a reader."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hsrl_pipeline.semantic_ids.code_trie import CodeTrie
from hsrl_pipeline.semantic_ids.codebook import NO_CODE, Codebook

PREFIXES_PER_LEVEL = 8
"""Prefixes shown per level, from the largest group to the smallest."""

ITEMS_PER_PREFIX = 6
"""Items shown per prefix."""


def list_prefix_examples(codebook: Codebook, items: pd.DataFrame) -> pd.DataFrame:
    """Return items that share their first codes, on every level.

    Args:
        codebook: Semantic IDs.
        items: Canonical table; ``title`` may be missing, the user's own id is shown then.

    Returns:
        Columns ``level`` (codes shared), ``prefix`` (``"12-7"``), ``n_items`` (under the prefix),
        ``item_index``, ``semantic_id``, ``title``. Prefixes with a single item are left out.
    """
    parts = [_examples_of_level(codebook, depth) for depth in range(1, codebook.n_levels + 1)]
    examples = pd.concat(parts, ignore_index=True)
    named = items.set_index("item_index")
    names = named["title"].astype(object).where(named["title"].notna(), named["item_id"])
    examples["title"] = examples["item_index"].map(names)
    return examples


def _examples_of_level(codebook: Codebook, depth: int) -> pd.DataFrame:
    """Return the examples of prefixes with ``depth`` codes."""
    columns = ["level", "prefix", "n_items", "item_index", "semantic_id"]
    live = codebook.codes[:, 0] != NO_CODE
    if not live.any():
        return pd.DataFrame(columns=columns)
    prefixes = np.where(live[:, None], codebook.codes[:, :depth], NO_CODE)
    trie = CodeTrie(prefixes, codebook.vocab_sizes[:depth])
    items = trie.leaf_items.numpy()
    counts = trie.get_buffer(f"n_children_{depth + 1}").numpy()
    ends = counts.cumsum()
    order = np.argsort(-counts, kind="stable")
    spread = order[: int((counts > 1).sum())]
    at = np.unique(np.linspace(0, max(len(spread) - 1, 0), PREFIXES_PER_LEVEL).astype(int))
    rows = []
    for leaf in spread[at] if len(spread) else []:
        start, end = ends[leaf] - counts[leaf], ends[leaf]
        for item in items[start : min(end, start + ITEMS_PER_PREFIX)]:
            rows.append(
                {
                    "level": depth,
                    "prefix": _written(codebook.codes[item, :depth]),
                    "n_items": int(end - start),
                    "item_index": int(item),
                    "semantic_id": _written(codebook.codes[item]),
                }
            )
    return pd.DataFrame(rows, columns=columns)


def _written(codes: np.ndarray) -> str:
    """Return codes as text, ``"12-7-33"``."""
    return "-".join(str(code) for code in codes)
