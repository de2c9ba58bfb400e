import pytest

from hsrl_pipeline.serving import waiting_slates
from hsrl_pipeline.serving.waiting_slates import WaitingSlates


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(waiting_slates.time, "monotonic", lambda: now[0])
    return now


def test_a_slate_waits_until_it_is_taken_out(clock):
    waiting = WaitingSlates[str](seconds=10.0, most=5)
    waiting.keep("a", "slate a")
    assert waiting.get("a") == waiting.pop("a") == "slate a"
    assert waiting.get("a") is waiting.pop("a") is waiting.pop_due(crowded=True) is None


def test_the_oldest_gives_way_when_it_is_late_or_too_many_wait_or_it_has_to(clock):
    waiting = WaitingSlates[str](seconds=10.0, most=2)
    for name in "abc":
        waiting.keep(name, name)
        clock[0] += 4.0
    assert waiting.pop_due() == "a"  # late after 12 seconds, and one too many
    assert waiting.pop_due() is None  # b has waited for 8 seconds
    clock[0] += 2.0
    assert waiting.pop_due() == "b"
    assert waiting.pop_due() is None
    assert waiting.pop_due(crowded=True) == "c"


def test_no_more_than_the_most_wait(clock):
    waiting = WaitingSlates[str](seconds=10.0, most=1)
    waiting.keep("a", "a")
    assert waiting.pop_due() is None
    waiting.keep("b", "b")
    assert [waiting.pop_due(), waiting.pop_due()] == ["a", None]
