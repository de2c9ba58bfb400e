"""The model that a finished project serves, from what its pipelines have persisted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.io.project_artifacts import ProjectArtifacts
from hsrl_pipeline.serving.served_model import ServedModel, everything_live
from hsrl_pipeline.serving.user_features import NumberScale, UserEncoder

if TYPE_CHECKING:
    import pandas as pd


def served_model(artifacts: ProjectArtifacts, name: str | None = None) -> ServedModel:
    """Return the model of a project's trained policy under the fixed catalogue.

    Args:
        artifacts: Parameters and files of one dataset; ``agent.name`` and ``seed`` say which
            policy.
        name: What answers call the model; by default agent, seed and dataset.

    Raises:
        UserError: Something was not made yet or does not belong together; names what to run.
    """
    from hsrl_pipeline.config.root import validate_parameters
    from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable
    from hsrl_pipeline.semantic_ids.item_priors import prior_table
    from hsrl_pipeline.semantic_ids.vector_checkpoints import vectors_of

    artifacts.check_together(
        "dataset_info", "users", "items", "item_vectors", "codebook", "trained_policy"
    )
    rules = validate_parameters(artifacts.parameters)
    info = DatasetInfo.from_dict(artifacts.load("dataset_info"))
    policy = artifacts.load("trained_policy")
    items = ItemTable.from_frame(artifacts.load("items"), info)
    vectors = vectors_of(artifacts.load("item_vectors"))
    codes = np.ascontiguousarray(artifacts.load("codebook").codes, dtype=np.int64)
    catalogue = everything_live(np.ascontiguousarray(vectors), codes)
    config = policy["config"]
    return ServedModel(
        policy=policy,
        name=name or f"{config['agent']}-seed{config['seed']}@{info.dataset}",
        item_ids=tuple(str(text) for text in items.item_ids),
        users=_user_encoder(artifacts, info),
        launch=catalogue,
        catalogue=catalogue,
        horizon=rules.session.horizon,
        item_priors=prior_table(artifacts.load("item_priors"), info.n_items),
        shelves=items.shelves if rules.candidates.enforce_shelves else None,
    )


def judged_sessions(artifacts: ProjectArtifacts) -> pd.DataFrame:
    """Return the sessions in which the evaluation simulator judged the project's trained policy.

    Args:
        artifacts: Parameters and files of one dataset.

    Raises:
        UserError: The policy was not judged yet; names what to run.
    """
    from hsrl_pipeline.config.root import validate_parameters

    rules = validate_parameters(artifacts.parameters)
    sessions: pd.DataFrame = artifacts.load("evaluation_sessions")
    own = sessions[
        (sessions["policy"] == rules.agent.shown_name)
        & (sessions["seed"] == rules.seed)
        & (sessions["simulator"] == "eval")
        & (sessions["regime"] == rules.candidates.regime)
    ]
    if own.empty:
        raise UserError(
            f"{rules.agent.shown_name} with seed {rules.seed} was not judged yet",
            where="evaluation_sessions",
            remedy="Run first: kedro run --pipeline offline_eval with the same options.",
        )
    return own.reset_index(drop=True)


def _user_encoder(artifacts: ProjectArtifacts, info: Any) -> UserEncoder:
    """Return codes and scales, the latter from raw and standardised numbers side by side."""
    values = artifacts.load("category_values")
    numbers: dict[str, NumberScale] = {}
    if info.dense_fields:
        raw = artifacts.load("user_features")
        users = artifacts.load("users")
        columns = [f"dense_{name}" for name in info.dense_fields]
        joined = users[["user_id", *columns]].merge(
            raw[["user_id", *columns]], on="user_id", suffixes=("", "_raw")
        )
        for name, column in zip(info.dense_fields, columns, strict=True):
            numbers[name] = NumberScale.between(
                joined[f"{column}_raw"].to_numpy(np.float64), joined[column].to_numpy(np.float64)
            )
    categories = {field.name: tuple(values[field.name]) for field in info.category_fields}
    return UserEncoder(categories, numbers)
