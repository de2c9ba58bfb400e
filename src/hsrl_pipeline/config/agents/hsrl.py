"""``hsrl``: settings of our agent, each ablation a field, and the space to search them in."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from hsrl_pipeline.config.agents.search_space import SMALL_LEARNING_RATE, Interval, SearchSpace
from hsrl_pipeline.config.agents.shared import (
    EncoderConfig,
    EntropySettings,
    ExperienceKind,
    NewItemRule,
    ValueSettings,
)


class HsrlSettings(EntropySettings, ValueSettings):
    """Settings of ``hsrl``; every departure from the paper is a switch."""

    experience: ClassVar[ExperienceKind] = "fresh"
    search_space: ClassVar[SearchSpace] = {
        "learning_rate": SMALL_LEARNING_RATE,
        "warm_start_learning_rate": Interval(3e-4, 2e-2),
        "policy_coef": Interval(3e-3, 3.0),
        "click_temperature": Interval(0.1, 1.0),
    }

    encoder: EncoderConfig = Field(
        default_factory=lambda: EncoderConfig(use_item_ids=False, use_item_codes=True),
        description="State encoder; without a vector per item its size ignores the catalogue",
    )
    learning_rate: float = Field(
        3e-4, gt=0.0, le=1.0, description="Step size of encoder and policy after the warm start"
    )
    critic_learning_rate: float = Field(1e-3, gt=0.0, le=1.0, description="Step size of the critic")
    action_space: Literal["semantic_ids", "items"] = Field(
        "semantic_ids",
        description="What is decided: codes level by level, or the item at once (ablation)",
    )
    policy_head: Literal["look_up", "codes", "trie"] = Field(
        "look_up",
        description="How items are scored: look_up sums scores of codes and of the item itself and "
        "normalises once over the items that may be shown; codes does so with the codes' scores "
        "alone, at a cost that ignores the catalogue, for at most 3 levels; trie normalises over "
        "the children of each prefix",
    )
    context_size: int = Field(
        64,
        ge=1,
        le=4096,
        description="Width of the contexts that first codes make (policy_head look_up and codes)",
    )
    gated_context: bool = Field(
        True,
        description="Whether a taken code also scales the context, c (1 + G[z]) - E[z]; Eq. 13 has "
        "no gate",
    )
    item_deviations: bool = Field(
        True,
        description="Whether every item has one learned number besides what its codes say "
        "(policy_head look_up)",
    )
    deviation_shrinkage: float = Field(
        0.0,
        ge=0.0,
        description="Weight of the sum of squared deviations in the loss; it also takes back what "
        "the log said of items that nobody shows any more",
    )
    deviation_gain: float = Field(
        30.0,
        gt=0.0,
        description="Step size of the deviations, as a multiple of the policy's: favourites then "
        "rise and fall by their own numbers, and their codes stay what they are for other items",
    )
    absent_share: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="Share of the live items that each update leaves out, drawn anew (policy_head "
        "look_up)",
    )
    unseen_share: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="Share of the live items that each update scores as if nobody had seen them "
        "yet, drawn anew: by their vectors, and by their codes where others can have these too "
        "(policy_head look_up)",
    )
    arrival_prior: float | None = Field(
        None,
        gt=0.0,
        description="Strength of the prior at what codes and vectors say, with which shows and "
        "clicks of items that arrive later count in their scores; a show weighs at most 0.25; "
        "null: they do not count (policy_head look_up)",
    )
    arrival_bonus: float = Field(
        0.0,
        ge=0.0,
        description="Exploration: standard deviations of what is known of an arrived item's effect "
        "that its score is raised by (with arrival_prior)",
    )
    context_update: Literal["taken", "expected", "none"] = Field(
        "taken",
        description="What leaves the context after a level: the taken code's embedding, the "
        "expected one (Eq. 13), or nothing (policy_head trie)",
    )
    valid_only: bool = Field(
        True,
        description="Softmax over codes that lead to an item, not over the vocabulary "
        "(policy_head trie)",
    )
    use_leaf_vectors: bool = Field(
        True,
        description="Items are also scored by their vectors; with the trie, the last code by the "
        "vectors of the items it leads to",
    )
    new_items: NewItemRule = Field(
        "ridge",
        description="Weights of an item that arrives later, where every item has its own "
        "(action_space items): predicted from its item vector by ridge regression, or the mean",
    )
    warm_start_iterations: int = Field(
        600, ge=0, description="First updates, spent on the click likelihood of logged slates"
    )
    warm_start_learning_rate: float = Field(
        2e-3, gt=0.0, le=1.0, description="Step size of encoder and policy in the warm start"
    )
    log_batch_size: int = Field(128, ge=1, description="Logged slates per update")
    click_temperature: float = Field(
        0.3,
        gt=0.0,
        description="Log-odds of a click per nat of log-probability; small sharpens the policy",
    )
    doubt_coef: float = Field(
        0.5,
        ge=0.0,
        description="Exposures without click that a random item per logged slate counts as: keeps "
        "items that were hardly ever shown from winning by chance",
    )
    log_likelihood_coef: float = Field(
        0.0, ge=0.0, description="Weight of the log's click likelihood after the warm start"
    )
    session_likelihood_coef: float = Field(
        1.0, ge=0.0, description="Weight of the click likelihood of the sessions' newest slates"
    )
    policy_coef: float = Field(
        0.1, ge=0.0, description="Weight of the policy gradient after the warm start"
    )
    item_credit: bool = Field(
        True, description="Each item is credited with its own click, not only with the slate's sum"
    )
    group_size: int = Field(
        1,
        ge=1,
        le=64,
        description="Slates drawn for each state: above 1, those that are not shown are judged by "
        "the training simulator, all are learned from, and items are credited against those of the "
        "group's other slates instead of the rest of their own (training.feedback expected)",
    )
    slate_credit_coef: float = Field(
        1.0, ge=0.0, description="Weight of the shared advantage of the whole slate"
    )
    without_replacement: bool = Field(
        True, description="Likelihood of the slate as drawn without replacement, else independent"
    )
    entropy_coef: float = Field(
        0.05, ge=0.0, description="Weight of the entropy of the item distribution"
    )
    normalize_entropy: bool = Field(
        True, description="Entropy divided by its maximum, the log of the number of items"
    )
    critic_hidden_size: int = Field(64, ge=1, description="Hidden width of the critic")
    advantage_clip: float = Field(1.0, gt=0.0, description="Bound of the slate's advantage")
    value_reaches_encoder: bool = Field(False, description="The critic loss trains the encoder too")
    beam_width: int = Field(
        64, ge=1, le=4096, description="Prefixes kept per level when acting greedily"
    )

    @property
    def slates_per_state(self) -> int:
        """Number of slates drawn for a state that the agent learns from, with the one shown."""
        return self.group_size

    @model_validator(mode="after")
    def _check_group(self) -> Self:
        """Refuse groups of slates whose items get no credit of their own."""
        if self.group_size > 1 and not self.item_credit:
            raise ValueError(
                f"group_size ({self.group_size}) above 1 needs item_credit true: a group compares "
                "the clicks of items"
            )
        return self

    @model_validator(mode="after")
    def _check_levers(self) -> Self:
        """Refuse what only a head with scores of single items can do."""
        asked = {
            "absent_share": self.absent_share > 0.0,
            "unseen_share": self.unseen_share > 0.0,
            "arrival_prior": self.arrival_prior is not None,
        }
        names = [name for name, is_asked in asked.items() if is_asked]
        if names and self.policy_head != "look_up":
            raise ValueError(
                f"{', '.join(names)} needs policy_head look_up, it is {self.policy_head}"
            )
        if self.arrival_bonus > 0.0 and self.arrival_prior is None:
            raise ValueError(
                f"arrival_bonus ({self.arrival_bonus}) counts standard deviations of what "
                "arrival_prior makes known, which is null"
            )
        if self.absent_share + self.unseen_share > 1.0:
            raise ValueError(
                f"absent_share ({self.absent_share}) and unseen_share ({self.unseen_share}) are "
                "more than all items"
            )
        return self
