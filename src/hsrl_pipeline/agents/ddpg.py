"""``ddpg``: the deterministic policy gradient on a hyper-action.

It is the agent of ``td3`` with one critic, an actor step per critic step and targets without
noise. With ``behavior_coef`` above 0 the actor also fits the clicks of logged slates, which keeps
it near what the log supports and lets the items' positions be learned (behaviour-regularised).

References:
    Lillicrap et al. 2015, "Continuous control with deep reinforcement learning", Algorithm 1.
    Fujimoto and Gu 2021, "A Minimalist Approach to Offline Reinforcement Learning", for adding a
    supervised term to the deterministic actor loss.
"""

from __future__ import annotations

from hsrl_pipeline.agents.base import AgentContext
from hsrl_pipeline.agents.td3 import DeterministicAgent, Variant
from hsrl_pipeline.config.agents.ddpg import DDPGSettings


def build_ddpg(settings: DDPGSettings, context: AgentContext) -> DeterministicAgent:
    """Return an untrained ``ddpg`` agent."""
    variant = Variant(
        name="ddpg",
        latent_size=settings.latent_size,
        n_critics=1,
        policy_delay=1,
        target_noise_std=0.0,
        target_noise_clip=1.0,
        behavior_coef=settings.behavior_coef,
        log_batch_size=settings.log_batch_size,
    )
    return DeterministicAgent(settings, variant, context)
