from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from kedro.io import DatasetError

from hsrl_pipeline.io.atomic import staged_path
from hsrl_pipeline.io.csv_dataset import AtomicCSVDataset
from hsrl_pipeline.io.figure_dataset import AtomicFigureDataset
from hsrl_pipeline.io.json_dataset import AtomicJSONDataset
from hsrl_pipeline.io.parquet_dataset import AtomicParquetDataset


def test_a_failed_write_leaves_the_last_file_and_no_rest(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "table.csv"
    with staged_path(target) as staging:
        staging.write_text("first")
    with pytest.raises(RuntimeError), staged_path(target) as staging:
        staging.write_text("half")
        raise RuntimeError
    assert target.read_text() == "first"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("dataset", "data"),
    [
        (AtomicParquetDataset, pd.DataFrame({"a": [1, 2]})),
        (AtomicCSVDataset, pd.DataFrame({"a": [1, 2]})),
        (AtomicJSONDataset, {"a": 1}),
    ],
)
def test_datasets_round_trip(tmp_path: Path, dataset, data) -> None:
    args = {"save_args": {"index": False}} if dataset is AtomicCSVDataset else {}
    instance = dataset(filepath=str(tmp_path / "file"), **args)
    assert not instance.exists()
    instance.save(data)
    loaded = instance.load()
    assert loaded.equals(data) if isinstance(data, pd.DataFrame) else loaded == data
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_error_while_saving_keeps_the_last_content(tmp_path: Path) -> None:
    dataset = AtomicJSONDataset(filepath=str(tmp_path / "file.json"))
    dataset.save({"a": 1})
    with pytest.raises(DatasetError):
        dataset.save({"a": object()})
    assert dataset.load() == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]


def test_a_saved_figure_is_a_picture_and_is_closed(tmp_path: Path) -> None:
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    AtomicFigureDataset(filepath=str(tmp_path / "plot.png")).save(figure)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert not plt.fignum_exists(figure.number)
