"""The one exception for what a user can put right: shown as a message, without a traceback."""

from __future__ import annotations

import logging
import sys


class UserError(Exception):
    """A failure whose cause lies in the user's input, files or parameters.

    The command line prints it as one message and exits with a code other than 0.

    Args:
        what: What is wrong, in one sentence.
        where: File, row, column or parameter it was found at.
        remedy: What the user should do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        place = f" ({where})" if where else ""
        advice = f" {remedy}" if remedy else ""
        super().__init__(f"{what}{place}.{advice}")


def user_error_in(error: BaseException) -> UserError | None:
    """Return the user error that caused an exception, if one did.

    Kedro wraps what a dataset raises, so the cause may lie deeper.
    """
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, UserError):
            return current
        current = current.__cause__ or current.__context__
    return None


class SaidOnceFilter(logging.Filter):
    """Drops what Kedro logs of a user error, which the command line says at the end."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is shown."""
        error = sys.exc_info()[1]
        if error is None or user_error_in(error) is None:
            return True
        repeats = record.name == "kedro.pipeline.node" or str(record.msg).startswith("No nodes ran")
        return not repeats
