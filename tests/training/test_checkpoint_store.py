import pytest
import torch

from hsrl_pipeline import atomic
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.training.checkpoint_store import FileCheckpointStore


def test_save_load_discard(tmp_path):
    store = FileCheckpointStore(tmp_path / "deep" / "run.pt")
    assert store.load() is None
    store.save({"a": torch.arange(3), "b": {"c": [1, "x", None]}})
    state = store.load()
    assert torch.equal(state["a"], torch.arange(3)) and state["b"] == {"c": [1, "x", None]}
    store.discard()
    assert store.load() is None
    store.discard()


def test_a_failed_save_leaves_the_old_state(tmp_path, monkeypatch):
    store = FileCheckpointStore(tmp_path / "run.pt")
    store.save({"iteration": 1})

    def full_disk(state, file):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        store.save({"iteration": 2})
    assert store.load() == {"iteration": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_discard_removes_what_a_killed_run_left(tmp_path):
    store = FileCheckpointStore(tmp_path / "run.pt")
    host = atomic._HOST
    (tmp_path / f".run.pt.{host}.999999999-ab.partial").write_bytes(b"half")
    store.discard()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "run.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="can't be read") as caught:
        FileCheckpointStore(path).load()
    assert str(path) in str(caught.value)
