"""How a schedule is drawn: once, by seed.

Items are ranked by how much users click them and cut into strata of neighbouring ranks; a draw
splits every stratum alike into launch items and blocks of arrivals, so that good and poor items
arrive at the same rate (docs/moving_catalogue.md#the-schedule).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsrl_pipeline.catalogue.changes import refuse_shortage
from hsrl_pipeline.catalogue.schedule import CatalogueSchedule, ItemArray, Step
from hsrl_pipeline.config.catalogue import CatalogueConfig
from hsrl_pipeline.config.session import CandidatesConfig, SessionConfig
from hsrl_pipeline.data.dataset_info import DatasetInfo
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.seeding import derive_seed, numpy_generator
from hsrl_pipeline.shapes import PAD_ID, check_shape


def draw_schedule(
    config: CatalogueConfig,
    mean_clicks: NDArray[np.floating[Any]],
    *,
    seed: int,
    n_needed: int,
    static_order: ItemArray | None = None,
    shelves: ItemArray | None = None,
    release_times: NDArray[np.float64] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> CatalogueSchedule:
    """Return the schedule of a dataset, the same for the same arguments.

    Launch items and blocks are the same for all arms; an arm without arrivals adds no block, one
    without releases releases nothing. With shelves every shelf is split by itself.

    Args:
        config: Shares, numbers and times.
        mean_clicks: (item,) float. How often users click each item; entry 0 unused.
        seed: Seed of the run.
        n_needed: Live items that sessions need at any time; of each shelf, where there are shelves.
        static_order: (rank,) int64. All items, those of the static slate first; None for the
            order of ``mean_clicks``.
        shelves: (item,) int64. Shelf of each item from 1, row 0 is 0; None without shelves.
        release_times: (item,) float64. When items came out, NaN where nobody knows; None where
            the log has no such times.
        metadata: JSON-able facts to keep with it.

    Raises:
        UserError: Too few items would be live at some time.
    """
    n_items = len(mean_clicks) - 1
    if config.draw:
        seed = derive_seed(seed, f"catalogue.draw.{config.draw}")
    draws = numpy_generator(seed, "catalogue.launch").random(n_items + 1)
    ranking = np.lexsort((np.arange(1, n_items + 1), -mean_clicks[1:])) + 1
    order = ranking if static_order is None else static_order
    check_shape("static_order", order, n_items)
    groups = _split(config, ranking, draws, shelves, numpy_generator(seed, "catalogue.strata"))
    if config.arrival_order == "release_times" and release_times is not None:
        _order_arrivals(groups, config.n_changes, release_times, draws)
    live = groups == 0
    live[PAD_ID] = False
    launch = np.flatnonzero(live)
    refuse_shortage(live, n_needed, shelves, "catalogue.launch_share")
    steps = []
    for number in range(1, config.n_changes + 1):
        added = np.flatnonzero(groups == number) if config.arm != "releases" else launch[:0]
        released = launch[:0]
        if config.arm != "arrivals":
            chances = numpy_generator(seed, f"catalogue.releases.{number}").random(n_items + 1)
            left = _Slack(live, added, n_needed, shelves)
            released = _draw_releases(config, live, order, chances, left=left, number=number)
        live = live.copy()
        live[added], live[released] = True, False
        refuse_shortage(live, n_needed, shelves, f"catalogue, change {number}")
        steps.append(Step(added, released))
    return CatalogueSchedule(
        n_items, launch, tuple(steps), config.change_times, dict(metadata or {})
    )


def draw_for_dataset(
    config: CatalogueConfig,
    mean_clicks: NDArray[np.floating[Any]],
    items: pd.DataFrame,
    info: DatasetInfo,
    *,
    session: SessionConfig,
    candidates: CandidatesConfig,
    shelves: ItemArray | None,
    seed: int,
    simulator_version: str | None,
) -> CatalogueSchedule:
    """Return the schedule of a dataset with its provenance.

    Args:
        config: Shares, numbers and times.
        mean_clicks: (item,) float. How often users click each item; entry 0 unused.
        items: Canonical table; ``released_at`` counts where it is a column.
        info: Sizes and version of the dataset.
        session: Horizon.
        candidates: Rules for slates.
        shelves: (item,) int64 or None.
        seed: Seed of the run.
        simulator_version: Version of the simulator that the clicks are of.

    Raises:
        UserError: Too few items would be live at some time.
    """
    n_needed, binding = needed_by_sessions(info, shelves, session, candidates)
    times = None
    if "released_at" in items.columns:
        times = np.full(info.n_items + 1, np.nan)
        times[items["item_index"]] = (
            items["released_at"].astype("Float64").to_numpy(np.float64, na_value=np.nan)
        )
    return draw_schedule(
        config,
        mean_clicks,
        seed=seed,
        n_needed=n_needed,
        shelves=binding,
        release_times=times,
        metadata={
            "dataset": info.dataset,
            "dataset_version": info.version,
            "simulator_train_version": simulator_version,
            "seed": seed,
            "settings": config.drawn_from,
        },
    )


def needed_by_sessions(
    info: DatasetInfo,
    shelves: ItemArray | None,
    session: SessionConfig,
    candidates: CandidatesConfig,
) -> tuple[int, ItemArray | None]:
    """Return how many live items sessions need, and the shelves that it holds for.

    Args:
        info: Size of the slates.
        shelves: (item,) int64. Shelf of each item from 1, row 0 is 0; None without shelves.
        session: Horizon.
        candidates: Rules for slates.

    Returns:
        Items, of each shelf where slates are bound to shelves; the shelves then, else None.
    """
    binding = shelves if candidates.enforce_shelves else None
    n_shelves = 1 if binding is None else len(np.unique(binding[1:]))
    needed = items_needed(info.slate_size, n_shelves, session.horizon, candidates.showings)
    return needed, binding


def items_needed(slate_size: int, n_shelves: int, horizon: int, showings: int | None) -> int:
    """Return how many live items sessions need, of each shelf.

    Args:
        slate_size: Items per slate, K.
        n_shelves: Shelves that share the slots; 1 without shelves.
        horizon: Longest session in steps.
        showings: Showings of an item that a session allows; None for any number.
    """
    share = slate_size // n_shelves
    return share + (share * (horizon - 1) // showings if showings else 0)


def _split(
    config: CatalogueConfig,
    ranking: ItemArray,
    draws: NDArray[np.float64],
    shelves: ItemArray | None,
    generator: np.random.Generator,
) -> ItemArray:
    """Return (item,) int64: 0 for launch items, 1.. for blocks, one more for those never live.

    Every stratum is cut at the same shares of its size. What does not divide is rounded up or
    down by one draw per stratum, so that no group gains by rounding.
    """
    shelf_of = np.zeros(len(draws), np.int64) if shelves is None else shelves
    groups = np.full(len(draws), config.n_changes + 1)
    ends = config.launch_share + config.block_share * np.arange(config.n_changes + 1)
    for shelf in np.unique(shelf_of[1:]):
        ranked = ranking[shelf_of[ranking] == shelf]
        for start in range(0, len(ranked), config.stratum_size):
            stratum = ranked[start : start + config.stratum_size]
            cuts = np.floor(ends * len(stratum) + generator.random() + 1e-9)
            drawn = stratum[np.argsort(draws[stratum], kind="stable")]
            groups[drawn] = np.searchsorted(cuts, np.arange(len(drawn)), side="right")
    return groups


def _order_arrivals(
    groups: ItemArray,
    n_changes: int,
    release_times: NDArray[np.float64],
    draws: NDArray[np.float64],
) -> None:
    """Deal the arriving items out to the blocks by release time; blocks keep their sizes.

    Items whose time nobody knows are spread evenly among the others.
    """
    check_shape("release_times", release_times, len(groups))
    arriving = np.flatnonzero((groups >= 1) & (groups <= n_changes))
    sizes = np.bincount(groups[arriving], minlength=n_changes + 1)[1:]
    timed = np.isfinite(release_times[arriving])
    places = np.empty(len(arriving))
    for part in (np.flatnonzero(timed), np.flatnonzero(~timed)):
        items = arriving[part]
        earliest_first = np.lexsort((draws[items], release_times[items]))
        places[part[earliest_first]] = (np.arange(len(part)) + 0.5) / max(len(part), 1)
    order = np.argsort(places, kind="stable")
    groups[arriving[order]] = np.repeat(np.arange(1, n_changes + 1), sizes)


class _Slack:
    """How many items each shelf can give away at a change.

    Args:
        live: (item,) bool. Live items before the change.
        added: (added,) int64. Items that arrive with it.
        n_needed: Live items needed of each shelf.
        shelves: (item,) int64 or None.
    """

    def __init__(
        self,
        live: NDArray[np.bool_],
        added: ItemArray,
        n_needed: int,
        shelves: ItemArray | None,
    ) -> None:
        self._shelves = np.zeros(len(live), np.int64) if shelves is None else shelves
        present = np.concatenate([np.flatnonzero(live), added])
        size = int(self._shelves.max()) + 1
        self._left = np.bincount(self._shelves[present], minlength=size) - n_needed

    def take(self, candidates: ItemArray, n_wanted: int) -> ItemArray:
        """Return the first candidates that their shelves can spare, at most ``n_wanted``."""
        shelf = self._shelves[candidates]
        order = np.argsort(shelf, kind="stable")
        ordered = shelf[order]
        nth = np.empty(len(shelf), np.int64)
        nth[order] = np.arange(len(shelf)) - np.searchsorted(ordered, ordered)
        taken = candidates[nth < self._left[shelf]][:n_wanted]
        np.subtract.at(self._left, self._shelves[taken], 1)
        return taken


def _draw_releases(
    config: CatalogueConfig,
    live: NDArray[np.bool_],
    static_order: ItemArray,
    chances: NDArray[np.float64],
    *,
    left: _Slack,
    number: int,
) -> ItemArray:
    """Return (released,) int64 ascending: some of the best live items, the others of all live."""
    n_released = round(config.release_share * int(live.sum()))
    n_best = round(config.best_share * min(n_released, config.best_of))
    best = static_order[live[static_order]][: config.best_of]
    from_best = left.take(best[np.argsort(chances[best], kind="stable")], n_best)
    others = np.setdiff1d(np.flatnonzero(live), from_best)
    drawn = others[np.argsort(chances[others], kind="stable")]
    from_all = left.take(drawn, n_released - len(from_best))
    released = np.sort(np.concatenate([from_best, from_all]))
    if len(released) < n_released:
        raise UserError(
            f"Change {number} can release {len(released)} items, not {n_released}: sessions need "
            "the others",
            where="catalogue.release_share, catalogue.n_changes",
            remedy="Release fewer items, make fewer changes, or take shorter sessions.",
        )
    return released
