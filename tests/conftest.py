"""Fixtures for all tests."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first, so that no process waits for them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Let torch compute on two threads as long as a test lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def with_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return a function that gives a project's folder a store of runs that holds none yet.

    MLflow takes seconds to make one, so that one is made and copied.
    """
    from hsrl_pipeline.tracking.store import open_client

    made = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        open_client(made)

    def place(project: Path) -> Path:
        shutil.copy(made / "mlflow.db", project)
        return project

    return place
