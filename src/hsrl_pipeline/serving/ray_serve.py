"""The same application on several replicas, under Ray Serve (extra ``cluster``)."""

from __future__ import annotations

import signal
import threading
import uuid
from typing import Any

import numpy as np
from fastapi import FastAPI

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.serving.app import create_app
from hsrl_pipeline.serving.catalogue_change import AskedChange
from hsrl_pipeline.serving.change_follower import ChangeFollower
from hsrl_pipeline.serving.change_log import ChangeLog, Outcome
from hsrl_pipeline.serving.recommender import Recommender
from hsrl_pipeline.serving.served_model import ServedModel
from hsrl_pipeline.serving.server import HOST

APPLICATION = "hsrl"
LOCAL = "local"
"""Address of a Ray that is started for the server, on this machine."""

REQUESTS_AT_A_TIME = 256
"""Requests that a replica has under way at most; others wait in front of it."""


class RemoteLog:
    """A ``ChangeLog`` in a process of its own.

    Args:
        actor: Handle of its actor.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def after(self, position: int) -> list[AskedChange | None]:
        """See ``ChangeLog``."""
        return list(await self._actor.after.remote(position))

    async def join(self, replica: str, position: int) -> bool:
        """See ``ChangeLog``."""
        return bool(await self._actor.join.remote(replica, position))

    async def leave(self, replica: str) -> None:
        """See ``ChangeLog``."""
        await self._actor.leave.remote(replica)

    async def alive(self, replica: str) -> bool:
        """See ``ChangeLog``."""
        return bool(await self._actor.alive.remote(replica))

    async def wait_after(self, position: int, seconds: float) -> list[AskedChange | None]:
        """See ``ChangeLog``."""
        return list(await self._actor.wait_after.remote(position, seconds))

    async def made(self, replica: str, position: int, outcome: Outcome) -> None:
        """See ``ChangeLog``."""
        await self._actor.made.remote(replica, position, outcome)

    async def propose(self, change: AskedChange | None) -> dict[str, Outcome]:
        """See ``ChangeLog``."""
        return dict(await self._actor.propose.remote(change))


class Replica:
    """What Ray Serve asks of a replica besides its answers."""

    app: FastAPI

    def check_health(self) -> None:
        """Refuse to go on after a change that failed here; Ray Serve makes a new replica then."""
        self.app.state.follower.check()


def deploy(
    model: ServedModel,
    *,
    replicas: int,
    port: int,
    address: str = LOCAL,
    threads: int = 1,
    explore: bool = False,
    token: str | None = None,
) -> None:
    """Let Ray Serve answer requests, and return when all replicas are ready.

    Args:
        model: What to serve.
        replicas: Processes that answer.
        port: Port on 127.0.0.1 of the machine that Ray's head runs on.
        address: Of the cluster, such as ``auto``; ``local`` starts a Ray on this machine.
        threads: Threads of one answer, and cores that a replica takes.
        explore: Draw items by their scores instead of taking the best.
        token: Token of administrative calls; None or empty switches them off.

    Raises:
        UserError: Ray is not installed, there is no cluster, or it has too few cores.
    """
    try:
        import ray
        from ray import serve
    except ImportError:
        raise UserError(
            "Ray Serve is not installed",
            where="--replicas",
            remedy="Install the extra: pip install -e '.[cluster]'",
        ) from None
    place: dict[str, Any] = {} if address == LOCAL else {"address": address}
    if not ray.is_initialized():
        try:
            ray.init(log_to_driver=False, include_dashboard=False, **place)
        except (ConnectionError, RuntimeError, ValueError, TypeError) as error:
            raise UserError(
                f"there is no Ray cluster at '{address}': {error}", where="--cluster"
            ) from None
    cores = int(ray.cluster_resources().get("CPU", 0))
    if cores < replicas * threads:
        raise UserError(
            f"{replicas} replicas of {threads} threads need {replicas * threads} cores, the "
            f"cluster has {cores}",
            where="--replicas",
            remedy="Ask for fewer.",
        )
    log = ray.remote(num_cpus=0, max_concurrency=1000)(ChangeLog).remote()
    kept = ray.put(model.to_checkpoint())

    def build() -> FastAPI:
        import torch

        torch.set_num_threads(threads)
        checkpoint = ray.get(kept)
        # what lies in Ray's store can't be written to, which torch does not like
        state = {name: np.array(array) for name, array in checkpoint["state"].items()}
        served = ServedModel.from_checkpoint({"config": checkpoint["config"], "state": state})
        follower = ChangeFollower(RemoteLog(log), uuid.uuid4().hex)
        app = create_app(Recommender(served, explore=explore), token=token, follower=follower)
        app.state.follower = follower
        return app

    deployment = serve.deployment(
        num_replicas=replicas,
        max_ongoing_requests=REQUESTS_AT_A_TIME,
        ray_actor_options={"num_cpus": threads},
        logging_config={"enable_access_log": False},
    )(serve.ingress(build)(Replica))
    serve.start(http_options={"host": HOST, "port": port})
    serve.run(deployment.bind(), name=APPLICATION, route_prefix="/")


def run_replicas(model: ServedModel, **options: Any) -> None:
    """Answer requests on several replicas until the process is told to end.

    Args:
        model: What to serve.
        options: See ``deploy``.
    """
    deploy(model, **options)
    import ray
    from ray import serve

    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    told.wait()
    serve.shutdown()
    ray.shutdown()
