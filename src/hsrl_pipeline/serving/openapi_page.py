"""The page that shows the calls of the server; nothing of it comes from another host."""

from __future__ import annotations

from importlib.resources import files

from fastapi import FastAPI
from starlette.responses import HTMLResponse

OWN_HOST_ALONE = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
)


def add_openapi_page(app: FastAPI) -> None:
    """Add ``/docs``: what ``/openapi.json`` says, with a form for every call.

    FastAPI's own page loads its script from a public server. This one needs no internet, and its
    header forbids browsers to load anything else.

    Args:
        app: The application, made without FastAPI's pages.
    """
    page = files(__package__).joinpath("openapi_page.html").read_text(encoding="utf-8")

    @app.get("/docs", include_in_schema=False)
    async def openapi_page() -> HTMLResponse:
        return HTMLResponse(page, headers={"content-security-policy": OWN_HOST_ALONE})
