"""Calls that look at the catalogue and change it."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header
from starlette.exceptions import HTTPException

from hsrl_pipeline.serving.change_follower import ChangeFollower
from hsrl_pipeline.serving.live_service import LiveService
from hsrl_pipeline.serving.schemas import ADMIN_ERRORS, ChangeBody

TOKEN_VARIABLE = "HSRL_ADMIN_TOKEN"
"""Environment variable of the token without which administrative calls are off."""


def add_catalogue_calls(
    app: FastAPI,
    service: LiveService,
    token: str | None,
    follower: ChangeFollower | None = None,
) -> None:
    """Add ``/catalogue`` and ``/catalogue/rollback``.

    Args:
        app: The application.
        service: What answers now.
        token: Token of administrative calls; None or empty switches them off.
        follower: Where there are several replicas, what lets all of them change.
    """

    async def admitted(authorization: Annotated[str | None, Header()] = None) -> None:
        if not token:
            raise HTTPException(
                403, f"administrative calls are off: start the server with {TOKEN_VARIABLE} set"
            )
        given = (authorization or "").removeprefix("Bearer ").encode()
        if not hmac.compare_digest(given, token.encode()):
            raise HTTPException(
                401,
                "give the token as the header Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )

    @app.get("/catalogue")
    async def catalogue() -> dict[str, Any]:
        """Return the version that answers and the last changes, newest first."""
        return service.overview()

    @app.post("/catalogue", responses=ADMIN_ERRORS, dependencies=[Depends(admitted)])
    async def change(body: ChangeBody) -> dict[str, Any]:
        """Add and release items; when it answers, no released item is shown any more."""
        if follower is not None:
            return await follower.change(body.asked())
        return service.told(await service.change(body.asked()))

    @app.post("/catalogue/rollback", responses=ADMIN_ERRORS, dependencies=[Depends(admitted)])
    async def rollback() -> dict[str, Any]:
        """Go back to the version before the last change."""
        if follower is not None:
            return await follower.roll_back()
        return service.told(await service.roll_back())
