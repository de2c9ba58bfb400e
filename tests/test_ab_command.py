"""What is mistyped after ``kedro ab`` is one message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hsrl_pipeline.ab_command import compare_models
from hsrl_pipeline.errors import UserError

ROOT = Path(__file__).parents[1]
OPTIONS = {
    "env": "test",
    "sessions": 100,
    "clients": 2,
    "seed": None,
    "moving": False,
    "changes": None,
    "explore": False,
    "events": None,
    "output": None,
}


@pytest.mark.parametrize(
    ("names", "options", "told"),
    [
        (("hsrl", "sl"), {"moving": True, "changes": "x.json"}, "given at once"),
        (("hsrl:one", "sl"), {}, "'hsrl:one' names no model"),
        (("hsrl:", "sl"), {}, "'hsrl:' names no model"),
        (("hsrl", "sl"), {"env": "nowhere"}, "no dataset named 'nowhere'"),
        (("hsrl", "sl"), {}, "Run first: kedro run --pipeline"),
        (("hsrll", "sl"), {}, "hsrll"),
    ],
)
def test_bad_input(
    tmp_path: Path, names: tuple[str, str], options: dict[str, Any], told: str
) -> None:
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    with pytest.raises(UserError, match=told):
        list(compare_models(tmp_path, *names, OPTIONS | options))
