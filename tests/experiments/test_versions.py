"""What tells one trial from another."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hsrl_pipeline.experiments.versions import behaviour_version, commit_of, settings_key

SOURCE = '"""What it is."""\n\n\ndef double(x):\n    """Return twice."""\n    return 2 * x  # why\n'


def package(folder: Path, source: str, around: str = "") -> Path:
    folder.mkdir()
    (folder / "core.py").write_text(source)
    (folder / "io").mkdir()
    (folder / "io" / "files.py").write_text(around)
    return folder


def test_a_key_depends_on_values_and_not_on_their_order() -> None:
    key = settings_key({"a": 1, "b": {"c": [1, 2], "d": None}})
    assert settings_key({"b": {"d": None, "c": [1, 2]}, "a": 1}) == key
    assert settings_key({"a": 1, "b": {"c": [2, 1], "d": None}}) != key
    # the first 16 digits of: printf "{\"a\": 1}" | sha256sum
    assert settings_key({"a": 1}) == "f9d86028c6e0d64e"


def test_comments_docstrings_and_what_stands_around_do_not_count(tmp_path) -> None:
    first = behaviour_version(package(tmp_path / "a", SOURCE))
    other = "def double(x):\n    return (2 *\n            x)\n"
    assert behaviour_version(package(tmp_path / "b", other, around="x = 1\n")) == first


def test_code_counts(tmp_path) -> None:
    first = behaviour_version(package(tmp_path / "a", SOURCE))
    changed = SOURCE.replace("2 * x", "3 * x")
    assert behaviour_version(package(tmp_path / "b", changed)) != first


def test_the_commit_says_whether_the_source_was_changed(tmp_path) -> None:
    assert commit_of(tmp_path) == "unknown"

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *who, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("a = 1\n")
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "--short", "HEAD")
    assert commit_of(tmp_path) == commit
    (tmp_path / "notes.txt").touch()
    assert commit_of(tmp_path) == commit
    (tmp_path / "src" / "a.py").write_text("a = 2\n")
    assert commit_of(tmp_path) == f"{commit}+changes"
