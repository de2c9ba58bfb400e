"""Parameters of the Jester source."""

from __future__ import annotations

from pydantic import Field

from hsrl_pipeline.config.base import FrozenConfig


class JesterConfig(FrozenConfig):
    """Who is held back as a judge, and what is known of these people before a session."""

    held_back_people: int = Field(
        1600,
        ge=1,
        le=1_000_000,
        description="People who rated every joke and judge policies; the log is made of the others",
    )
    known_jokes: int = Field(
        10,
        ge=1,
        le=99,
        description="Answers known of each person held back; the test split, and the history that "
        "sessions start with. These jokes are not shown to them again",
    )
    text_vector_size: int = Field(
        16, ge=1, le=1024, description="Largest width of the vectors made of the jokes' texts"
    )
