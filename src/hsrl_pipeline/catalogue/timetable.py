"""When the catalogue of a run changes, and at which times its policy is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from hsrl_pipeline.catalogue.schedule import CatalogueSchedule

Mode = Literal["training", "serving", "retraining"]
Path = Literal["frozen", "updated"]


class Point(NamedTuple):
    """A policy as it is judged once.

    Attributes:
        at: Updates it has had in all.
        change: Changes of the catalogue that have come before it is judged; 0 at launch.
        updates: Updates it has had since the last of them.
        path: ``frozen`` has had no update since the launch, ``updated`` has had some after
            each change.
    """

    at: int
    change: int
    updates: int
    path: Path


@dataclass(frozen=True)
class Timetable:
    """One way of living through a schedule.

    Attributes:
        mode: ``training``, where changes come while the agent learns; ``serving``, where it
            has learned at launch; or ``retraining``, where a new one learns after each change.
        n_iterations: Updates in all.
        change_at: Updates done before each change, of all agents together; ascending.
        points: The policies to judge.
    """

    mode: Mode
    n_iterations: int
    change_at: tuple[int, ...]
    points: tuple[Point, ...]

    @property
    def kept_at(self) -> frozenset[int]:
        """Numbers of updates after which the policy is kept, before a change that comes then."""
        return frozenset(point.at for point in self.points)

    def trained_under(self, at: int) -> int:
        """Return how many changes had come when the policy was kept after so many updates."""
        return sum(change < at for change in self.change_at)

    def before(self, change: int) -> Point:
        """Return the last point of the updated path before a change, numbered from 1."""
        earlier = [p for p in self.points if p.change < change and p.path == "updated"]
        return earlier[-1] if earlier else self.points[0]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return {
            "mode": self.mode,
            "n_iterations": self.n_iterations,
            "change_at": list(self.change_at),
            "points": [point._asdict() for point in self.points],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Timetable:
        """Return the timetable held in a dictionary as `to_dict` makes it."""
        points = tuple(Point(**point) for point in values["points"])
        return cls(values["mode"], values["n_iterations"], tuple(values["change_at"]), points)


def while_training(
    schedule: CatalogueSchedule, n_iterations: int, updates: Sequence[int]
) -> Timetable:
    """Return the timetable of an agent that learns while the catalogue changes.

    It is judged before and right after each change, after further updates that fit before the
    next change, and at the end.

    Args:
        schedule: When changes come, as shares of the training.
        n_iterations: Updates of the training run.
        updates: Updates after a change at which it is judged; 0 and what does not fit are left out.

    Raises:
        UserError: The run is too short to tell the changes apart.
    """
    change_at = schedule.iterations(n_iterations)
    points = [Point(change_at[0], 0, 0, "updated")]
    ends = (*change_at[1:], n_iterations)
    for change, (start, end) in enumerate(zip(change_at, ends, strict=True), start=1):
        since = sorted({0, *(count for count in updates if count < end - start), end - start})
        points += [Point(start + count, change, count, "updated") for count in since]
    return Timetable("training", n_iterations, change_at, tuple(points))


def after_training(n_changes: int, n_iterations: int, updates: Sequence[int]) -> Timetable:
    """Return the timetable of a policy that has learned at launch and then serves.

    It is judged frozen under every version of the catalogue; and, where there are updates after
    changes, with as many of them after every change as are listed last.

    Args:
        n_changes: Changes of the catalogue.
        n_iterations: Updates at launch.
        updates: Updates after each change at which it is judged, ascending; 0 is left out.
    """
    counts = [count for count in updates if count]
    most = counts[-1] if counts else 0
    changes = range(1, n_changes + 1)
    points = [Point(n_iterations, change, 0, "frozen") for change in (0, *changes)]
    change_at = tuple(n_iterations + (change - 1) * most for change in changes) if most else ()
    for change, start in enumerate(change_at, start=1):
        points += [Point(start + count, change, count, "updated") for count in (0, *counts)]
    return Timetable("serving", n_iterations + n_changes * most, change_at, tuple(points))


def from_scratch(
    n_changes: int, n_iterations: int, updates: Sequence[int], budget: int
) -> Timetable:
    """Return the timetable of policies that are trained anew after each change, one after another.

    Each gets as many updates as a policy that learned at launch and served has had in all at the
    end of its updates after the same change, but no more than the budget.

    Args:
        n_changes: Changes of the catalogue.
        n_iterations: Updates at launch of the policy that served.
        updates: Updates after each change at which that one is judged, ascending.
        budget: Most updates of one training.
    """
    most = updates[-1] if updates else 0
    change_at, points, done = [], [], 0
    for change in range(1, n_changes + 1):
        length = min(budget, n_iterations + change * most)
        change_at.append(done)
        done += length
        points.append(Point(done, change, length, "updated"))
    return Timetable("retraining", done, tuple(change_at), tuple(points))
