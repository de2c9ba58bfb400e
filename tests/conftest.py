"""Fixtures for all tests."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch


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
