"""What persisted data was made from, and the refusal of data made from something else since.

Every artifact carries its own version, the versions of its sources, or both. A source's version
stands under the source's field: ``dataset_version`` says of which dataset.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from hsrl_pipeline.errors import UserError

VERSION = "version"

SOURCES = {
    "dataset_info": ("dataset_version", "dataset version"),
    "item_vectors": ("item_vectors_version", "item vectors version"),
    "codebook": ("codebook_version", "codebook version"),
    "simulator_train": ("simulator_train_version", "training simulator version"),
    "catalogue_schedule": ("catalogue_schedule_version", "catalogue schedule version"),
    "launch_item_vectors": ("item_vectors_version", "launch item vectors version"),
    "launch_codebook": ("codebook_version", "launch codebook version"),
}
"""What others are made from: the field that names its version, and how a message names it."""

DATASET_VERSION = SOURCES["dataset_info"][0]


class Origin(NamedTuple):
    """Where an artifact comes from.

    Attributes:
        pipeline: The pipeline that makes it.
        sources: Catalog names of what it is made from; it must say which versions.
        later_sources: Sources whose versions files of earlier releases do not say; compared where
            they are said.
    """

    pipeline: str
    sources: tuple[str, ...] = ()
    later_sources: tuple[str, ...] = ()


OF_DATASET = ("dataset_info",)
OF_LAUNCH = (*OF_DATASET, "catalogue_schedule")
OF_ALL_LAUNCHED = (*OF_LAUNCH, "launch_item_vectors", "launch_codebook")
OF_MOVING_RUN = (*OF_ALL_LAUNCHED, "simulator_train")

ORIGINS = {
    "users": Origin("ingestion", later_sources=OF_DATASET),
    "items": Origin("ingestion", later_sources=OF_DATASET),
    "recorded_answers": Origin("ingestion", later_sources=OF_DATASET),
    "propensities": Origin("ingestion", later_sources=OF_DATASET),
    "synthetic_truth": Origin("ingestion", later_sources=OF_DATASET),
    "item_vectors": Origin("sid_tokenization", OF_DATASET),
    "item_vectorizer": Origin("sid_tokenization", (*OF_DATASET, "item_vectors")),
    "codebook": Origin("sid_tokenization", OF_DATASET, ("item_vectors",)),
    "item_priors": Origin("sid_tokenization", later_sources=OF_DATASET),
    "simulator_train": Origin("simulator_training", OF_DATASET),
    "simulator_eval": Origin("simulator_training", OF_DATASET),
    "catalogue_schedule": Origin("moving_catalogue", (*OF_DATASET, "simulator_train")),
    "launch_item_vectors": Origin("moving_catalogue", OF_LAUNCH),
    "launch_item_vectorizer": Origin("moving_catalogue", (*OF_LAUNCH, "launch_item_vectors")),
    "launch_codebook": Origin("moving_catalogue", (*OF_LAUNCH, "launch_item_vectors")),
    "launch_item_priors": Origin("moving_catalogue", OF_LAUNCH),
    "arriving_items": Origin("moving_catalogue", OF_ALL_LAUNCHED),
    "catalogue_changes": Origin("moving_catalogue", OF_ALL_LAUNCHED),
    "launch_response": Origin("moving_catalogue", OF_LAUNCH),
    "timetable_training": Origin("moving_training", later_sources=OF_MOVING_RUN),
    "timetable_serving": Origin("moving_training", later_sources=OF_MOVING_RUN),
    "timetable_retraining": Origin("moving_training", later_sources=OF_MOVING_RUN),
    "trained_policy": Origin(
        "agent_training", ("dataset_info", "codebook"), ("item_vectors", "simulator_train")
    ),
}
"""Artifacts by catalog name, in the order in which the pipelines make them."""

KNOWN = frozenset((*ORIGINS, *SOURCES))
"""Catalog names of all data whose versions are compared."""

DESCRIPTIVE = (VERSION, "settings", "holdout")
"""Fields of a checkpoint that say how it came about; what came about is in the others."""


def checkpoint_version(checkpoint: Mapping[str, Any]) -> str:
    """Return a hash of what a checkpoint is: 12 hexadecimal digits.

    Args:
        checkpoint: ``{"config": ..., "state": ...}``.
    """
    config = {k: value for k, value in checkpoint["config"].items() if k not in DESCRIPTIVE}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(checkpoint["state"]):
        array = np.ascontiguousarray(np.asarray(checkpoint["state"][name]))
        digest.update(f"{name}{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:12]


def with_provenance(checkpoint: Mapping[str, Any], dataset_version: str) -> dict[str, Any]:
    """Return a checkpoint that carries its dataset's version and its own.

    Args:
        checkpoint: ``{"config": ..., "state": ...}``.
        dataset_version: Version of the dataset it was made from.
    """
    config = {**checkpoint["config"], DATASET_VERSION: dataset_version}
    marked = {"config": config, "state": checkpoint["state"]}
    config[VERSION] = checkpoint_version(marked)
    return marked


def provenance_of(data: Any) -> Mapping[str, Any]:
    """Return the versions that loaded data carries.

    Args:
        data: A checkpoint, a codebook, a data frame with ``attrs``, or the ``dataset_info``.
    """
    if isinstance(data, Mapping):
        config: Mapping[str, Any] = data.get("config", data)
        return config
    facts = getattr(data, "attrs", None)
    if facts is None:
        facts = {**getattr(data, "metadata", {}), VERSION: getattr(data, VERSION, None)}
    return dict(facts)


def check_provenance(facts: Mapping[str, Mapping[str, Any]], options: str = "") -> None:
    """Refuse data that does not belong together.

    Args:
        facts: `provenance_of` each piece of data, by catalog name; others than those of
            ``ORIGINS`` and ``SOURCES`` do not matter.
        options: Options for the command in the message, with a space before each.

    Raises:
        UserError: Something was made from another version of something else, or does not say from
            which; names all such data and the pipelines to run first.
    """
    stale: dict[tuple[str, str | None], list[str]] = {}
    for name, origin in ORIGINS.items():
        for source in (*origin.sources, *origin.later_sources):
            if name in facts and source in facts:
                was = facts[name].get(SOURCES[source][0])
                unsaid = was is None and source in origin.later_sources
                if not unsaid and was != facts[source].get(VERSION):
                    stale.setdefault((source, was), []).append(name)
    if stale:
        raise _refusal(stale, facts, options)


def _refusal(
    stale: Mapping[tuple[str, str | None], list[str]],
    facts: Mapping[str, Mapping[str, Any]],
    options: str,
) -> UserError:
    """Return the message on stale artifacts by their source and its version that they say."""
    sentences = []
    for (source, was), names in stale.items():
        _, noun = SOURCES[source]
        listed = ", ".join(names)
        one = len(names) == 1
        made = f"{'was' if one else 'were'} made from"
        silent = "does not say" if one else "do not say"
        sentences.append(
            f"{listed} {made} {noun} {was}, this is {facts[source].get(VERSION)}"
            if was is not None
            else f"{listed} {silent} which {noun} {'it' if one else 'they'} {made}"
        )
    named = {name for names in stale.values() for name in names}
    makers = dict.fromkeys(o.pipeline for name, o in ORIGINS.items() if name in named)
    flag = "--pipeline" if len(makers) == 1 else "--pipelines"
    return UserError(
        "; ".join(sentences),
        remedy=f"Run first: kedro run {flag} {','.join(makers)}{options}",
    )
