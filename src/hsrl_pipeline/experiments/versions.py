"""What tells one trial from another: its settings, its data, and how the code behaves."""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]

AROUND = (
    "__main__.py",
    "atomic.py",
    "cli.py",
    "errors.py",
    "experiment_runs",
    "experiments",
    "hooks",
    "io",
    "lazy_names.py",
    "pipeline_registry.py",
    "pipelines/reporting",
    "progress.py",
    "settings.py",
    "tracking",
)
"""What stands around a result and decides none of its digits."""


def settings_key(facts: Mapping[str, Any]) -> str:
    """Return a name that is equal for equal facts.

    Args:
        facts: A tree of what JSON knows; the order of its keys does not matter.

    Returns:
        16 hexadecimal digits.
    """
    text = json.dumps(facts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def behaviour_version(package: Path = PACKAGE) -> str:
    """Return a hash of all code that decides a trial's numbers, and of torch's version.

    Comments, docstrings and layout do not count, nor does the code around a result: commits that
    differ in these behave alike, and their trials may stand in one table.

    Args:
        package: Folder of the package.

    Returns:
        12 hexadecimal digits.
    """
    from importlib.metadata import version

    digest = hashlib.sha256(f"torch {version('torch')} numpy {version('numpy')}".encode())
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if any(name == part or name.startswith(f"{part}/") for part in AROUND):
            continue
        digest.update(name.encode())
        digest.update(_without_docstrings(path.read_text()).encode())
    return digest.hexdigest()[:12]


def _without_docstrings(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                statement
                for statement in body
                if not (
                    isinstance(statement, ast.Expr)
                    and isinstance(statement.value, ast.Constant)
                    and isinstance(statement.value.value, str)
                )
            ]
    return ast.dump(tree)


def commit_of(project: Path) -> str:
    """Return the short commit of a working tree, with ``+changes`` if its source was changed.

    Args:
        project: The project's root.

    Returns:
        ``"unknown"`` where there is no git.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(project), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "--short", "HEAD")
        changed = bool(commit) and bool(git("status", "--porcelain", "--", "src", "conf"))
    except OSError:
        return "unknown"
    return f"{commit}+changes" if changed else commit or "unknown"
