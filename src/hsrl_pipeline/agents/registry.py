"""The agents by name; a module is imported only when its agent is built."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from hsrl_pipeline.agents.base import Agent, AgentContext
from hsrl_pipeline.config.agent_settings import AgentSettings
from hsrl_pipeline.errors import UserError

_BUILDERS = {
    "hsrl": ("hsrl_pipeline.agents.hsrl", "build_hsrl"),
    "hsrl_paper": ("hsrl_pipeline.agents.hsrl_paper", "build_hsrl_paper"),
    "sl": ("hsrl_pipeline.agents.supervised", "build_sl"),
    "a2c": ("hsrl_pipeline.agents.a2c", "build_a2c"),
    "ddpg": ("hsrl_pipeline.agents.ddpg", "build_ddpg"),
    "td3": ("hsrl_pipeline.agents.td3", "build_td3"),
    "pg_ra": ("hsrl_pipeline.agents.pg_ra", "build_pg_ra"),
    "hac": ("hsrl_pipeline.agents.hac", "build_hac"),
}

AGENT_NAMES = tuple(_BUILDERS)
"""Names accepted for ``agent.name``."""


def build_agent(name: str, settings: AgentSettings, context: AgentContext) -> Agent:
    """Build an untrained agent.

    Args:
        name: One of ``AGENT_NAMES``.
        settings: The settings model of that agent.
        context: Sizes, item tables, device and seed.

    Returns:
        The agent, on ``context.device``, initialised from ``context.seed``.

    Raises:
        UserError: There is no agent of that name.
    """
    if name not in _BUILDERS:
        raise UserError(
            f"There is no agent named {name!r}",
            where="agent.name",
            remedy=f"Choose one of {', '.join(AGENT_NAMES)}.",
        )
    module, builder = _BUILDERS[name]
    build = cast(
        Callable[[AgentSettings, AgentContext], Agent], getattr(import_module(module), builder)
    )
    return build(settings, context)
