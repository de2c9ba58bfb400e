"""The options of a run, as they were typed."""

from __future__ import annotations

from typing import Any

from hsrl_pipeline.config.dotted_names import flat


def typed_options(run_params: dict[str, Any]) -> str:
    """Return ``--env`` and ``--params`` of a run for a command in a message.

    Args:
        run_params: How the run was asked for, as Kedro tells its hooks.

    Returns:
        Text that begins with a space, or nothing.
    """
    env = f" --env {run_params['env']}" if run_params.get("env") else ""
    pairs = flat(run_params.get("runtime_params") or {})
    params = ",".join(f"{name}={value}" for name, value in pairs.items())
    return f"{env} --params {params}" if params else env
