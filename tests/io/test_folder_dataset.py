from pathlib import Path

import pytest
from kedro.io import DatasetError

from hsrl_pipeline.io.folder_dataset import FolderDataset


def test_a_folder_loads_as_its_path(tmp_path: Path) -> None:
    dataset = FolderDataset(filepath=str(tmp_path / "raw"))
    assert dataset.exists()
    assert dataset.load() == tmp_path / "raw"
    assert (tmp_path / "raw").is_dir()
    with pytest.raises(DatasetError, match="can't be saved to"):
        dataset.save(tmp_path)
    assert dataset._describe() == {"filepath": str(tmp_path / "raw")}
