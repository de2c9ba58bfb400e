"""Parameters of ingestion: which log, which engine, what to do with bad rows."""

from __future__ import annotations

import datetime
from typing import Literal

from pydantic import Field, field_validator

from hsrl_pipeline.config.base import FrozenConfig
from hsrl_pipeline.config.ingestion_jester import JesterConfig
from hsrl_pipeline.config.ingestion_kuairand import KuaiRandConfig
from hsrl_pipeline.config.ingestion_rl4rs import RL4RSConfig
from hsrl_pipeline.config.ingestion_tabular import TabularConfig


class SyntheticConfig(FrozenConfig):
    """Size and taste of the synthetic log; see docs/data_sources.md for the model."""

    n_users: int = Field(800, ge=10, le=10_000_000, description="Number of users")
    n_items: int = Field(400, ge=20, le=1_000_000, description="Number of items")
    mean_events: int = Field(
        400, ge=10, le=10_000, description="Mean number of logged events per user"
    )
    taste_size: int = Field(4, ge=2, le=64, description="Width of latent tastes")
    taste_strength: float = Field(
        4.0, ge=0, le=10, description="Weight of the match of taste and item in the click logit"
    )
    click_bias: float = Field(
        -1.5, ge=-10, le=10, description="Click logit of an average item for an average user"
    )


class IngestionConfig(FrozenConfig):
    """The whole of ``ingestion``."""

    source: str = Field(description="Name of the source reader, for example ml1m or tabular")
    engine: Literal["duckdb", "pyspark"] = Field(
        "duckdb", description="Where heavy transformations run: embedded, or on a Spark cluster"
    )
    spark_master: str | None = Field(
        None,
        description="Spark master URL, for example local[2] or spark://host:7077; "
        "null: as the Spark configuration says",
    )
    memory_limit_gb: float = Field(
        4.0, gt=0.2, le=1024, description="Memory that DuckDB may use before it spills to disk, GB"
    )
    threads: int | None = Field(
        None, ge=1, le=1024, description="Threads of DuckDB; null: one per core"
    )
    on_bad_rows: Literal["error", "drop"] = Field(
        "error", description="Refuse a log with bad rows, or drop and count them"
    )
    date: str | None = Field(
        None,
        description="Day to ingest, YYYY-MM-DD: adds or replaces that day's partition; "
        "null: the whole log",
    )
    slate_size: int = Field(
        10, ge=1, le=100, description="Items per slate (K), where the log does not fix it"
    )
    train_share: float = Field(
        0.8, gt=0, lt=1, description="Share of the earliest slates that are training data"
    )
    min_feature_match: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Smallest share of the log's items, and of its users, that a feature file must "
        "know; below it the ids are taken to be written in different ways and the log is refused",
    )
    positive_above: float = Field(
        3.0, description="A rating is a positive response when it exceeds this"
    )
    synthetic: SyntheticConfig = Field(
        default_factory=SyntheticConfig, description="Settings of the synthetic source"
    )
    kuairand: KuaiRandConfig = Field(
        default_factory=KuaiRandConfig, description="Settings of the kuairand_pure source"
    )
    rl4rs: RL4RSConfig = Field(
        default_factory=RL4RSConfig, description="Settings of the rl4rs source"
    )
    jester: JesterConfig = Field(
        default_factory=JesterConfig, description="Settings of the jester source"
    )
    tabular: TabularConfig = Field(
        default_factory=TabularConfig, description="Settings of the tabular source"
    )

    @field_validator("date", mode="before")
    @classmethod
    def _is_a_day(cls, value: object) -> object:
        """Accept a date object or a real calendar day as text."""
        if isinstance(value, datetime.date):
            return value.isoformat()
        if isinstance(value, str):
            try:
                return datetime.date.fromisoformat(value).isoformat()
            except ValueError as error:
                raise ValueError(f"{value!r} is no day of the form YYYY-MM-DD") from error
        return value
