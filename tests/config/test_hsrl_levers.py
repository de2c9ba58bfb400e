"""Settings of ``hsrl`` that only a head with scores of single items can follow."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hsrl_pipeline.config.agents.hsrl import HsrlSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"unseen_share": 0.3, "policy_head": "codes"},
            "unseen_share needs .* look_up, it is codes",
        ),
        (
            {"absent_share": 0.3, "arrival_prior": 1.0, "policy_head": "trie"},
            "absent_share, arrival_prior needs policy_head look_up, it is trie",
        ),
        ({"absent_share": 0.6, "unseen_share": 0.5}, "are more than all items"),
        ({"arrival_prior": 0.0}, "greater than 0"),
        ({"arrival_bonus": 1.0}, "arrival_prior makes known, which is null"),
        ({"unseen_share": 1.0}, "less than 1"),
    ],
)
def test_levers_that_cannot_be_followed_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        HsrlSettings(**values)


@pytest.mark.parametrize("action_space", ["semantic_ids", "items"])
def test_levers_are_there_for_semantic_ids_and_items_alike(action_space: Any) -> None:
    settings = HsrlSettings(
        action_space=action_space, absent_share=0.5, unseen_share=0.5, arrival_prior=1.0
    )
    assert settings.unseen_share == 0.5
    assert HsrlSettings(policy_head="trie").arrival_prior is None
