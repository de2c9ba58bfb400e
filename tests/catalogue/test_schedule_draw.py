"""How a schedule is drawn."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hsrl_pipeline.catalogue import CatalogueSchedule, draw_schedule
from hsrl_pipeline.catalogue.schedule_draw import (
    draw_for_dataset,
    items_needed,
    needed_by_sessions,
)
from hsrl_pipeline.config.catalogue import CatalogueConfig
from hsrl_pipeline.config.session import CandidatesConfig, SessionConfig
from hsrl_pipeline.data.dataset_info import DatasetInfo
from hsrl_pipeline.errors import UserError

N_ITEMS = 1000


def config(**changed: Any) -> CatalogueConfig:
    return CatalogueConfig(**{"schedule": "moving", **changed})


def clicks(n_items: int = N_ITEMS, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(n_items + 1)


def draw(settings: CatalogueConfig, seed: int = 0, **given: Any) -> CatalogueSchedule:
    return draw_schedule(settings, clicks(), **{"seed": seed, "n_needed": 6, **given})


def ranks_of(items: np.ndarray) -> np.ndarray:
    order = np.argsort(-clicks()[1:]) + 1
    rank = np.zeros(N_ITEMS + 1, int)
    rank[order] = np.arange(N_ITEMS)
    return rank[items]


def test_shares_are_those_of_the_protocol() -> None:
    schedule = draw(config())
    live = 700
    assert len(schedule.launch) == live
    for step in schedule.steps:
        assert len(step.added) == 60
        assert len(step.released) == round(0.06 * live)
        live += 60 - len(step.released)
    assert len(schedule.arrivals) == 300
    assert schedule.change_at == (0.5, 0.6, 0.7, 0.8, 0.9)


def test_another_draw_has_other_items_in_the_same_numbers() -> None:
    first, other = draw(config()), draw(config(draw=1))
    assert other.version == draw(config(draw=1)).version
    assert len(other.launch) == len(first.launch)
    # 70 % of the launch items are again among them by chance
    assert np.isin(other.launch, first.launch).mean() == pytest.approx(0.7, abs=0.06)
    for one, another in zip(first.steps, other.steps, strict=True):
        assert len(one.added) == len(another.added)
        assert not np.array_equal(one.added, another.added)
        assert not np.array_equal(one.released, another.released)
    assert len({draw(config(draw=number)).version for number in range(5)}) == 5


def test_every_stratum_of_ranks_is_split_alike() -> None:
    schedule = draw(config())
    for part, size in ((schedule.launch, 35), *((step.added, 3) for step in schedule.steps)):
        assert (np.bincount(ranks_of(part) // 50, minlength=20) == size).all()


def test_what_does_not_divide_is_rounded_by_lot() -> None:
    sizes = [len(draw(config(stratum_size=7), seed).launch) for seed in range(20)]
    assert 695 < np.mean(sizes) < 705
    assert len(set(sizes)) > 1


def test_half_of_the_releases_are_from_the_best_50_of_the_static_slate() -> None:
    order = np.random.default_rng(1).permutation(N_ITEMS) + 1
    schedule = draw(config(), static_order=order)
    for live, step in zip(schedule.live_sets(), schedule.steps, strict=False):
        best = order[live[order]][:50]
        assert np.isin(step.released, best).sum() >= round(0.5 * len(step.released))


def test_no_more_than_half_of_the_best_50_leave_by_that_draw() -> None:
    schedule = draw(config(release_share=0.2), static_order=np.arange(1, N_ITEMS + 1))
    first = schedule.steps[0].released
    best = schedule.launch[:50]
    assert len(first) == 140
    assert 25 <= np.isin(first, best).sum() <= 35  # 25 of the best, and few of the other 115


def test_arms_share_launch_and_blocks() -> None:
    both, arrivals, releases = (draw(config(arm=arm)) for arm in ("both", "arrivals", "releases"))
    assert (both.launch == arrivals.launch).all()
    assert (both.launch == releases.launch).all()
    for step, arriving, leaving in zip(both.steps, arrivals.steps, releases.steps, strict=True):
        assert (step.added == arriving.added).all()
        assert (len(arriving.released), len(leaving.added)) == (0, 0)
        assert len(leaving.released)
    assert (both.steps[0].released == releases.steps[0].released).all()


def test_the_seed_decides_and_nothing_else() -> None:
    assert draw(config()).to_document() == draw(config()).to_document()
    assert draw(config()).version != draw(config(), seed=1).version
    overlap = np.isin(draw(config()).launch, draw(config(), seed=1).launch).mean()
    assert 0.6 < overlap < 0.8


def test_release_times_order_the_arrivals_and_change_no_share() -> None:
    times = np.random.default_rng(2).random(N_ITEMS + 1)
    schedule, hashed = draw(config(), release_times=times), draw(config())

    assert (np.sort(schedule.arrivals) == np.sort(hashed.arrivals)).all()
    assert (schedule.launch == hashed.launch).all()
    assert [len(step.added) for step in schedule.steps] == [60] * 5
    for earlier, later in pairwise(schedule.steps):
        assert times[earlier.added].max() < times[later.added].min()
    by_hash = draw(config(arrival_order="hash"), release_times=times)
    assert by_hash.version == hashed.version


def test_items_whose_time_nobody_knows_arrive_at_any_time() -> None:
    times = np.where(np.arange(N_ITEMS + 1) % 2, np.nan, np.arange(N_ITEMS + 1))
    schedule = draw(config(), release_times=times)
    unknown = [int(np.isnan(times[step.added]).sum()) for step in schedule.steps]
    assert min(unknown) > 25
    known = [times[step.added] for step in schedule.steps]
    assert all(np.nanmax(a) < np.nanmin(b) for a, b in pairwise(known))


def test_a_shelf_is_split_by_itself_and_never_runs_short() -> None:
    shelves = np.concatenate([[0], np.repeat([1, 2, 3], [20, 480, 500])])
    schedule = draw(config(release_share=0.2), shelves=shelves, n_needed=9)
    assert np.bincount(shelves[schedule.launch])[1:].tolist() == [14, 336, 350]
    for live in schedule.live_sets():
        assert np.bincount(shelves[live], minlength=4)[1:].min() >= 9
    with pytest.raises(UserError, match="14 live items on shelf 1 are left, sessions need 15"):
        draw(config(), shelves=shelves, n_needed=15)


def test_releases_that_sessions_can_not_spare_are_refused() -> None:
    with pytest.raises(UserError, match="Change 1 can release 50 items, not 210"):
        draw(config(release_share=0.3, arm="releases"), n_needed=650)


@settings(max_examples=40, deadline=None)
@given(
    n_items=st.integers(1, 120),
    launch_share=st.floats(0.3, 0.8),
    n_changes=st.integers(1, 4),
    release_share=st.floats(0, 0.3),
    stratum_size=st.integers(1, 60),
    best_of=st.integers(1, 60),
    arm=st.sampled_from(["arrivals", "releases", "both"]),
    seed=st.integers(0, 50),
)
def test_a_schedule_holds_together(n_items: int, n_changes: int, seed: int, **drawn: Any) -> None:
    settings_ = config(
        n_changes=n_changes,
        block_share=0.2 / n_changes,
        change_at=tuple((np.arange(n_changes) + 1) / (n_changes + 1)),
        **drawn,
    )
    shelves = np.arange(n_items + 1) % 2 + 1
    shelves[0] = 0
    try:
        schedule = draw_schedule(
            settings_, clicks(n_items, seed), seed=seed, n_needed=1, shelves=shelves
        )
    except UserError:
        return
    for live in schedule.live_sets():
        assert np.bincount(shelves[live], minlength=3)[1:].min() >= (1 if n_items > 1 else 0)
    assert len(np.unique(schedule.arrivals)) == len(schedule.arrivals)
    assert not schedule.launched[schedule.arrivals].any()
    assert CatalogueSchedule.from_document(schedule.to_document()).version == schedule.version


@pytest.mark.parametrize(
    ("shape", "needed"),
    [((6, 1, 20, None), 6), ((6, 1, 20, 1), 120), ((9, 3, 20, 2), 31)],
)
def test_items_that_sessions_need(shape: tuple, needed: int) -> None:
    assert items_needed(*shape) == needed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"block_share": 0.1}, "5 blocks of block_share .* are 1.2 of all items"),
        ({"change_at": (0.5, 0.6, 0.7)}, "change_at lists 3 times, but n_changes is 5"),
        ({"change_at": (0.5, 0.4, 0.6, 0.7, 0.8)}, "does not ascend"),
        ({"change_at": (0.5, 0.6, 0.7, 0.8, 1.0)}, "less than 1"),
        ({"arm": "all"}, "arrivals"),
        ({"serving_updates": (50, 10)}, r"serving_updates \[50, 10\] does not ascend"),
        ({"modes": ()}, "is empty or names one twice"),
        ({"codes": "dealt"}, "published"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changed: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**changed)


def small_dataset(**changed: Any) -> DatasetInfo:
    fields = {
        "dataset": "tiny",
        "slate_size": 4,
        "n_items": 40,
        "n_users": 3,
        "category_fields": (),
        "dense_fields": (),
        "content_fields": (),
        "vector_size": 0,
        "has_shelves": True,
        "time_unit": "s",
        "n_train_slates": 1,
        "n_test_slates": 1,
        "version": "v1",
    }
    return DatasetInfo(**{**fields, **changed})


def test_a_dataset_brings_its_release_times_shelves_and_provenance() -> None:
    times = pd.array([None, *range(39, 0, -1)], dtype="Int64")
    items = pd.DataFrame({"item_index": np.arange(1, 41), "released_at": times})
    schedule = draw_for_dataset(
        config(stratum_size=10, release_share=0.0),
        clicks(40),
        items,
        small_dataset(),
        session=SessionConfig(horizon=3),
        candidates=CandidatesConfig(enforce_shelves=True),
        shelves=np.concatenate([[0], np.repeat([1, 2], 20)]),
        seed=0,
        simulator_version="s1",
    )
    known = [step.added[step.added > 1] for step in schedule.steps]
    known = [block for block in known if len(block)]
    assert len(known) > 2
    assert all(later.max() < earlier.min() for earlier, later in pairwise(known))
    assert schedule.metadata["simulator_train_version"] == "s1"
    assert schedule.metadata["settings"]["stratum_size"] == 10


def test_shelves_count_only_where_slates_are_bound_to_them() -> None:
    shelves = np.concatenate([[0], np.repeat([1, 2], 20)])
    session = SessionConfig(horizon=3)
    bound = CandidatesConfig(enforce_shelves=True, exclude_shown=True)
    needed, binding = needed_by_sessions(small_dataset(), shelves, session, bound)
    assert (needed, binding is shelves) == (6, True)
    assert needed_by_sessions(small_dataset(), shelves, session, CandidatesConfig()) == (4, None)
