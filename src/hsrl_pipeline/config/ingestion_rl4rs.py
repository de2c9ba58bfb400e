"""Parameters of the RL4RS source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hsrl_pipeline.config.base import FrozenConfig


class RL4RSConfig(FrozenConfig):
    """Which form of the log is read, and which remainders of the session id train."""

    form: Literal["auto", "raw", "bigdatacup"] = Field(
        "auto",
        description="raw: '@'-separated log with click histories and full portraits; bigdatacup: "
        "the impressions of BigDataCup 2021; auto: by the files' first lines, official raw logs "
        "(rl4rs_dataset_*.csv) first, then impressions, then any other raw log",
    )
    log: str | None = Field(
        None, description="File name of the log in data/01_raw/rl4rs; null: the first of its form"
    )
    item_info: str | None = Field(
        None, description="File name of the item file; null: found by the columns of its header"
    )
    train_remainders: tuple[int, ...] = Field(
        (0, 1, 2, 3, 4, 5),
        min_length=1,
        max_length=9,
        description="Sessions whose id modulo 10 is among these are the training split",
    )
