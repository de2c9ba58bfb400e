"""What a run has to say, on its way to the store: sent from beside the loop, kept while it is away.

While the store does not answer, entries go to a file of the run, so memory stays small and nothing
is lost with the process. They are sent as soon as the store answers again, or by the next run.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsrl_pipeline.atomic import staged_path
from hsrl_pipeline.tracking.delivery import deliver
from hsrl_pipeline.tracking.processes import is_gone, process_identity
from hsrl_pipeline.tracking.store import shown_uri

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

logger = logging.getLogger(__name__)

KEPT = "mlflow.db.kept"
SECONDS_BETWEEN_TRIES = 5.0
LONGEST_QUEUE = 100
"""Entries that wait in memory while one is being sent; more go to the file."""


class Outbox:
    """Sends the entries of a run in order from a thread of its own.

    Args:
        client: Client of the store.
        project: The project's root; entries are kept below it.
        run_id: The run they belong to.
    """

    def __init__(self, client: MlflowClient, project: Path, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._store = shown_uri(project)
        self._folder = kept_folder(project) / run_id
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._file = self._folder / f"{self._process}.jsonl"
        self._waiting: deque[dict[str, Any]] = deque()
        self._changed = threading.Condition()
        self._kept = 0
        self._busy = False
        self._said_away = False
        self._said_lost = False
        self._last_try = 0.0
        threading.Thread(target=self._work, name="tracking", daemon=True).start()

    def put(self, entry: dict[str, Any]) -> None:
        """Take an entry at no cost to the caller.

        Args:
            entry: ``kind`` and what belongs to it, of types that JSON knows.
        """
        if os.getpid() != self._process:  # a forked worker has no thread
            self._start()
        with self._changed:
            if len(self._waiting) >= LONGEST_QUEUE:
                self._keep(entry)
            else:
                self._waiting.append(entry)
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait until everything is sent, or until the store is known to be away.

        Args:
            seconds: Longest time to wait.

        Returns:
            Whether everything is sent.
        """
        if os.getpid() != self._process:
            return True
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._busy, seconds)
            return not self._waiting and not self._busy and not self._kept

    def close(self, seconds: float) -> None:
        """Try once more to send what is kept, and say where the rest lies.

        Args:
            seconds: Longest time to wait.
        """
        self._last_try = 0.0
        with self._changed:
            self._changed.notify_all()
        deadline = time.monotonic() + seconds
        while not self.wait(0.2) and time.monotonic() < deadline:
            if self._kept and self._last_try > 0.0 and not self._busy and not self._waiting:
                break
        with self._changed:
            while self._waiting:
                self._keep(self._waiting.popleft())
        if self._kept:
            logger.warning(
                "The store of runs did not answer again. %d entries of this run are kept in %s;"
                " the next run or `make ui` sends them",
                self._kept,
                self._folder,
            )

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._waiting or (self._kept and self._is_time()), 0.5
                )
                entry = self._waiting.popleft() if self._waiting else None
                self._busy = entry is not None or bool(self._kept and self._is_time())
            if self._kept and self._is_time():
                self._send_kept()
            if entry is not None:
                self._send(entry)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _is_time(self) -> bool:
        return time.monotonic() - self._last_try >= SECONDS_BETWEEN_TRIES

    def _send(self, entry: dict[str, Any]) -> None:
        if not self._kept and deliver(self._client, self._run_id, entry):
            return
        with self._changed:
            self._keep(entry)

    def _keep(self, entry: dict[str, Any]) -> None:
        """Write an entry to the file, and copy what it names: the next run replaces that."""
        if not self._said_away:
            self._said_away = True
            logger.warning(
                "The store of runs does not answer (%s). The run goes on; its figures are kept in"
                " %s and sent when it answers again",
                self._store,
                self._folder,
            )
        if not self._kept:
            self._last_try = time.monotonic()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if "path" in entry:
                source = Path(entry["path"])
                copy = self._folder / f"{self._process}-{self._kept}" / source.name
                copy.parent.mkdir()
                (shutil.copytree if source.is_dir() else shutil.copy2)(source, copy)
                entry = {**entry, "path": str(copy)}
            with self._file.open("a") as file:
                if file.tell() == 0:
                    header = {"process": process_identity(), "store": self._store}
                    file.write(json.dumps(header) + "\n")
                file.write(json.dumps(entry) + "\n")
            self._kept += 1
        except OSError as error:
            if not self._said_lost:
                self._said_lost = True
                logger.error("Figures of this run are lost, they can't be kept either: %s", error)

    def _send_kept(self) -> None:
        with self._changed:
            count, self._kept = self._kept, 0
            try:
                kept = self._file.rename(self._file.with_suffix(".sending"))
            except OSError as error:
                logger.error("%d kept entries of this run are lost: %s", count, error)
                return
        rest = send_file(self._client, self._run_id, kept)
        with self._changed:
            self._last_try = time.monotonic()
            if rest == 0:
                if not self._kept:
                    shutil.rmtree(self._folder, ignore_errors=True)
                    logger.warning("The store of runs answers again: %d entries sent", count)
                    self._said_away = False
                return
            newer = self._file.read_text().split("\n", 1)[1] if self._file.exists() else ""
            with kept.open("a") as file:
                file.write(newer)
            kept.rename(self._file)
            self._kept += rest


def kept_folder(project: Path) -> Path:
    """Return the folder of entries that could not be sent; below data/ if the root is read-only.

    Args:
        project: The project's root.
    """
    root = project.resolve()
    return (root if os.access(root, os.W_OK) else root / "data") / KEPT


def send_file(client: MlflowClient, run_id: str, file: Path) -> int:
    """Send the entries of a file; what could not be sent stays in it.

    Args:
        client: Client of the store.
        run_id: The run they belong to.
        file: A header, then one entry a line.

    Returns:
        Number of entries that stay.
    """
    header, *lines = file.read_text().splitlines()
    for index, line in enumerate(lines):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue  # the process was killed while it wrote its last line
        if not deliver(client, run_id, entry):
            with staged_path(file) as rest:
                rest.write_text("\n".join([header, *lines[index:]]) + "\n")
            return len(lines) - index
    file.unlink()
    return 0


def send_kept_runs(client: MlflowClient, project: Path) -> int:
    """Send what runs of ended processes could not send.

    Args:
        client: Client of the store, which answers.
        project: The project's root.

    Returns:
        Number of files that were sent.
    """
    sent = 0
    for file in sorted(kept_folder(project).glob("*/*.*")):
        if file.suffix not in (".jsonl", ".sending"):
            continue
        header = json.loads(file.open().readline())
        if header["store"] != shown_uri(project) or not is_gone(header["process"]):
            continue
        if send_file(client, file.parent.name, file) == 0:
            sent += 1
            logger.info("Figures kept of run %s are sent", file.parent.name)
            if not [*file.parent.glob("*.jsonl"), *file.parent.glob("*.sending")]:
                shutil.rmtree(file.parent)
    return sent
