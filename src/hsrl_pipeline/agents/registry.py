"""The agents by name; a module is imported only when its agent is built.

Agent ``name`` of the table (``AgentsConfig``) is built by ``build_<name>`` of ``agents/<name>.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from hsrl_pipeline.agents.base import Agent, AgentContext
from hsrl_pipeline.config.agent import AGENT_NAMES
from hsrl_pipeline.config.agents.shared import AgentSettings
from hsrl_pipeline.errors import UserError


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
    if name not in AGENT_NAMES:
        raise UserError(
            f"There is no agent named {name!r}",
            where="agent.name",
            remedy=f"Choose one of {', '.join(AGENT_NAMES)}.",
        )
    module = import_module(f"hsrl_pipeline.agents.{name}")
    build = cast(Callable[[AgentSettings, AgentContext], Agent], getattr(module, f"build_{name}"))
    return build(settings, context)
