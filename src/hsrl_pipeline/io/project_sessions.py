"""Simulated users of a trained project, and the rules that their sessions go by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hsrl_pipeline.config.root import Parameters, validate_parameters
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.io.project_artifacts import ProjectArtifacts

if TYPE_CHECKING:
    import torch

    from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable, UserTable
    from hsrl_pipeline.simulator.response.base import UserResponseModel
    from hsrl_pipeline.simulator.session_setting import SessionSetting
    from hsrl_pipeline.simulator.user_pool import UserPool


@dataclass(frozen=True, eq=False)
class ProjectSessions:
    """What sessions of a project are made of.

    Attributes:
        rules: All parameters.
        info: Sizes and names of features, as the simulator reads them.
        items: Features and ids of the items.
        users: Features of the users, as the simulator reads them.
        setting: Rules, sizes and device of the sessions.
        judge: The simulated users, who know those they were not fitted on.
        pool: Users that sessions start with.
    """

    rules: Parameters
    info: DatasetInfo
    items: ItemTable
    users: UserTable
    setting: SessionSetting
    judge: UserResponseModel
    pool: UserPool


def project_sessions(
    artifacts: ProjectArtifacts,
    simulator: str,
    *,
    split: str | None = None,
    device: str = "cpu",
    starts: Callable[[int], torch.Tensor] | None = None,
) -> ProjectSessions:
    """Return what sessions on one of a project's simulators are made of.

    Args:
        artifacts: Parameters and files of one dataset.
        simulator: ``train`` or ``eval``.
        split: Whose users start sessions: ``train``, ``test`` or ``all``; by default the training
            split for ``train`` and ``evaluation.split`` for ``eval``.
        device: Torch device of the sessions.
        starts: From the number of possible starts to those that sessions start from; None for all.

    Raises:
        UserError: An artifact is missing (says what to run first), or the split is none that the
            judge can start from.
    """
    import torch

    from hsrl_pipeline.data.slate_log import DatasetInfo, ItemTable, SlateLog, UserTable
    from hsrl_pipeline.simulator.judge_pool import pool_for_judge
    from hsrl_pipeline.simulator.newcomers import AnswersBefore, introduce
    from hsrl_pipeline.simulator.response.checkpoint import build_response_model
    from hsrl_pipeline.simulator.response.recorded import RecordedResponse
    from hsrl_pipeline.simulator.response.user_identity import users_as_read
    from hsrl_pipeline.simulator.session_setting import SessionSetting

    artifacts.check_together("dataset_info", "items", "users", f"simulator_{simulator}")
    rules = validate_parameters(artifacts.parameters)
    info = DatasetInfo.from_dict(artifacts.load("dataset_info"))
    items = ItemTable.from_frame(artifacts.load("items"), info)
    setting = SessionSetting(
        session=rules.session,
        reward=rules.reward,
        candidates=rules.candidates,
        slate_size=info.slate_size,
        n_items=info.n_items,
        shelves=items.shelves,
        device=torch.device(device),
    )
    log = SlateLog.from_frames(artifacts.load("slates"), artifacts.load("timeline"))
    splits = {"train": log.train, "test": log.test, "all": log}
    chosen = split or ("train" if simulator == "train" else rules.evaluation.split)
    if chosen not in splits:
        raise UserError(f"{chosen!r} is not one of {', '.join(splits)}", where="split")
    response = artifacts.load(f"simulator_{simulator}")
    users = UserTable.from_frame(artifacts.load("users"), info)
    info, users = users_as_read(info, users, response)
    judge = build_response_model(response, device)
    if isinstance(judge, RecordedResponse) and split is not None:
        raise UserError(
            f"Sessions judged by recorded answers do not start from the split {split!r}",
            where="split",
            remedy="Leave it out: they start from the people whose answers are recorded.",
        )
    pool = pool_for_judge(judge, splits[chosen], log, users, setting.session)
    if rules.evaluation.infer_tastes:
        before = AnswersBefore.of_judge(judge, splits[chosen], log)
        drawn = None if starts is None else starts(len(pool))
        introduced, pool = introduce({simulator: judge}, pool, before, drawn)
        judge = introduced[simulator]
    return ProjectSessions(rules, info, items, users, setting, judge, pool)
