"""New items get vector and semantic ID."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hsrl_pipeline.catalogue import CatalogueSchedule
from hsrl_pipeline.catalogue.schedule import Step
from hsrl_pipeline.config.sid import ItemVectorConfig, SidConfig
from hsrl_pipeline.semantic_ids.item_vectors import fit_item_vectors
from hsrl_pipeline.semantic_ids.publishing import publish_arrivals
from hsrl_pipeline.semantic_ids.tokenization import tokenize

from .small_log import N_ITEMS, make_items, make_log

LAUNCH = np.arange(1, 15)
FACTS = np.zeros((N_ITEMS + 1, 0), np.float32)


def schedule_of(*blocks: list[int]) -> CatalogueSchedule:
    steps = tuple(Step(np.array(block), np.array([1 + k])) for k, block in enumerate(blocks))
    return CatalogueSchedule(N_ITEMS, LAUNCH, steps, tuple(0.1 * k for k in range(len(blocks))))


def test_what_a_change_publishes_does_not_depend_on_later_changes() -> None:
    items, schedule = make_items(), schedule_of([20, 16], [1, 18])
    fitted = fit_item_vectors(
        items, make_log(), ItemVectorConfig(embedding_size=4), seed=0, known=schedule.launched
    )
    config = SidConfig(n_levels=2, vocab_size=5, n_restarts=1, balance="none")
    codebook = tokenize(fitted.vectors, config, seed=0, items=LAUNCH)

    made = publish_arrivals(schedule, items, FACTS, fitted.vectorizer, codebook)
    assert made.items.tolist() == [16, 20, 18]  # item 1 only returns
    codes = np.concatenate([codebook.codes[LAUNCH], made.codes])
    assert len(np.unique(codes, axis=0)) == len(codes) == 17

    first = publish_arrivals(
        schedule_of([20, 16], [21, 22]), items, FACTS, fitted.vectorizer, codebook
    )
    assert (first.codes[:2] == made.codes[:2]).all()
    content = items.content.copy()
    content[18] = 7.0
    other = publish_arrivals(
        schedule, replace(items, content=content), FACTS, fitted.vectorizer, codebook
    )
    assert (other.codes[:2] == made.codes[:2]).all()
    assert (other.item_vectors[:2] == made.item_vectors[:2]).all()
    assert (other.item_vectors[2] != made.item_vectors[2]).any()
