"""Model state is written and read without Kedro; the catalog's dataset is thin over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hsrl_pipeline.checkpoint import read_checkpoint, write_checkpoint
from hsrl_pipeline.errors import UserError


def test_round_trip_keeps_values_dtypes_and_config(tmp_path: Path) -> None:
    path = tmp_path / "model" / "policy.safetensors"
    shared = torch.arange(6.0).reshape(2, 3)
    state = {"weight": shared, "transposed": shared.T, "codes": np.array([[1, 2]], dtype=np.int64)}
    config = {"agent": "hsrl", "sizes": [1, 2], "nested": {"gamma": 0.9}}
    write_checkpoint(path, {"config": config, "state": state})
    loaded = read_checkpoint(str(path))
    assert loaded["config"] == config
    assert torch.equal(loaded["state"]["weight"], shared)
    assert torch.equal(loaded["state"]["transposed"], shared.T)
    assert loaded["state"]["codes"].dtype == torch.int64


def test_same_content_same_bytes(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a", {"config": {"x": 1, "y": 2}, "state": {"w": torch.ones(3)}})
    write_checkpoint(tmp_path / "b", {"config": {"y": 2, "x": 1}, "state": {"w": np.ones(3, "f4")}})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_missing_file_is_named_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"policy\.safetensors does not exist\. Run the pipeline"):
        read_checkpoint(tmp_path / "policy.safetensors")


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all"])
def test_an_unreadable_file_is_named_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "policy.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is not a readable checkpoint: .*Run the pipeline"):
        read_checkpoint(path)


def test_a_failed_write_keeps_the_last_state(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    write_checkpoint(path, {"config": {}, "state": {"w": torch.ones(2)}})
    with pytest.raises(TypeError):
        write_checkpoint(path, {"config": {"bad": object()}, "state": {"w": torch.zeros(2)}})
    assert torch.equal(read_checkpoint(path)["state"]["w"], torch.ones(2))
