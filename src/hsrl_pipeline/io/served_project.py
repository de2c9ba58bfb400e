"""What a finished project serves, and who visits it, from what its pipelines have persisted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.io.project_artifacts import ProjectArtifacts
from hsrl_pipeline.io.project_sessions import project_sessions
from hsrl_pipeline.serving.served_model import ServedModel, everything_live
from hsrl_pipeline.serving.user_features import NumberScale, UserEncoder

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from hsrl_pipeline.data.dataset_info import DatasetInfo
    from hsrl_pipeline.semantic_ids.codebook import Codebook
    from hsrl_pipeline.serving.ab.catalogue_moves import CatalogueMove
    from hsrl_pipeline.serving.ab.visitors import Visitors
    from hsrl_pipeline.serving.item_publisher import ItemPublisher


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
    from hsrl_pipeline.semantic_ids.vector_checkpoints import vectors_for_policies

    artifacts.check_together(
        "dataset_info",
        "users",
        "items",
        "item_vectors",
        "item_vectorizer",
        "codebook",
        "trained_policy",
    )
    rules = validate_parameters(artifacts.parameters)
    info = DatasetInfo.from_dict(artifacts.load("dataset_info"))
    policy = artifacts.load("trained_policy")
    items = ItemTable.from_frame(artifacts.load("items"), info)
    vectors = vectors_for_policies(artifacts.load("item_vectors"))
    codebook = artifacts.load("codebook")
    codes = np.ascontiguousarray(codebook.codes, dtype=np.int64)
    catalogue = everything_live(np.ascontiguousarray(vectors), codes)
    config = policy["config"]
    return ServedModel(
        policy=policy,
        name=name or f"{config['agent']}-seed{config['seed']}@{info.dataset}",
        item_ids=tuple(str(text) for text in items.item_ids),
        users=user_encoder(artifacts, info),
        launch=catalogue,
        catalogue=catalogue,
        horizon=rules.session.horizon,
        item_priors=prior_table(artifacts.load("item_priors"), info.n_items),
        shelves=items.shelves if rules.candidates.enforce_shelves else None,
        publisher=item_publisher(artifacts, info, artifacts.load("item_vectorizer"), codebook),
    )


def simulated_visitors(artifacts: ProjectArtifacts, seed: int | None, n_sessions: int) -> Visitors:
    """Return the users of a project's evaluation simulator as clients of a server.

    Args:
        artifacts: Parameters and files of one dataset.
        seed: Seed of who comes and of the clicks; None for ``evaluation.seed``.
        n_sessions: Number of sessions.

    Raises:
        UserError: Something was not made yet or does not belong together; names what to run.
    """
    from hsrl_pipeline.config.root import validate_parameters
    from hsrl_pipeline.data.slate_log import DatasetInfo
    from hsrl_pipeline.evaluation.session_draws import SessionDraws
    from hsrl_pipeline.serving.ab.visitors import Visitors

    rules = validate_parameters(artifacts.parameters)
    info = DatasetInfo.from_dict(artifacts.load("dataset_info"))
    chosen = rules.evaluation.seed if seed is None else seed

    def starts(n_rows: int) -> torch.Tensor:
        draws = SessionDraws(chosen, n_rows, rules.session.horizon, info.slate_size)
        return draws.starts(n_sessions)

    parts = project_sessions(artifacts, "eval", starts=starts)
    users = artifacts.load("users")
    user_ids = np.full(int(users["user_index"].max()) + 1, "", dtype=object)
    user_ids[users["user_index"].to_numpy()] = users["user_id"].astype(str).to_numpy()
    return Visitors(
        judge=parts.judge,
        pool=parts.pool,
        setting=parts.setting,
        item_ids=tuple(str(text) for text in parts.items.item_ids),
        user_ids=tuple(user_ids),
        features=user_encoder(artifacts, info),
        seed=chosen,
    )


def scheduled_moves(artifacts: ProjectArtifacts, model: ServedModel) -> tuple[CatalogueMove, ...]:
    """Return the changes of the project's moving catalogue, spread evenly over a test's sessions.

    Args:
        artifacts: Parameters and files of one dataset.
        model: What is served.

    Raises:
        UserError: There is no schedule yet, or it is of other items.
    """
    from hsrl_pipeline.catalogue.schedule import CatalogueSchedule
    from hsrl_pipeline.serving.ab.catalogue_moves import moves_of_schedule

    schedule = CatalogueSchedule.from_document(artifacts.load("catalogue_schedule"))
    if schedule.n_items != len(model.item_index):
        raise UserError(
            f"The schedule is of {schedule.n_items} items, the model of {len(model.item_index)}",
            where=f"catalogue_schedule, model {model.name}",
            remedy="Run first: kedro run --pipeline moving_catalogue with the same options.",
        )
    return moves_of_schedule(schedule, model.item_ids, model.catalogue.live)


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


def user_encoder(artifacts: ProjectArtifacts, info: DatasetInfo) -> UserEncoder:
    """Return codes and scales of user features, as the training split gave them.

    Args:
        artifacts: Files of one dataset.
        info: Its field names.
    """
    values = artifacts.load("category_values")
    numbers: dict[str, NumberScale] = {}
    if info.dense_fields:
        columns = [f"dense_{name}" for name in info.dense_fields]
        pairs = _side_by_side(artifacts, "user", columns)
        for name, column in zip(info.dense_fields, columns, strict=True):
            numbers[name] = NumberScale.between(*pairs[column])
    categories = {field.name: tuple(values[field.name]) for field in info.category_fields}
    return UserEncoder(categories, numbers)


def item_publisher(
    artifacts: ProjectArtifacts,
    info: DatasetInfo,
    transform: Mapping[str, Any],
    codebook: Codebook,
) -> ItemPublisher:
    """Return what makes vectors and semantic IDs of items that the dataset does not have.

    Args:
        artifacts: Files of the dataset.
        info: Its field names.
        transform: Checkpoint of the frozen transform of item vectors.
        codebook: The frozen codebook.
    """
    from hsrl_pipeline.semantic_ids.item_facts import FactColumns
    from hsrl_pipeline.semantic_ids.item_vectorizer import ItemVectorizer
    from hsrl_pipeline.serving.item_features import ContentColumn, ItemEncoder
    from hsrl_pipeline.serving.item_publisher import ItemPublisher

    columns = [f"content_{name}" for name in info.content_fields]
    pairs = _side_by_side(artifacts, "item", columns) if columns else {}
    content = tuple(
        ContentColumn.between(name, *pairs[column])
        for name, column in zip(info.content_fields, columns, strict=True)
    )
    facts = FactColumns.from_dict(transform["config"]["facts"])
    return ItemPublisher(
        encoder=ItemEncoder(content, info.vector_size, facts),
        vectorizer=ItemVectorizer.from_checkpoint(transform),
        quantizer=codebook.quantizer,
        vocab_sizes=tuple(int(size) for size in codebook.vocab_sizes),
        collisions=codebook.collisions,
    )


def _side_by_side(
    artifacts: ProjectArtifacts, kind: str, columns: list[str]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return raw numbers and those of the canonical table, row by row, of some columns.

    Ingestion keeps no record of means and deviations, but the two tell them.

    Args:
        artifacts: Files of one dataset.
        kind: ``user`` or ``item``.
        columns: Names in both tables.
    """
    key = f"{kind}_id"
    table, raw = artifacts.load(f"{kind}s")[[key, *columns]], artifacts.load(f"{kind}_features")
    joined = table.merge(raw[[key, *columns]], on=key, suffixes=("", "_raw"))
    return {
        column: (
            joined[f"{column}_raw"].to_numpy(np.float64),
            joined[column].to_numpy(np.float64),
        )
        for column in columns
    }
