"""Which arm a session belongs to."""

from __future__ import annotations

import hashlib
from typing import Literal

Arm = Literal["A", "B"]
ARMS: tuple[Arm, Arm] = ("A", "B")
SHARE_OF_B = 0.5


def arm_of(session_id: str, salt: str) -> Arm:
    """Return the arm of a session: half of all ids fall to each, and an id always to the same.

    Args:
        session_id: Names the session.
        salt: Names the experiment, so that another one divides the same ids anew.
    """
    digest = hashlib.sha256(f"{salt}:{session_id}".encode()).digest()
    return "B" if int.from_bytes(digest[:8], "big") < SHARE_OF_B * 2**64 else "A"
