"""The server's process: uvicorn on 127.0.0.1."""

from __future__ import annotations

import socket

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.serving.app import create_app
from hsrl_pipeline.serving.event_log import EventLog
from hsrl_pipeline.serving.recommender import Recommender
from hsrl_pipeline.serving.served_model import ServedModel

HOST = "127.0.0.1"


def run_server(
    model: ServedModel,
    *,
    port: int,
    explore: bool = False,
    events: EventLog | None = None,
    token: str | None = None,
) -> None:
    """Answer requests until the process is told to end.

    Args:
        model: What to serve.
        port: Port on 127.0.0.1.
        explore: Draw items by their scores instead of taking the best.
        events: Where served slates go; None keeps none.
        token: Token of administrative calls; None or empty switches them off.
    """
    import uvicorn

    app = create_app(Recommender(model, explore=explore), token=token, events=events)
    uvicorn.run(app, host=HOST, port=port, log_level="warning", access_log=False)


def refuse_taken_port(port: int) -> None:
    """Refuse a port that can't be used, before anything is loaded.

    Args:
        port: Port on 127.0.0.1.

    Raises:
        UserError: It is taken or not allowed.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"port {port} can't be used: {error}",
                where="--port",
                remedy=f"Name another one: make serve PORT={port + 1}",
            ) from error
