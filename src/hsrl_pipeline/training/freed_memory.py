"""Freed memory that the process keeps, for loops that need as much again at once."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of the C library's two parameters (``mallopt``, glibc)."""

KEPT, LARGEST_KEPT = 2**29, 2**25
"""Freed bytes that stay with the process, and the largest piece that comes from them, which is the
most that the C library allows."""


def keep_freed_memory() -> bool:
    """Let the process keep freed memory for what it allocates next.

    An update takes and frees the same tensors every time. Those of about a megabyte go back to the
    system by default, which hands them out again page by page, each filled with zeros: several
    milliseconds an update. Results do not depend on it.

    Returns:
        Whether the C library knows how; elsewhere nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    sizes = {MMAP_THRESHOLD: LARGEST_KEPT, TRIM_THRESHOLD: KEPT}
    return all([set_option(number, size) == 1 for number, size in sizes.items()])
