"""Parameters of the evaluation: how many sessions, with which users, compared with what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from hsrl_pipeline.config.agent import AGENT_NAMES, REFERENCE_NAMES
from hsrl_pipeline.config.base import FrozenConfig
from hsrl_pipeline.config.session import Regime


def _check_policy_name(name: str) -> str:
    known = (*REFERENCE_NAMES, *AGENT_NAMES)
    if name not in known:
        raise ValueError(f"the policies are {', '.join(map(repr, known))}")
    return name


PolicyName = Annotated[str, AfterValidator(_check_policy_name)]
"""The name of a reference or of an agent of the table."""


class EvaluationConfig(FrozenConfig):
    """How policies are judged, all of them on the same sessions."""

    n_episodes: int = Field(
        default=4000,
        ge=2,
        le=10_000_000,
        description="Sessions per policy and simulator; every one of them is counted.",
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**31,
        description="Seed of the users and click draws; apart from the run's seed, so that all "
        "agents and seeds meet the same sessions.",
    )
    split: Literal["test", "train", "all"] = Field(
        default="test",
        description="Part of the log whose users and histories the sessions start from.",
    )
    infer_tastes: bool = Field(
        default=True,
        description="Whether a simulator infers the tastes of users whom it was not fitted on from "
        "what they answered before the session.",
    )
    batch_size: int = Field(
        default=1024,
        ge=1,
        le=1_000_000,
        description="Sessions rolled out at once; changes speed and memory, not the draws.",
    )
    policy_regime: Regime | None = Field(
        default=None,
        description="Regime that the judged policy was trained in; null is that of the run. Rows "
        "of a policy of the other one are named <agent>@<regime>.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where to roll out; auto takes CUDA when there is one.",
    )
    compare_with: PolicyName = Field(
        default="static_slate",
        description="Policy from which the paired differences are taken.",
    )
    n_resamples: int = Field(
        default=2000,
        ge=100,
        le=1_000_000,
        description="Bootstrap resamples behind each 95 % interval.",
    )
    n_logged_slates: int = Field(
        default=4000,
        ge=1,
        le=10_000_000,
        description="Logged slates, drawn at random where there are more, on which recall and NDCG "
        "are measured and off-policy estimates are made.",
    )
    off_policy_draws: int = Field(
        default=25,
        ge=1,
        le=100_000,
        description="Slates drawn per logged slate to know what a policy that draws would show.",
    )
    largest_weight: float | None = Field(
        default=None,
        gt=0,
        description="Larger importance weights are set to this, which steadies the estimates and "
        "biases them; null keeps all.",
    )
