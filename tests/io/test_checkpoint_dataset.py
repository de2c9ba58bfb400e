from pathlib import Path

import pytest
import torch
from kedro.io import DatasetError

from hsrl_pipeline.checkpoint import Checkpoint, write_checkpoint
from hsrl_pipeline.errors import user_error_in
from hsrl_pipeline.io.checkpoint_dataset import CheckpointDataset


def test_the_catalog_saves_the_file_that_the_library_writes(tmp_path: Path) -> None:
    content: Checkpoint = {"config": {"gamma": 0.9}, "state": {"w": torch.arange(3.0)}}
    dataset = CheckpointDataset(filepath=str(tmp_path / "model" / "policy.safetensors"))
    assert not dataset.exists()
    dataset.save(content)
    assert dataset.exists()
    write_checkpoint(tmp_path / "plain", content)
    saved = tmp_path / "model" / "policy.safetensors"
    assert saved.read_bytes() == (tmp_path / "plain").read_bytes()
    loaded = dataset.load()
    assert loaded["config"] == content["config"]
    assert torch.equal(loaded["state"]["w"], content["state"]["w"])
    assert dataset.provenance() == content["config"]


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint at all"])
def test_missing_or_corrupt_files_are_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "policy.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"policy\.safetensors") as caught:
        CheckpointDataset(filepath=str(path)).load()
    assert str(user_error_in(caught.value)) == str(caught.value)  # one message, no traceback
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
