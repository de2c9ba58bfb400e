"""``kedro ab``: the report it writes, and one message for what is mistyped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.serving.ab.small_test import small_visitors
from tests.serving.small_model import IDS, small_model

from hsrl_pipeline import ab_command
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


class SmallArtifacts:
    """A project of the small model."""

    def __init__(self, *asked: Any) -> None:
        self.asked = asked

    def load(self, name: str) -> dict[str, Any]:
        assert name == "dataset_info"
        return {"dataset": "small"}


@pytest.mark.slow
def test_a_report_is_written_and_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ab_command, "ProjectArtifacts", SmallArtifacts)
    monkeypatch.setattr(
        ab_command,
        "served_model",
        lambda artifacts: small_model().named(str(artifacts.asked[2])),
    )
    monkeypatch.setattr(ab_command, "simulated_visitors", lambda *_: small_visitors())
    changes = tmp_path / "changes.json"
    changes.write_text(json.dumps([{"at": 0.5, "release": [IDS[1], IDS[7]]}]))
    told = list(
        compare_models(tmp_path, "sl", "hsrl:3", OPTIONS | {"changes": str(changes), "clients": 4})
    )
    report = tmp_path / "data/08_reporting/small/ab/sl-hsrl_3/report.json"
    assert told[-1] == f"Report: {report.with_suffix('.html')}"
    assert "0 failed, 0 slots on released items" in told[-2]
    document = json.loads(report.read_text())
    assert document["arms"]["A"]["model"] == "{'agent': {'name': 'sl'}}"
    assert document["arms"]["B"]["model"] == "{'agent': {'name': 'hsrl'}, 'seed': 3}"
    assert document["settings"]["users"] == "evaluation simulator"
    assert [change["released"] for change in document["changes"]] == [2, 2]
