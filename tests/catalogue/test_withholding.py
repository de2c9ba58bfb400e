"""The log without the items that are not known at launch."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrl_pipeline.catalogue.withholding import withhold
from hsrl_pipeline.data.slate_log import SlateLog

N_ITEMS, SLATE = 12, 3


def log_of(events: list[tuple[int, int, int, int]], n_users: int) -> SlateLog:
    """Return the log of (user, slate, item, label) events in time order of each user."""
    timeline: list[int] = []
    slates: list[list[int]] = []
    labels: list[list[int]] = []
    users, starts, ends = [], [], []
    for user in range(1, n_users + 1):
        own = [event for event in events if event[0] == user]
        first, liked = len(timeline), 0
        rows: dict[int, int] = {}
        for _, slate, item, label in own:
            if slate not in rows:
                rows[slate] = len(slates)
                slates.append([])
                labels.append([])
                users.append(user)
                starts.append(first)
                ends.append(first + liked)
            slates[rows[slate]].append(item)
            labels[rows[slate]].append(label)
            if label:
                timeline.append(item)
                liked += 1
    return SlateLog(
        slates=np.array(slates, np.int32),
        labels=np.array(labels, np.int8),
        users=np.array(users, np.int32),
        timestamps=np.arange(len(slates)),
        is_train=np.ones(len(slates), bool),
        history_start=np.array(starts),
        history_end=np.array(ends),
        timeline=np.array(timeline, np.int32),
        # of what was liked more often, so that it differs where answers do
        propensities=np.float32(0.2) + np.float32(0.5) * np.array(labels, np.float32),
    ).with_shown()


def random_events(seed: int, n_users: int = 3) -> list[tuple[int, int, int, int]]:
    """Return three slates per user; events of slates that follow one another may interleave."""
    generator = np.random.default_rng(seed)
    events = []
    for user in range(1, n_users + 1):
        times = np.repeat(np.arange(3.0), SLATE) + 1.5 * generator.random(3 * SLATE)
        slate_of = np.repeat(np.arange(3), SLATE)
        items = np.concatenate(
            [generator.choice(N_ITEMS, SLATE, replace=False) + 1 for _ in range(3)]
        )
        answers = generator.integers(0, 2, len(items))
        events += [
            (user, int(slate_of[k]), int(items[k]), int(answers[k])) for k in np.argsort(times)
        ]
    return events


def arrays_of(log: SlateLog) -> dict[str, np.ndarray]:
    assert log.shown is not None
    own = {name: value for name, value in vars(log).items() if name != "shown"}
    return {**own, **{f"shown.{name}": value for name, value in vars(log.shown).items()}}


def test_slots_histories_and_shown_items_lose_what_is_withheld() -> None:
    events = [(1, 0, 4, 1), (1, 0, 7, 0), (1, 1, 5, 1), (1, 1, 4, 1), (1, 2, 6, 0), (1, 2, 7, 1)]
    log = log_of(events, 1)
    known = np.ones(N_ITEMS + 1, bool)
    known[[4, 6]] = False
    left = withhold(log, known)
    rows = np.arange(3)

    assert left.slates.tolist() == [[0, 7], [5, 0], [0, 7]]
    assert left.labels.tolist() == [[0, 0], [1, 0], [0, 1]]
    assert log.histories(rows, 3).tolist() == [[0, 0, 0], [0, 0, 4], [4, 5, 4]]
    assert left.histories(rows, 3).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 5]]
    assert left.shown is not None
    before = [
        left.shown.events[s:e].tolist()
        for s, e in zip(left.shown.start, left.shown.end, strict=True)
    ]
    assert before == [[], [-7], [-7, 5]]
    assert left.propensities is not None
    assert (np.isnan(left.propensities) == (left.slates == 0)).all()
    assert left.propensities.dtype == np.float32
    assert (left.slates.dtype, left.labels.dtype) == (np.int32, np.int8)
    assert (log.slates[0].tolist(), len(log.timeline)) == ([4, 7], 4)


def test_nothing_withheld_is_the_same_log() -> None:
    log = log_of(random_events(0), 3)
    for name, array in arrays_of(withhold(log, np.ones(N_ITEMS + 1, bool))).items():
        assert (array == arrays_of(log)[name]).all(), name


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), withheld=st.sets(st.integers(1, N_ITEMS), max_size=6))
def test_clicks_on_withheld_items_change_nothing(seed: int, withheld: set[int]) -> None:
    events = random_events(seed)
    other = [
        (user, slate, item, 1 - label if item in withheld else label)
        for user, slate, item, label in events
    ]
    known = np.array([item not in withheld for item in range(N_ITEMS + 1)])
    first, second = (arrays_of(withhold(log_of(each, 3), known)) for each in (events, other))
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name


def test_a_log_without_shown_items_stays_without() -> None:
    log = log_of(random_events(1), 3)
    bare = withhold(
        SlateLog(**{**vars(log), "shown": None, "propensities": None}), np.ones(N_ITEMS + 1, bool)
    )
    assert (bare.shown, bare.propensities) == (None, None)
