"""The catalog's way to the results of experiments, and to their page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import HTMLPreview

from hsrl_pipeline.atomic import staged_path
from hsrl_pipeline.errors import UserError

if TYPE_CHECKING:
    from hsrl_pipeline.experiments.store import ExperimentStore


class ExperimentResultsDataset(AbstractDataset[NoReturn, "ExperimentStore"]):
    """Loads an ``ExperimentStore``, which must hold an experiment.

    Args:
        filepath: Its folder.
        metadata: Read by Kedro-Viz.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> ExperimentStore:
        """Return the store.

        Raises:
            UserError: No experiment has been run.
        """
        from hsrl_pipeline.experiments.store import ExperimentStore

        store = ExperimentStore(self._filepath)
        results = self._filepath.glob("trials/*/result.json")
        if not store.experiments() or next(results, None) is None:
            raise UserError(
                "no experiment has a result yet",
                where=str(self._filepath),
                remedy="Run one first: kedro experiment table2",
            )
        return store

    def save(self, data: NoReturn) -> None:
        """Refuse: trials write their results themselves.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError("results are written by kedro experiment")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class PageDataset(AbstractDataset[str, str]):
    """An HTML page on disk, written atomically.

    Args:
        filepath: The file.
        metadata: Read by Kedro-Viz and by the tracking hook.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> str:
        """Return the page."""
        return self._filepath.read_text(encoding="utf-8")

    def preview(self) -> HTMLPreview:
        """Return the page for Kedro-Viz."""
        return HTMLPreview(self.load())

    def save(self, data: str) -> None:
        """Write the page in one step."""
        with staged_path(self._filepath) as staging:
            staging.write_text(data, encoding="utf-8")

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
