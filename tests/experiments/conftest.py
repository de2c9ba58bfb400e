"""Fixtures of the tests of experiments."""

import pytest

from hsrl_pipeline.experiments.store import ExperimentStore


@pytest.fixture
def store(tmp_path) -> ExperimentStore:
    """Return a store that holds no experiment yet."""
    return ExperimentStore(tmp_path)
