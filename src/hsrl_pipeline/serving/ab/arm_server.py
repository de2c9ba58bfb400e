"""The server of one arm in a process of its own, and calls of it over HTTP."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import secrets
import signal
import socket
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from hsrl_pipeline.checkpoint import read_checkpoint, write_checkpoint
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.serving.ab.assignment import Arm
from hsrl_pipeline.serving.served_model import ServedModel
from hsrl_pipeline.serving.server import HOST

SECONDS_TO_START = 300.0
SECONDS_TO_STOP = 20.0
SECONDS_TO_ANSWER = 60.0
SECONDS_KEPT_OPEN = 600
"""A connection that waits for its next request is kept open so long."""


class ArmServer:
    """A server as ``kedro serve`` runs it, on a free port of 127.0.0.1, until the block is left.

    Args:
        arm: The arm.
        model: What it serves.
        folder: Where the model's file is written.
        events: Folder of the events of served slates; None keeps none, and takes feedback for a
            policy that follows clicks alone.
        explore: Draw items by their scores instead of taking the best.
        threads: Threads of one answer.
    """

    def __init__(
        self,
        arm: Arm,
        model: ServedModel,
        folder: Path,
        events: Path | None,
        *,
        explore: bool = False,
        threads: int = 1,
    ) -> None:
        self.arm = arm
        self.model = model
        self.gone: frozenset[str] = frozenset()
        self._file = folder / f"{arm}.safetensors"
        self._events = events
        self._explore = explore
        self._token = secrets.token_hex(16)
        self._threads = threads
        self.port = 0
        self._process: SpawnProcess | None = None
        self._connections = threading.local()

    def __enter__(self) -> Self:
        write_checkpoint(self._file, self.model.to_checkpoint())
        context = multiprocessing.get_context("spawn")
        receiving, sending = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_serve,
            args=(self._file, sending),
            kwargs={
                "events": self._events,
                "explore": self._explore,
                "threads": self._threads,
                "token": self._token,
            },
            daemon=True,
        )
        self._process.start()
        sending.close()
        try:
            if not receiving.poll(SECONDS_TO_START):
                raise EOFError
            told = receiving.recv()
            if isinstance(told, str):
                self._stop()
                raise UserError(f"The model of arm {self.arm} can't be served: {told}")
            self.port = told
            self._wait_until_ready()
        except (EOFError, ConnectionError) as error:
            self._stop()
            raise self._ended("did not start") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and content of an answer; every thread has a connection of its own.

        Args:
            method: ``GET`` or ``POST``.
            path: Path of the call.
            body: JSON-able body; None for none.

        Raises:
            OSError: The server does not answer.
            http.client.HTTPException: What it answers is no HTTP.
        """
        connection = getattr(self._connections, "open", None)
        if connection is None:
            connection = http.client.HTTPConnection(HOST, self.port, timeout=SECONDS_TO_ANSWER)
            self._connections.open = connection
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token}"}
        try:
            raw = None if body is None else json.dumps(body).encode()
            connection.request(method, path, raw, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self._connections.open = None
            raise
        if response.headers.get_content_type() == "application/json":
            return response.status, json.loads(content)
        return response.status, content.decode()

    def refuse_ended(self) -> None:
        """Refuse to go on when the process has ended.

        Raises:
            UserError: It has.
        """
        if self._process is None or not self._process.is_alive():
            raise self._ended("ended during the test")

    def _ended(self, what: str) -> UserError:
        return UserError(
            f"The server of arm {self.arm} {what}",
            where=self.model.name,
            remedy="Its own message stands above. `kedro serve` with the same model shows whether "
            "it can be served at all.",
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            assert self._process is not None
            if not self._process.is_alive():
                break
            try:
                if self.call("GET", "/ready")[0] == 200:
                    return
            except OSError:  # it listens in a moment
                pass
            time.sleep(0.05)
        raise ConnectionError

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()  # the server ends in order and writes its events
        self._process.join(SECONDS_TO_STOP)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(
    file: Path,
    told: Connection,
    *,
    events: Path | None,
    explore: bool,
    threads: int,
    token: str,
) -> None:
    """Serve a model on a free port, which is told through a pipe, or why there is none."""
    import torch
    import uvicorn

    from hsrl_pipeline.serving.app import create_app
    from hsrl_pipeline.serving.event_log import EventLog
    from hsrl_pipeline.serving.recommender import Recommender

    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    try:
        recommender = Recommender(
            ServedModel.from_checkpoint(read_checkpoint(file)), explore=explore
        )
    except UserError as error:
        told.send(str(error))
        return
    log = None if events is None else EventLog(events)
    app = create_app(recommender, token=token, events=log)
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        told.send(listening.getsockname()[1])
        told.close()
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_keep_alive=SECONDS_KEPT_OPEN
        )
        uvicorn.Server(config).run(sockets=[listening])


def _end_with_parent() -> None:
    """End this server in order when the process that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
