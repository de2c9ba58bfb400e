"""The table of agents, and which of them a run trains and evaluates."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator

from hsrl_pipeline.config.agents.a2c import A2CSettings
from hsrl_pipeline.config.agents.ddpg import DDPGSettings
from hsrl_pipeline.config.agents.hac import HACSettings
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.config.agents.hsrl_paper import HsrlPaperSettings
from hsrl_pipeline.config.agents.pg_ra import PGRASettings
from hsrl_pipeline.config.agents.shared import AgentSettings
from hsrl_pipeline.config.agents.sl import SupervisedSettings
from hsrl_pipeline.config.agents.td3 import TD3Settings
from hsrl_pipeline.config.base import FrozenConfig
from hsrl_pipeline.errors import UserError

ReferenceName = Literal[
    "random", "popular", "static_slate", "greedy_train_simulator", "greedy_eval_simulator"
]

REFERENCE_NAMES: tuple[str, ...] = get_args(ReferenceName)
"""The policies that do not learn, evaluated beside every agent."""


LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,62}")


class AgentsConfig(FrozenConfig):
    """The table of agents: a field is an agent's name, its type the agent's settings.

    Who adds an agent adds a field here. Names, builders, validation and conformance tests follow.
    """

    hsrl: HsrlSettings = Field(default_factory=HsrlSettings, description="Our best agent")
    hsrl_paper: HsrlPaperSettings = Field(
        default_factory=HsrlPaperSettings, description="The paper's equations as written"
    )
    sl: SupervisedSettings = Field(
        default_factory=SupervisedSettings, description="Supervised click model"
    )
    a2c: A2CSettings = Field(default_factory=A2CSettings, description="Item-level actor-critic")
    ddpg: DDPGSettings = Field(default_factory=DDPGSettings, description="Hyper-action DDPG")
    td3: TD3Settings = Field(default_factory=TD3Settings, description="Hyper-action TD3")
    pg_ra: PGRASettings = Field(
        default_factory=PGRASettings, description="Policy gradient with action representations"
    )
    hac: HACSettings = Field(default_factory=HACSettings, description="Hyper-actor critic")

    def settings_of(self, agent: AgentConfig, learning_rate: float | None = None) -> AgentSettings:
        """Return the settings of the run's agent with the run's overrides put in.

        Args:
            agent: Name of the agent and its entropy coefficient, if overridden.
            learning_rate: Step size that replaces the agent's own, or None.

        Returns:
            The validated settings of ``agent.name``.

        Raises:
            UserError: An override does not apply to the agent, or is out of range for it.
        """
        own: AgentSettings = getattr(self, agent.name)
        values = own.model_dump()
        if agent.entropy_coef is not None:
            if "entropy_coef" not in values:
                raise UserError(
                    f"Agent {agent.name!r} has no entropy term",
                    where="agent.entropy_coef",
                    remedy="Leave agent.entropy_coef at null for this agent.",
                )
            values["entropy_coef"] = agent.entropy_coef
        if learning_rate is not None:
            values["learning_rate"] = learning_rate
        try:
            return type(own).model_validate(values)
        except ValidationError as error:
            raise UserError(str(error), where=f"agents.{agent.name}") from error


AGENT_NAMES = tuple(AgentsConfig.model_fields)
"""Names accepted for ``agent.name``."""


def _check_agent_name(name: str) -> str:
    if name not in AGENT_NAMES:
        close = difflib.get_close_matches(name, AGENT_NAMES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"{hint}the agents are {', '.join(map(repr, AGENT_NAMES))}")
    return name


AgentName = Annotated[str, AfterValidator(_check_agent_name)]
"""The name of an agent of the table."""


class AgentConfig(FrozenConfig):
    """The agent of a run."""

    name: AgentName = Field("hsrl", description="Agent to train and evaluate")
    label: str | None = Field(
        None,
        description="What files, rows and runs are named, to keep variants of an agent side by "
        "side; null is the agent's name",
    )
    entropy_coef: float | None = Field(
        None, ge=0.0, description="Entropy coefficient; null is the agent's own"
    )

    @property
    def shown_name(self) -> str:
        """What files, rows and runs of this agent are named."""
        return self.label or self.name

    @field_validator("label")
    @classmethod
    def _check_label(cls, label: str | None, info: ValidationInfo) -> str | None:
        if label is None:
            return None
        if not LABEL.fullmatch(label):
            raise ValueError(
                "a label has up to 63 letters, digits and _ . + -, and starts with one of the "
                "first two"
            )
        if label in {*AGENT_NAMES, *REFERENCE_NAMES} - {info.data.get("name")}:
            raise ValueError("that is the name of another policy")
        return label
