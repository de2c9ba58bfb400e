"""Parameters of the KuaiRand-Pure source."""

from __future__ import annotations

import datetime

from pydantic import Field, field_validator

from hsrl_pipeline.config.base import FrozenConfig


class KuaiRandConfig(FrozenConfig):
    """Which logs are read, and where sessions and the training days end."""

    logs: tuple[str, ...] | None = Field(
        None,
        description="File names of the logs to read, in this order; "
        "null: every log_standard_*_pure.csv, by name",
    )
    session_gap_minutes: float = Field(
        30.0, gt=0, le=10_080, description="A longer pause begins a new session, minutes"
    )
    first_test_day: str = Field(
        "2022-05-06", description="First day of the test split, YYYY-MM-DD in Beijing time"
    )

    @field_validator("first_test_day", mode="before")
    @classmethod
    def _is_a_day(cls, value: object) -> object:
        """Accept a date object or a real calendar day as text."""
        if isinstance(value, datetime.date):
            return value.isoformat()
        try:
            return datetime.date.fromisoformat(str(value)).isoformat()
        except ValueError as error:
            raise ValueError(f"{value!r} is no day of the form YYYY-MM-DD") from error
