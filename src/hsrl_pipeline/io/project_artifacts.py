"""What a trained project has persisted, read without a Kedro session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.io import AbstractDataset

from hsrl_pipeline.errors import UserError
from hsrl_pipeline.io.provenance_on_disk import provenance_on_disk
from hsrl_pipeline.io.regime_folders import judged_as, policy_regime_folder, regime_folder
from hsrl_pipeline.provenance import KNOWN, check_provenance, provenance_of

CONF_READING: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
    "custom_resolvers": {
        "regime_folder": regime_folder,
        "policy_regime_folder": policy_regime_folder,
        "judged_as": judged_as,
    },
}
"""How ``conf/`` is read, by a Kedro session and without one."""

BASE_DATASET = "synthetic"
"""The dataset of conf/base; every other one has an environment of its own name."""


class ProjectArtifacts:
    """Parameters and persisted data of one dataset of a project.

    Args:
        project: Root folder of the project.
        dataset: Name of the dataset; its environment under ``conf/`` applies.
        parameters: Nested overrides, as ``--params`` would give them.

    Raises:
        UserError: The folder is no project, or it has no such dataset.
    """

    def __init__(
        self, project: str | Path, dataset: str, parameters: Mapping[str, Any] | None = None
    ) -> None:
        self._project = Path(project).resolve()
        self._dataset = dataset
        conf = self._project / "conf"
        if not (conf / "base").is_dir():
            raise UserError(
                f"{self._project} is no project: it has no conf/base folder",
                where="project",
                remedy="Give the folder that `kedro run` is started from.",
            )
        if dataset != BASE_DATASET and not (conf / dataset).is_dir():
            raise UserError(
                f"There is no dataset named {dataset!r}",
                where="dataset",
                remedy=f"{conf} has no folder of that name; the base dataset is {BASE_DATASET!r}.",
            )
        loader = OmegaConfigLoader(
            conf_source=str(conf),
            env=None if dataset == BASE_DATASET else dataset,
            runtime_params=dict(parameters or {}),
            **CONF_READING,
        )
        self._catalog: dict[str, Any] = loader["catalog"]
        self._facts: dict[str, Mapping[str, Any]] = {}
        self.parameters: dict[str, Any] = loader["parameters"]

    def check_together(self, *names: str) -> None:
        """Refuse entries that do not belong together, all of them in one message.

        Args:
            names: Entries; those not made yet are left to `load`.

        Raises:
            UserError: One was made from another version of another; names the pipelines to run.
        """
        for name in names:
            entry = self._entry(name)
            if entry.exists():
                self._facts[name] = provenance_on_disk(entry)
        check_provenance(self._facts, self._env_option)

    def load(self, name: str) -> Any:
        """Return an entry of the catalog.

        Raises:
            UserError: The entry was not made yet, or was made from something else than the entries
                loaded before; names the pipeline that makes it.
        """
        entry = self._entry(name)
        if not entry.exists():
            from hsrl_pipeline.pipeline_registry import pipeline_that_makes

            raise UserError(
                f"The project has no {name} of dataset {self._dataset!r} yet",
                where=str(self._path(name)),
                remedy=f"Run first: kedro run --pipeline {pipeline_that_makes(name)}"
                f"{self._env_option}",
            )
        data = entry.load()
        if name in KNOWN:
            self._facts[name] = provenance_of(data)
            check_provenance(self._facts, self._env_option)
        return data

    @property
    def _env_option(self) -> str:
        return "" if self._dataset == BASE_DATASET else f" --env {self._dataset}"

    def _path(self, name: str) -> Path:
        return self._project / str(self._catalog[name]["filepath"])

    def _entry(self, name: str) -> AbstractDataset[Any, Any]:
        config = {**self._catalog[name], "filepath": str(self._path(name))}
        entry: AbstractDataset[Any, Any] = AbstractDataset.from_config(name, config)
        return entry
