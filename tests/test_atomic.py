"""Writes survive errors and kills; what killed processes left goes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hsrl_pipeline import atomic
from hsrl_pipeline.atomic import is_running, move_into_place, staged_path, sweep_unfinished

DEAD = 999_999_999
KILLED_WHILE_WRITING = """
import os, signal, sys
from hsrl_pipeline.atomic import staged_path
with staged_path(sys.argv[1]) as staging:
    staging.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leave_unfinished(target: Path, process: int = DEAD, host: str = atomic._HOST) -> Path:
    left = target.with_name(f".{target.name}.{host}.{process}-0f.partial")
    left.write_text("half")
    return left


def refuse_moves_from(source: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    replace = os.replace

    def refuse(old: Path, new: Path) -> None:
        if old == source:
            raise OSError(error, os.strerror(error))
        replace(old, new)

    monkeypatch.setattr(os, "replace", refuse)


def test_an_error_in_the_body_leaves_the_last_file_and_no_rest(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "table.csv"
    with staged_path(target) as staging:
        staging.write_text("first")
    with pytest.raises(RuntimeError), staged_path(target) as staging:
        staging.write_text("half")
        raise RuntimeError
    assert target.read_text() == "first"
    assert names(target.parent) == ["table.csv"]


def test_a_kill_in_the_body_leaves_the_last_file_and_the_next_write_sweeps(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("first")
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_text() == "first"
    assert len(names(tmp_path)) == 2
    with staged_path(target) as staging:
        staging.write_text("second")
    assert target.read_text() == "second"
    assert names(tmp_path) == ["table.csv"]


def test_the_content_is_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    flush, replace = os.fsync, os.replace

    def note_flush(descriptor: int) -> None:
        done.append(f"flush {os.fstat(descriptor).st_size}")
        flush(descriptor)

    def note_replace(old: Path, new: Path) -> None:
        done.append(f"name {new.name}")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(os, "replace", note_replace)
    with staged_path(tmp_path / "a") as staging:
        staging.write_text("four")
    (tmp_path / "b").write_text("seven!!")
    move_into_place(tmp_path / "b", tmp_path / "c")
    assert done == ["flush 4", "name a", "flush 7", "name c"]


def test_two_writers_of_one_process_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    with staged_path(target) as outer:
        outer.write_text("outer")
        with staged_path(target) as inner:
            inner.write_text("inner")
        assert target.read_text() == "inner"
    assert target.read_text() == "outer"


def test_others_may_read_what_the_umask_allows(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with staged_path(tmp_path / "strict") as staging:
        staging.chmod(0o600)
    assert (tmp_path / "strict").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_only_what_ended_processes_left_beside_this_file_is_swept(tmp_path: Path) -> None:
    target = tmp_path / "run[1].pt"
    dead = leave_unfinished(target)
    running = leave_unfinished(target, os.getpid())
    elsewhere = leave_unfinished(target, host="another_machine")
    forgotten = leave_unfinished(target, host="third_machine")
    two_days_ago = forgotten.stat().st_mtime - 2 * 24 * 3600
    os.utime(forgotten, (two_days_ago, two_days_ago))
    other = leave_unfinished(tmp_path / "other.pt")
    sweep_unfinished(target)
    assert not dead.exists()
    assert not forgotten.exists()
    assert names(tmp_path) == sorted([running.name, elsewhere.name, other.name])
    sweep_unfinished(tmp_path / "nowhere" / "file")


def test_files_move_and_replace_also_between_file_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "below" / "target"
    source.write_text("new")
    move_into_place(source, target)
    assert (target.read_text(), source.exists()) == ("new", False)
    source.write_text("newer")
    refuse_moves_from(source, monkeypatch, errno.EXDEV)
    move_into_place(source, target)
    assert (target.read_text(), source.exists()) == ("newer", False)
    assert names(target.parent) == ["target"]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_folders_move_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    source, target = tmp_path / "unpacked", tmp_path / "raw" / "rl4rs"
    (source / "below").mkdir(parents=True)
    (source / "below" / "rows.csv").write_text("1")
    if elsewhere:
        refuse_moves_from(source, monkeypatch, errno.EXDEV)
    move_into_place(source, target)
    assert (target / "below" / "rows.csv").read_text() == "1"
    assert not source.exists()
    assert names(target.parent) == ["rl4rs"]


def test_a_move_that_is_refused_leaves_both_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("new")
    target.write_text("old")
    refuse_moves_from(source, monkeypatch, errno.EACCES)
    with pytest.raises(PermissionError):
        move_into_place(source, target)
    assert (source.read_text(), target.read_text()) == ("new", "old")


def test_processes_that_run_and_that_do_not() -> None:
    assert is_running(os.getpid())
    assert is_running(1)
    assert not is_running(DEAD)
