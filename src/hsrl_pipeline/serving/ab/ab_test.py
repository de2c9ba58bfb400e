"""The test itself: sessions of simulated users, each answered by the arm that its id belongs to."""

from __future__ import annotations

import http.client
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.progress import Progress
from hsrl_pipeline.serving.ab.arm_server import ArmServer
from hsrl_pipeline.serving.ab.assignment import ARMS, Arm, arm_of
from hsrl_pipeline.serving.ab.catalogue_moves import CatalogueMove, refuse_moves
from hsrl_pipeline.serving.ab.visitors import Visit, Visitors
from hsrl_pipeline.serving.served_model import ServedModel


class Server(Protocol):
    """What the test asks of the server of an arm.

    Attributes:
        gone: Own ids of items whose release was acknowledged.
    """

    gone: frozenset[str]

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and content of an answer."""
        ...

    def refuse_ended(self) -> None:
        """Refuse to go on when the server has ended."""
        ...


HTTP_TROUBLE = (OSError, http.client.HTTPException, ValueError)


@dataclass(frozen=True)
class MoveDone:
    """What became of a change of the catalogue at one arm.

    Attributes:
        sessions: Sessions that had begun when it was asked for.
        arm: The arm.
        added: Items that arrived.
        released: Items that left.
        seconds: From the request to the acknowledgement.
        version: Version that answers since.
        refused: Why nothing changed; empty where it did.
    """

    sessions: int
    arm: Arm
    added: int
    released: int
    seconds: float
    version: str
    refused: str = ""


@dataclass(frozen=True)
class AbRecords:
    """All that happened.

    Attributes:
        visits: In the order in which they began.
        moves: Changes of the catalogue, in the order in which they were acknowledged.
        server_metrics: Text of ``/metrics`` of each arm, at the end.
    """

    visits: list[Visit]
    moves: list[MoveDone]
    server_metrics: Mapping[Arm, str]


def run_ab_test(
    models: Mapping[Arm, ServedModel],
    visitors: Visitors,
    *,
    n_sessions: int,
    n_clients: int = 8,
    moves: Mapping[Arm, Sequence[CatalogueMove]] | None = None,
    explore: bool = False,
    events: Path | None = None,
) -> AbRecords:
    """Let simulated users visit two servers, one per model, over HTTP.

    Users come one after the other, ``n_clients`` at a time. The hash of a session's id says which
    server answers it, from its first to its last request.

    Args:
        models: What the arms serve.
        visitors: Who comes.
        n_sessions: Number of sessions.
        n_clients: Sessions at a time.
        moves: How the catalogue of each arm moves meanwhile, in order, both at the same times; None
            for not at all.
        explore: Let both servers draw items by their scores.
        events: Folder of the events of served slates; None keeps none.

    Raises:
        UserError: A model is of other items or features than the users, a change of the catalogue
            can't be applied, or a server does not start or ends.
    """
    planned: Mapping[Arm, Sequence[CatalogueMove]] = moves or {"A": (), "B": ()}
    for arm, model in models.items():
        refuse_other_data(model, visitors)
        refuse_moves(planned[arm], model, visitors.setting.slate_size // model.n_shelves)
    with TemporaryDirectory(prefix="hsrl-ab-") as folder:
        kept = Path(folder) / "events" if events is None else events
        first, second = (
            ArmServer(arm, models[arm], Path(folder), kept, explore=explore) for arm in ARMS
        )
        with first, second:
            run = AbRun({"A": first, "B": second}, visitors, n_sessions, n_clients, planned)
            run.play()
            metrics = {arm: server.call("GET", "/metrics")[1] for arm, server in run.arms.items()}
    return AbRecords(run.visits, run.moves_done, metrics)


def refuse_other_data(model: ServedModel, visitors: Visitors) -> None:
    """Refuse a model whose answers the users could not judge, or whom it could not be told of.

    Args:
        model: What is served.
        visitors: Who comes.

    Raises:
        UserError: It has an item that the users do not know, or reads no feature that they tell.
    """
    remedy = "Name a model of this dataset, or the dataset of the model with --env."
    strange = [item for item in model.item_index if item not in visitors.item_index]
    if strange:
        raise UserError(
            f"The model has {len(strange)} items that the simulated users do not know, the first "
            f"is {strange[0]!r}",
            where=model.name,
            remedy=remedy,
        )
    told = {*visitors.features.categories, *visitors.features.numbers}
    lacking = sorted(told - {*model.users.categories, *model.users.numbers})
    if lacking:
        raise UserError(
            f"The model does not read the user feature {lacking[0]!r}",
            where=model.name,
            remedy=remedy,
        )


class AbRun:
    """A test while it runs.

    Args:
        arms: The servers.
        visitors: Who comes.
        n_sessions: Number of sessions.
        n_clients: Sessions at a time.
        moves: How the catalogue of each arm moves meanwhile, in order, both at the same times.
    """

    def __init__(
        self,
        arms: Mapping[Arm, Server],
        visitors: Visitors,
        n_sessions: int,
        n_clients: int,
        moves: Mapping[Arm, Sequence[CatalogueMove]],
    ) -> None:
        self.arms = arms
        self.visits: list[Visit] = []
        self.moves_done: list[MoveDone] = []
        self._visitors = visitors
        self._n_sessions = n_sessions
        self._n_clients = n_clients
        both = zip(moves["A"], moves["B"], strict=True)
        self._moves: deque[Mapping[Arm, CatalogueMove]] = deque({"A": a, "B": b} for a, b in both)
        self._salt = f"hsrl-ab-{visitors.seed}"

    def play(self) -> None:
        """Play all sessions; changes of the catalogue go on beside the requests."""
        coming = iter(range(self._n_sessions))
        playing: list[Visit] = []
        with (
            ThreadPoolExecutor(self._n_clients) as clients,
            ThreadPoolExecutor(1) as mover,
            Progress("A/B test", self._n_sessions, unit="sessions") as progress,
        ):
            while self._due(0):
                self._move(self._moves.popleft())
            while True:
                for number in islice(coming, self._n_clients - len(playing)):
                    arm = arm_of(f"session-{number}", self._salt)
                    playing.append(self._visitors.begin(number, arm))
                    self.visits.append(playing[-1])
                if not playing:
                    break
                while self._due(len(self.visits)):
                    mover.submit(self._move, self._moves.popleft())
                answered = list(clients.map(self._ask, playing))
                good = [visit for visit, ok in zip(playing, answered, strict=True) if ok]
                staying = self._visitors.react(good)
                list(clients.map(self._tell, good))
                if len(good) < len(playing):
                    for server in self.arms.values():
                        server.refuse_ended()
                progress.advance(len(playing) - len(staying))
                playing = staying

    def _due(self, begun: int) -> bool:
        """Return whether the next change comes after so many sessions."""
        return bool(self._moves) and begun >= self._moves[0]["A"].at * self._n_sessions

    def _ask(self, visit: Visit) -> bool:
        """Ask for a slate; return whether there is a good one."""
        server = self.arms[visit.arm]
        body = self._visitors.request(visit)
        gone = server.gone  # acknowledged before the request is made
        started = time.perf_counter()
        try:
            status, answer = server.call("POST", "/recommend", body)
        except HTTP_TROUBLE as error:
            status, answer = 0, {"error": f"{type(error).__name__}: {error}"}
        visit.seconds.append(time.perf_counter() - started)
        if status != 200:
            visit.failure = f"{status or 'no answer'}: {_told(answer)}"
            return False
        items = answer["items"]
        visit.released_slots += len(gone.intersection(items))
        if len(items) < body["n"]:
            visit.failure = f"{len(items)} items instead of {body['n']}"
        elif len(set(items)) < len(items) or set(items).intersection(body.get("exclude", ())):
            visit.failure = "an item twice, or one that was excluded"
        visit.answer = answer
        return not visit.failure

    def _tell(self, visit: Visit) -> None:
        """Send what was clicked."""
        body = {"request_id": visit.answer["request_id"], "clicks": visit.clicked}
        try:
            status, _ = self.arms[visit.arm].call("POST", "/feedback", body)
        except HTTP_TROUBLE:
            status = 0
        visit.failed_feedback += status != 200

    def _move(self, moves: Mapping[Arm, CatalogueMove]) -> None:
        """Change the catalogue of both arms."""
        for arm, server in self.arms.items():
            move = moves[arm]
            if not (move.add or move.release):
                continue
            server.gone = server.gone.difference(move.add)
            version, started = "", time.perf_counter()
            try:
                version = server.call("GET", "/catalogue")[1]["catalogue_version"]
                started = time.perf_counter()
                body = {"version_before": version, "add": move.add, "release": move.release}
                status, told = server.call("POST", "/catalogue", body)
            except HTTP_TROUBLE as error:
                status, told = 0, {"error": f"{type(error).__name__}: {error}"}
            if status == 200:
                version = told["catalogue_version"]
                server.gone = server.gone.union(move.release)
            refused = "" if status == 200 else _told(told)
            seconds = time.perf_counter() - started
            sizes = len(move.add), len(move.release)
            self.moves_done.append(
                MoveDone(len(self.visits), arm, *sizes, seconds, version, refused)
            )


def _told(answer: Any) -> str:
    """Return what a refusal says, in one line."""
    if isinstance(answer, dict):
        return ", ".join(str(answer[name]) for name in ("field", "error") if name in answer)
    return str(answer)[:200]
