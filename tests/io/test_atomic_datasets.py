from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError

from hsrl_pipeline.io.atomic_datasets import (
    AtomicCSVDataset,
    AtomicJSONDataset,
    AtomicParquetDataset,
    StagedParquetDataset,
)


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


FRAME = pd.DataFrame({"n": range(10)})


@pytest.fixture
def dataset(tmp_path: Path) -> StagedParquetDataset:
    return StagedParquetDataset(filepath=str(tmp_path / "primary" / "table.parquet"))


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    path = tmp_path / "staged.parquet"
    FRAME.to_parquet(path)
    return path


def test_a_staged_file_is_moved_into_place(dataset: StagedParquetDataset, staged: Path) -> None:
    content = staged.read_bytes()
    dataset.save(staged)
    assert not staged.exists()
    assert Path(str(dataset._filepath)).read_bytes() == content
    pd.testing.assert_frame_equal(dataset.load(), FRAME)


def test_frames_are_written_and_previewed(dataset: StagedParquetDataset) -> None:
    dataset.save(FRAME)
    assert dataset.preview(nrows=3)["data"] == [[0], [1], [2]]
    dataset.save(FRAME.head(0))
    assert dataset.preview()["data"] == []


@pytest.mark.parametrize("kind", [AtomicParquetDataset, StagedParquetDataset])
def test_parquet_keeps_what_a_frame_was_made_from(tmp_path: Path, kind) -> None:
    dataset = kind(filepath=str(tmp_path / "file"))
    frame = pd.DataFrame({"a": [1, 2]})
    dataset.save(frame)
    assert dataset.provenance() == {}
    frame.attrs["dataset_version"] = "d1"
    dataset.save(frame)
    assert dataset.provenance() == {"dataset_version": "d1"} == dataset.load().attrs
    (tmp_path / "file").write_bytes(b"no parquet")
    with pytest.raises(DatasetError, match="can't be read"):
        dataset.provenance()
