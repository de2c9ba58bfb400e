"""Calls that look at the catalogue and change it."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header
from starlette.exceptions import HTTPException

from hsrl_pipeline.serving.live_service import LiveService, Swap
from hsrl_pipeline.serving.schemas import ADMIN_ERRORS, ChangeBody

TOKEN_VARIABLE = "HSRL_ADMIN_TOKEN"
"""Environment variable of the token without which administrative calls are off."""


def add_catalogue_calls(app: FastAPI, service: LiveService, token: str | None) -> None:
    """Add ``/catalogue`` and ``/catalogue/rollback``.

    Args:
        app: The application.
        service: What answers now.
        token: Token of administrative calls; None or empty switches them off.
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
        return _told(await service.change(body.asked()), service)

    @app.post("/catalogue/rollback", responses=ADMIN_ERRORS, dependencies=[Depends(admitted)])
    async def rollback() -> dict[str, Any]:
        """Go back to the version before the last change."""
        return _told(await service.roll_back(), service)


def _told(swap: Swap, service: LiveService) -> dict[str, Any]:
    return {
        "catalogue_version": swap.version,
        "version_before": swap.version_before,
        "live_items": len(service.now.recommender.catalogue.live_items),
        "seconds": swap.seconds,
    }
