"""Ids and texts of requests, as they are kept."""

from __future__ import annotations

import numpy as np

from hsrl_pipeline.serving.request_errors import RequestError

OwnId = str | int
"""An id as the user's own data writes it."""


def own_id(field: str, value: OwnId) -> str:
    """Return an id as the canonical tables write it.

    Args:
        field: Where it stands, for messages.
        value: Text or a whole number.

    Raises:
        RequestError: It is something else.
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise RequestError(field, "an id is text or a whole number")
    try:
        return str(value)
    except ValueError:  # Python writes no number of thousands of digits
        raise RequestError(field, "this number is too long for an id") from None


def kept_text(field: str, text: str) -> str:
    """Return a text that can be written as UTF-8.

    Args:
        field: Where it stands, for messages.
        text: The text.

    Raises:
        RequestError: It can't.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError(field, "this is no text that can be kept") from None
    return text
