"""What Kedro-Viz shows of datasets: it knows a preview by the name of its type."""

from __future__ import annotations

import base64
import inspect
from pathlib import Path

import pandas as pd
import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog

from hsrl_pipeline.io.history_dataset import TrainingHistoryDataset
from hsrl_pipeline.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[2] / "conf"

SHOWN = {
    "data_quality_report": "JSONPreview",
    "data_quality_plot": "ImagePreview",
    "interactions": "TablePreview",
    "sid_diagnostics": "JSONPreview",
    "sid_diagnostics_plot": "ImagePreview",
    "sid_comparison": "TablePreview",
    "simulator_fidelity": "TablePreview",
    "simulator_reliability_plot": "ImagePreview",
    "training_history": "ImagePreview",
    "summary": "TablePreview",
    "policy_differences": "TablePreview",
    "policy_differences_plot": "ImagePreview",
    "experiment_moving": "TablePreview",
    "experiment_areas": "TablePreview",
    "experiment_scores": "TablePreview",
    "experiment_comparisons": "TablePreview",
    "experiment_scores_plot": "ImagePreview",
    "experiment_report": "HTMLPreview",
}


@pytest.fixture(scope="module")
def catalog() -> DataCatalog:
    loader = OmegaConfigLoader(str(CONF), env="test", **CONFIG_LOADER_ARGS)
    return DataCatalog.from_config(loader["catalog"])


@pytest.mark.parametrize(("name", "kind"), SHOWN.items())
def test_the_catalog_shows_reports_curves_and_comparisons(catalog, name, kind) -> None:
    dataset = catalog.get(name)
    annotation = inspect.signature(dataset.preview).return_annotation
    assert getattr(annotation, "__name__", annotation) == kind
    marks = dataset.metadata["kedro-viz"]
    inspect.signature(dataset.preview).bind(**marks.get("preview_args", {}))


@pytest.mark.parametrize("n_curves", [1, 5])
def test_curves_are_shown_as_a_picture(tmp_path, n_curves) -> None:
    dataset = TrainingHistoryDataset(filepath=str(tmp_path / "history.parquet"))
    curves = {f"loss_{number}": [1.0, None, 0.5] for number in range(n_curves)}
    dataset.save(pd.DataFrame({"iteration": [20, 40, 60], **curves}))
    assert base64.b64decode(dataset.preview()).startswith(b"\x89PNG")
