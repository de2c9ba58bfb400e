"""Time of an answer over HTTP, and requests a second beside ``mlflow models serve``.

The model is that of the benchmark ``serving``. Both servers are processes of their own on 127.0.0.1
with one worker and hold the same model, as ``kedro register`` enters it. Clients are threads of
this process that ask one request after the other over connections that stay open. Rounds of both
servers alternate, so that what else the machine does falls on both.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.bench_serving import SLATE, make_recommender, make_requests
from benchmarks.bench_training import SMALL
from benchmarks.report import BenchmarkLine
from benchmarks.serving_times import BARS, CANDIDATES
from hsrl_pipeline.serving.ab.arm_server import ArmServer
from hsrl_pipeline.serving.requests import RecommendRequest
from hsrl_pipeline.serving.served_model import ServedModel
from hsrl_pipeline.serving.server import HOST
from hsrl_pipeline.tracking.registry import register
from hsrl_pipeline.tracking.store import tracking_uri

THREADS = (1, 2)
ASKED, CLIENTS = 300, (1, 8)
ROUNDS, SECONDS = 5, 3.0
LEAST_RATIO = 3.0
SECONDS_TO_START = 300.0
SESSION, USER_TIME, SYSTEM_TIME = 3, 11, 12
"""Columns of /proc/PID/stat after the name; processor times are read on Linux alone."""


class Client:
    """A connection to a server that stays open.

    Args:
        port: Port on 127.0.0.1.
        path: Path that is asked.
    """

    def __init__(self, port: int, path: str) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=60.0)
        self._path = path

    def ask(self, body: bytes) -> Any:
        """Return the answer to a body.

        Raises:
            RuntimeError: It is none.
        """
        headers = {"content-type": "application/json"}
        self._connection.request("POST", self._path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(f"{self._path} answered {response.status}: {content[:500]!r}")
        return json.loads(content)


def run() -> list[BenchmarkLine]:
    """Return the figures against their bars."""
    model = make_recommender(SMALL).model
    with TemporaryDirectory(prefix="hsrl-bench-") as folder:
        return [*_latencies(model, Path(folder)), *_beside_mlflow(model, Path(folder))]


def _latencies(model: ServedModel, folder: Path) -> Iterator[BenchmarkLine]:
    asked = {
        "candidates": (f"score_{CANDIDATES}_candidates", make_requests(SMALL, ASKED, CANDIDATES)),
        "small": (f"search_{SMALL}_items", make_requests(SMALL, ASKED)),
    }
    for threads in THREADS:
        with ArmServer("A", model, folder, None, threads=threads) as server:
            client = Client(server.port, "/recommend")
            for key, (name, requests) in asked.items():
                times = []
                for request in requests:
                    body = _own_body(request)
                    started = time.perf_counter()
                    client.ask(body)
                    times.append(1e3 * (time.perf_counter() - started))
                yield BenchmarkLine(
                    f"serving_http.{name}_{threads}_threads_p99",
                    float(np.percentile(times, 99)),
                    "ms",
                    f"median {np.median(times):.3g} ms; bar in process {BARS[key]:g} ms",
                    float(np.percentile(times, 99)) / BARS[key],
                )


def _beside_mlflow(model: ServedModel, folder: Path) -> Iterator[BenchmarkLine]:
    requests = make_requests(SMALL, 50)
    own = [_own_body(request) for request in requests]
    theirs = [json.dumps({"dataframe_records": [json.loads(body)]}).encode() for body in own]
    with (
        ArmServer("A", model, folder, None) as server,
        _mlflow_server(model, folder) as (port, their_pids),
    ):
        ask_own = [Client(server.port, "/recommend").ask for _ in range(max(CLIENTS))]
        ask_theirs = [Client(port, "/invocations").ask for _ in range(max(CLIENTS))]
        own_pids = [process.pid for process in multiprocessing.active_children() if process.pid]
        for one, other in zip(own, theirs, strict=True):
            same = ask_own[0](one)["items"] == ask_theirs[0](other)["predictions"][0]["items"]
            if not same:
                raise RuntimeError("the two servers answer one request differently")
        for clients in CLIENTS:
            counts, spent = np.zeros(2), np.zeros(2)
            for _ in range(ROUNDS):
                for place, (askers, bodies, pids) in enumerate(
                    ((ask_own, own, own_pids), (ask_theirs, theirs, their_pids))
                ):
                    before = _processor_seconds(pids)
                    counts[place] += _answered(askers[:clients], bodies)
                    spent[place] += _processor_seconds(pids) - before
            rates, each = counts / (ROUNDS * SECONDS), 1e3 * spent / counts
            yield BenchmarkLine(
                f"serving_http.requests_per_second_{clients}_clients",
                float(rates[0]),
                "requests/s",
                f"mlflow models serve {rates[1]:.3g} in alternating rounds, bar {LEAST_RATIO:g}",
                float(rates[0] / rates[1]),
            )
            if not spent.all():
                continue
            yield BenchmarkLine(
                f"serving_http.server_processor_time_{clients}_clients",
                float(each[0]),
                "ms/request",
                f"mlflow models serve {each[1]:.3g}",
                float(each[0] / each[1]),
            )


def _own_body(request: RecommendRequest) -> bytes:
    body = {"history": request.history, "n": SLATE}
    return json.dumps(
        body | ({"candidates": request.candidates} if request.candidates else {})
    ).encode()


def _answered(askers: list[Callable[[bytes], Any]], bodies: list[bytes]) -> int:
    """Return how many requests clients that ask at the same time get answered in one round."""
    end = time.perf_counter() + SECONDS

    def ask_until_the_end(ask: Callable[[bytes], Any]) -> int:
        count = 0
        while time.perf_counter() < end:
            ask(bodies[count % len(bodies)])
            count += 1
        return count

    with ThreadPoolExecutor(len(askers)) as pool:
        return sum(pool.map(ask_until_the_end, askers))


@contextmanager
def _mlflow_server(model: ServedModel, folder: Path) -> Iterator[tuple[int, list[int]]]:
    """Register the model in a store of its own and serve it as MLflow does; give port and pids."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    made = register(folder, model, pd.DataFrame(), dataset="benchmark", tags={})
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", made.uri]
    command += ["--env-manager", "local", "--host", HOST, "--port", str(port), "--workers", "1"]
    # mlflow calls uvicorn by its name
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    own = {"MLFLOW_TRACKING_URI": tracking_uri(folder), "OMP_NUM_THREADS": "1", "PATH": path}
    with (folder / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=os.environ | own,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                told = (folder / "mlflow.log").read_text()[-2000:]
                raise RuntimeError(f"mlflow models serve did not start: {told}")
            time.sleep(0.2)
        yield port, [pid for pid in _pids() if _stat(pid)[SESSION] == str(process.pid)]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 15)  # mlflow starts its server as a process of its own
        process.wait()


def _pids() -> list[int]:
    if not Path("/proc").is_dir():
        return []
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """Return what Linux tells of a process after its name; empty columns for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["0"] * 50


def _processor_seconds(pids: list[int]) -> float:
    ticks = sum(int(_stat(pid)[USER_TIME]) + int(_stat(pid)[SYSTEM_TIME]) for pid in pids)
    return ticks / os.sysconf("SC_CLK_TCK")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5.0)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
