"""What is wrong with a request, by field."""

from __future__ import annotations


class RequestError(ValueError):
    """A request that can't be answered, through a fault of its own.

    Args:
        field: Field that is wrong, such as ``candidates`` or ``user.age``.
        what: What is wrong with it, in words.
    """

    def __init__(self, field: str, what: str) -> None:
        self.field = field
        self.what = what
        super().__init__(f"{field}: {what}")
