"""Policies rolled out on simulators; sessions of those that do not learn are kept and reused."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.agents.base import Policy
from hsrl_pipeline.atomic import staged_path
from hsrl_pipeline.evaluation.rollouts import EvaluationSetting, evaluate_policy
from hsrl_pipeline.evaluation.session_records import SessionRecords
from hsrl_pipeline.progress import Progress
from hsrl_pipeline.simulator.response.protocol import Response

logger = logging.getLogger(__name__)


class ReferenceRecords(Protocol):
    """Where the sessions of references are kept, and what it took long to fit for them."""

    def load(self, name: str) -> SessionRecords | None:
        """Return the sessions kept under a name, or None when there are none."""
        ...

    def save(self, name: str, records: SessionRecords) -> None:
        """Keep sessions under a name."""
        ...

    def load_array(self, name: str) -> NDArray[np.float32] | None:
        """Return the array kept under a name, or None when there is none."""
        ...

    def save_array(self, name: str, array: NDArray[np.float32]) -> None:
        """Keep an array under a name."""
        ...


class NothingKept:
    """Keeps nothing, so that every reference is rolled out."""

    def load(self, name: str) -> None:
        """Return None."""

    def save(self, name: str, records: SessionRecords) -> None:
        """Do nothing."""

    def load_array(self, name: str) -> None:
        """Return None."""

    def save_array(self, name: str, array: NDArray[np.float32]) -> None:
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
        columns = self._read(name, [field.name for field in fields(SessionRecords)])
        if columns is None:
            return None
        sizes: dict[str, Any] = {"slate_size": int(columns["slate_size"])}
        return SessionRecords(**columns | sizes)

    def save(self, name: str, records: SessionRecords) -> None:
        """Keep sessions under a name; the file appears complete or not at all."""
        columns: dict[str, Any] = {
            field.name: np.asarray(getattr(records, field.name)) for field in fields(records)
        }
        self._write(name, columns)

    def load_array(self, name: str) -> NDArray[np.float32] | None:
        """Return the array kept under a name, or None when there is none."""
        columns = self._read(name, ["array"])
        return None if columns is None else columns["array"]

    def save_array(self, name: str, array: NDArray[np.float32]) -> None:
        """Keep an array under a name; the file appears complete or not at all."""
        self._write(name, {"array": array})

    def _read(self, name: str, columns: Sequence[str]) -> dict[str, NDArray[Any]] | None:
        path = self._folder / f"{name}.npz"
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return {column: arrays[column] for column in columns}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            logger.warning("%s can't be read and is made anew: %s", path, error)
            return None

    def _write(self, name: str, columns: Mapping[str, Any]) -> None:
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

    def array(self, name: str, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return an array that depends on nothing but the facts, made if it is not kept.

        Args:
            name: Name of the array.
            make: Makes it.
        """
        kept = self._store.load_array(f"{name}-{self._version}")
        if kept is None:
            kept = make()
            self._store.save_array(f"{name}-{self._version}", kept)
        return kept


KEEPS_NOTHING = KeptRollouts(NOTHING_KEPT, (), ())
"""For references that are used once."""


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
