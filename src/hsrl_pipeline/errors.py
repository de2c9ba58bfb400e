"""The one exception for what a user can put right: shown as a message, without a traceback."""

from __future__ import annotations


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
