"""The options of a run, as they were typed."""

from __future__ import annotations

from typing import Any


def typed_options(run_params: dict[str, Any]) -> str:
    """Return ``--env`` and ``--params`` of a run for a command in a message.

    Args:
        run_params: How the run was asked for, as Kedro tells its hooks.

    Returns:
        Text that begins with a space, or nothing.
    """
    env = f" --env {run_params['env']}" if run_params.get("env") else ""
    pairs = _flat(run_params.get("runtime_params") or {})
    params = ",".join(f"{name}={value}" for name, value in pairs)
    return f"{env} --params {params}" if params else env


def _flat(params: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested ``--params`` as dotted pairs, the way they were typed."""
    pairs: list[tuple[str, Any]] = []
    for name, value in params.items():
        if isinstance(value, dict):
            pairs.extend(_flat(value, f"{prefix}{name}."))
        else:
            pairs.append((f"{prefix}{name}", value))
    return pairs
