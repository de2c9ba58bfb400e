from pathlib import Path

import pytest

from hsrl_pipeline.data.engines.scratch import new_scratch, scratch_folder, sweep_scratch


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
