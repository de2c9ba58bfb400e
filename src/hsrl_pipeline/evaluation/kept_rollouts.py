"""Policies rolled out on simulators; sessions of those that do not learn are kept and reused."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hsrl_pipeline.agents.base import Policy
from hsrl_pipeline.atomic import staged_path
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting, SessionRecords, evaluate_policy
from hsrl_pipeline.progress import Progress
from hsrl_pipeline.simulator.slate_env import Response

logger = logging.getLogger(__name__)


class ReferenceRecords(Protocol):
    """Where the sessions of references are kept."""

    def load(self, name: str) -> SessionRecords | None:
        """Return the sessions kept under a name, or None when there are none."""
        ...

    def save(self, name: str, records: SessionRecords) -> None:
        """Keep sessions under a name."""
        ...


class NothingKept:
    """Keeps nothing, so that every reference is rolled out."""

    def load(self, name: str) -> None:
        """Return None."""

    def save(self, name: str, records: SessionRecords) -> None:
        """Do nothing."""


NOTHING_KEPT = NothingKept()
"""For evaluations that keep no sessions."""


class FileReferenceRecords:
    """One file of arrays per reference, simulator and everything their sessions depend on.

    A file that can't be read counts as missing: what it held is rolled out again.

    Args:
        folder: The folder; made when needed. It may be deleted at any time.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    def load(self, name: str) -> SessionRecords | None:
        """Return the sessions kept under a name, or None when there are none."""
        path = self._folder / f"{name}.npz"
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                columns = {field.name: arrays[field.name] for field in fields(SessionRecords)}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            logger.warning("%s can't be read and is made anew: %s", path, error)
            return None
        return SessionRecords(**columns | {"slate_size": int(columns["slate_size"])})

    def save(self, name: str, records: SessionRecords) -> None:
        """Keep sessions under a name; the file appears complete or not at all."""
        columns: dict[str, Any] = {
            field.name: np.asarray(getattr(records, field.name)) for field in fields(records)
        }
        with staged_path(self._folder / f"{name}.npz") as staging, staging.open("wb") as file:
            np.savez_compressed(file, **columns)


class KeptRollouts:
    """Says under which name the sessions of a policy on a simulator are kept, if they are.

    Args:
        store: Where they are kept.
        policies: Names of the policies whose sessions are kept: those that depend on nothing but
            the facts.
        facts: All that their sessions depend on; its ``repr`` must tell it from any other.
    """

    def __init__(self, store: ReferenceRecords, policies: Collection[str], facts: object) -> None:
        self._store = store
        self._policies = frozenset(policies)
        self._version = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def load(self, policy: str, simulator: str) -> SessionRecords | None:
        """Return the sessions of a policy on a simulator, or None when they are not known."""
        if policy not in self._policies:
            return None
        return self._store.load(f"{policy}-{simulator}-{self._version}")

    def save(self, policy: str, simulator: str, records: SessionRecords) -> None:
        """Keep sessions, unless the policy is none of those that are kept."""
        if policy in self._policies:
            self._store.save(f"{policy}-{simulator}-{self._version}", records)


def roll_out(
    policies: Mapping[str, Callable[[], Policy]],
    responses: Mapping[str, Response],
    setting: EvaluationSetting,
    kept: KeptRollouts,
) -> dict[tuple[str, str], SessionRecords]:
    """Roll every policy out on every simulator, in the same sessions.

    What is kept is not rolled out again: sessions, draws and code are the same, so the records
    would be.

    Args:
        policies: What makes each policy, by name; called when it has to be rolled out.
        responses: Simulators by name.
        setting: What all policies share.
        kept: Sessions rolled out earlier.

    Returns:
        Records by (policy, simulator).
    """
    pairs = [(policy, simulator) for policy in policies for simulator in responses]
    known = {pair: kept.load(*pair) for pair in pairs}
    missing = sum(records is None for records in known.values())
    rolled_out: dict[tuple[str, str], SessionRecords] = {}
    with Progress("Evaluating", missing * setting.n_episodes, unit="sessions") as progress:
        for policy, simulator in pairs:
            records = known[policy, simulator]
            if records is None:
                acting, response = policies[policy](), responses[simulator]
                records = evaluate_policy(acting, response, setting, progress)
                kept.save(policy, simulator, records)
            rolled_out[policy, simulator] = records
    return rolled_out
