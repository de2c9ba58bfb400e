"""Policies that learn, behind one protocol."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.agents.base import Action as Action
    from hsrl_pipeline.agents.base import Agent as Agent
    from hsrl_pipeline.agents.base import AgentContext as AgentContext
    from hsrl_pipeline.agents.base import Bootstrap as Bootstrap
    from hsrl_pipeline.agents.base import LogBatch as LogBatch
    from hsrl_pipeline.agents.base import Policy as Policy
    from hsrl_pipeline.agents.base import UpdateStats as UpdateStats
    from hsrl_pipeline.agents.policy_checkpoint import agent_context as agent_context
    from hsrl_pipeline.agents.policy_checkpoint import describe_policy as describe_policy
    from hsrl_pipeline.agents.policy_checkpoint import restore_policy as restore_policy
    from hsrl_pipeline.agents.registry import build_agent as build_agent
    from hsrl_pipeline.agents.torch_agent import TorchAgent as TorchAgent
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".base": [
                "Action",
                "Agent",
                "AgentContext",
                "Bootstrap",
                "LogBatch",
                "Policy",
                "UpdateStats",
            ],
            ".policy_checkpoint": ["agent_context", "describe_policy", "restore_policy"],
            ".registry": ["build_agent"],
            ".torch_agent": ["TorchAgent"],
        },
    )
