from pathlib import Path

import numpy as np
import pytest
import torch
from kedro.io import DatasetError

from hsrl_pipeline.io.checkpoint_dataset import CheckpointDataset


def test_round_trip_keeps_values_dtypes_and_config(tmp_path: Path) -> None:
    dataset = CheckpointDataset(filepath=str(tmp_path / "model" / "policy.safetensors"))
    shared = torch.arange(6.0).reshape(2, 3)
    state = {"weight": shared, "transposed": shared.T, "codes": np.array([[1, 2]], dtype=np.int64)}
    config = {"agent": "hsrl", "sizes": [1, 2], "nested": {"gamma": 0.9}}
    assert not dataset.exists()
    dataset.save({"config": config, "state": state})
    loaded = dataset.load()
    assert dataset.exists()
    assert loaded["config"] == config == dataset.provenance()
    assert torch.equal(loaded["state"]["weight"], shared)
    assert torch.equal(loaded["state"]["transposed"], shared.T)
    assert loaded["state"]["codes"].dtype == torch.int64


def test_same_content_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        CheckpointDataset(filepath=str(tmp_path / name)).save(
            {"config": {"x": 1, "y": 2}, "state": {"w": torch.ones(3)}}
        )
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint at all"])
def test_missing_or_corrupt_files_are_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "policy.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"policy\.safetensors"):
        CheckpointDataset(filepath=str(path)).load()
    with pytest.raises(DatasetError, match=r"policy\.safetensors"):
        CheckpointDataset(filepath=str(path)).provenance()


def test_a_failed_save_keeps_the_last_state(tmp_path: Path) -> None:
    dataset = CheckpointDataset(filepath=str(tmp_path / "policy.safetensors"))
    dataset.save({"config": {}, "state": {"w": torch.ones(2)}})
    with pytest.raises(DatasetError):
        dataset.save({"config": {"bad": object()}, "state": {"w": torch.zeros(2)}})
    assert torch.equal(dataset.load()["state"]["w"], torch.ones(2))


def test_others_may_read_what_the_umask_allows(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    CheckpointDataset(filepath=str(path)).save({"config": {}, "state": {"w": torch.ones(1)}})
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
