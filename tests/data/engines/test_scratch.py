import os
from pathlib import Path

import pytest

from hsrl_pipeline.data.engines.scratch import move_file, new_scratch, scratch_folder, sweep_scratch


def test_a_scratch_folder_is_removed_at_the_end_also_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), scratch_folder(tmp_path) as folder:
        (folder / "part").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_only_folders_of_processes_that_ended_are_swept(tmp_path: Path) -> None:
    own = new_scratch(tmp_path)
    stale = tmp_path / "scratch-999999999-abc"
    stale.mkdir()
    (tmp_path / "events").mkdir()
    sweep_scratch(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["events", own.name])
    sweep_scratch(tmp_path / "nowhere")


def test_files_move_also_between_file_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "below" / "target"
    source.write_text("new")
    move_file(source, target)
    assert (target.read_text(), source.exists()) == ("new", False)
    source.write_text("newer")
    replace = os.replace

    def refuse_across(old: Path, new: Path) -> None:
        if old == source:
            raise OSError("Invalid cross-device link")
        replace(old, new)

    monkeypatch.setattr(os, "replace", refuse_across)
    move_file(source, target)
    assert (target.read_text(), source.exists()) == ("newer", False)
    assert [path.name for path in target.parent.iterdir()] == ["target"]
