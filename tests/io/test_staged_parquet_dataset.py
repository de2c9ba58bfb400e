from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError

from hsrl_pipeline.io.folder_dataset import FolderDataset
from hsrl_pipeline.io.staged_parquet_dataset import StagedParquetDataset

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


def test_a_folder_loads_as_its_path(tmp_path: Path) -> None:
    dataset = FolderDataset(filepath=str(tmp_path / "raw"))
    assert dataset.exists()
    assert dataset.load() == tmp_path / "raw"
    assert (tmp_path / "raw").is_dir()
    with pytest.raises(DatasetError, match="can't be saved to"):
        dataset.save(tmp_path)
    assert dataset._describe() == {"filepath": str(tmp_path / "raw")}
