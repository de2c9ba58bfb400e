"""Settings that all batches of one log must share, and the refusal of a day that has others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hsrl_pipeline.data.sources.source_log import SlateRule, SourceLog, SplitRule
from hsrl_pipeline.errors import UserError

if TYPE_CHECKING:
    from hsrl_pipeline.data.events.store import EventManifest

SECTIONS = {"kuairand_pure": "kuairand"}
"""Sources whose parameters stand under another name than their own."""


def log_settings(name: str, source: SourceLog) -> dict[str, Any]:
    """Return what decides the meaning of a batch's events, by parameter.

    Names of columns, files and their formats are not among it: they may change from day to day.

    Args:
        name: The source's name.
        source: The log.

    Returns:
        JSON-able values by the name of the parameter that sets them.
    """
    rules = source.rules
    answers = {
        "ingestion.tabular.columns.label": _given(rules.positive_above is None),
        "ingestion.tabular.columns.propensity": _given(source.has_propensities),
        "ingestion.positive_above": rules.positive_above,
        "ingestion.tabular.value_range": None
        if rules.value_range is None
        else [float(end) for end in rules.value_range],
    }
    features = {
        f"ingestion.{_section(name)}.{kind}": _given(frame is not None)
        for kind, frame in (("items", source.items), ("users", source.users))
    }
    rule = _rule_settings(name, source.slates, source.split, source.time_unit)
    return {"ingestion.source": name, **rule, **answers, **features}


def check_day_settings(before: EventManifest | None, own: Mapping[str, Any], date: str) -> None:
    """Refuse a day whose events would mean something else than those already ingested.

    Args:
        before: The manifest in force.
        own: `log_settings` of the day.
        date: The day, ``YYYY-MM-DD``.

    Raises:
        UserError: A setting differs; names each parameter with both values.
    """
    if before is None or (before.base is None and set(before.days) == {date}):
        return
    name = own["ingestion.source"]
    # a manifest of an earlier version tells less
    kept = before.settings or _rule_settings(name, before.slates, before.split, before.time_unit)
    differing = [
        f"{parameter} is {_shown(own[parameter])}, was {_shown(value)}"
        for parameter, value in kept.items()
        if parameter in own and own[parameter] != value
    ]
    if kept.get("ingestion.source", name) != name:
        # all else follows from the source
        differing = differing[:1]
    if differing:
        raise UserError(
            f"The day {date} has other settings than the events already ingested: "
            f"{'; '.join(differing)}",
            where="ingestion.date",
            remedy="Nothing was changed. Restore these parameters, or leave ingestion.date out to "
            "ingest the whole log again with the new ones.",
        )


def _rule_settings(name: str, slates: SlateRule, split: SplitRule, unit: str) -> dict[str, Any]:
    section = f"ingestion.{_section(name)}"
    minute = 60_000 if unit == "ms" else 60
    settings: dict[str, Any] = {
        f"{section}.time_format": unit,
        f"{section}.columns.slate": _given(slates.given),
        "ingestion.slate_size": slates.size,
        f"{section}.session_gap_minutes": None
        if slates.session_gap is None
        else slates.session_gap / minute,
    }
    if split.kind == "time_share":
        settings["ingestion.train_share"] = split.train_share
    elif split.kind == "user_modulo":
        settings[f"{section}.train_remainders"] = list(split.train_remainders)
    elif name == "kuairand_pure":
        settings[f"{section}.first_test_day"] = split.first_test_day
    return settings


def _section(name: str) -> str:
    return SECTIONS.get(name, name)


def _given(given: bool) -> str | None:
    return "given" if given else None


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
