"""Times of the user's own logs as whole numbers since 1970, and the fractions beyond them."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

DATE_AND_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:[.,]([0-9]+))?)?"
    r"\s*(?:Z|UTC|([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?)?)?$"
)
DECIMAL = r"^(\+?[0-9]+)\.([0-9]*)$"
NANOSECONDS = {"s": 10**9, "ms": 10**6, "datetime": 10**9}
NO_TIME = ("", "nan", "NaN", "NaT")
FARTHEST_TIME = 1e16


@dataclass(frozen=True)
class EpochTime:
    """Times as whole numbers since 1970, and what that leaves out.

    Attributes:
        whole: Seconds or milliseconds since 1970 UTC, rounded down; text where it is no number.
        nanoseconds: int32. What is left of the time within its second or millisecond; None when
            times are whole by their type.
        unreadable: Whether a text is no date and time; None when times are no such texts.
    """

    whole: ir.Value
    nanoseconds: ir.IntegerValue | None = None
    unreadable: ir.BooleanValue | None = None

    @property
    def beyond(self) -> dict[str, ir.IntegerValue]:
        """The column ``nanoseconds`` of a draft, where it has one."""
        return {} if self.nanoseconds is None else {"nanoseconds": self.nanoseconds.cast("int32")}


def to_epoch(time: ir.Value, time_format: str) -> EpochTime:
    """Return times as whole numbers since 1970, and what that leaves out.

    Args:
        time: Text, numbers, or structs of ``seconds`` and ``nanoseconds``.
        time_format: ``"s"``, ``"ms"`` or ``"datetime"`` (whole seconds come out).
    """
    kind = time.type()
    nanoseconds = NANOSECONDS[time_format]
    if kind.is_struct():
        seconds, within = time["seconds"], time["nanoseconds"]
        if time_format != "ms":
            return EpochTime(seconds, within)
        return EpochTime(seconds * 1000 + within // 10**6, within % 10**6)
    if kind.is_integer():
        return EpochTime(time)
    if kind.is_floating():
        near = time.cast("float64").clip(-FARTHEST_TIME, FARTHEST_TIME)
        whole = near.floor()
        return EpochTime(whole.cast("int64"), ((near - whole) * nanoseconds).floor().cast("int64"))
    text = time.cast("string").strip()
    if time_format == "datetime" and not kind.is_decimal():
        return _parse_date_and_time(text)
    decimal = text.re_search(DECIMAL).fill_null(False)
    return EpochTime(
        ibis.ifelse(decimal, text.re_extract(DECIMAL, 1), text),
        _fraction(ibis.ifelse(decimal, text.re_extract(DECIMAL, 2), ""), nanoseconds),
    )


def _fraction(digits: ir.StringValue, scale: int) -> ir.IntegerValue:
    """Return the digits behind a decimal point as a whole number out of ``scale``, 0 if none."""
    width = len(str(scale)) - 1
    padded = (digits + "0" * width).left(width)
    return ibis.ifelse(digits == "", "0", padded).cast("int64").fill_null(0)


def _parse_date_and_time(text: ir.StringValue) -> EpochTime:
    """Return the time of text like ``2024-05-31 18:30:00.25+02:00``, null if unreadable.

    Put together from its parts, because engines read time zones and odd dates differently.
    """
    readable = text.re_search(DATE_AND_TIME).fill_null(False)
    whole = ibis.ifelse(readable, text, ibis.null("string"))

    def part(group: int) -> ir.IntegerValue:
        digits = whole.re_extract(DATE_AND_TIME, group)
        return ibis.ifelse(digits == "", "0", digits).cast("int64").fill_null(0)

    day = whole.left(10).try_cast("date")
    days = (day.cast("timestamp").epoch_seconds()).cast("int64")
    sign = ibis.ifelse(whole.re_extract(DATE_AND_TIME, 5) == "-", 1, -1)
    clock = part(1) * 3600 + part(2) * 60 + part(3)
    seconds = days + clock + sign * (part(6) * 3600 + part(7) * 60)
    digits = whole.re_extract(DATE_AND_TIME, 4).fill_null("")
    return EpochTime(
        seconds,
        _fraction(digits, NANOSECONDS["datetime"]),
        text.notnull() & ~text.isin(NO_TIME) & seconds.isnull(),
    )
