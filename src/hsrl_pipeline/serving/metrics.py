"""Counters of the server, as Prometheus reads them."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
Labels = tuple[tuple[str, str], ...]


class Histogram:
    """How many observations lie below each of some bounds.

    Args:
        bounds: Upper bounds of the buckets, ascending; what lies above counts too.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str) -> list[str]:
        """Return the lines of Prometheus' text format."""
        total, lines = 0, []
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*lines, f"{name}_sum {self._sum:.9g}", f"{name}_count {total}"]


class ServerMetrics:
    """What the server counts; written and read in the thread of the event loop alone."""

    def __init__(self) -> None:
        self._counters: dict[str, dict[Labels, int]] = {name: defaultdict(int) for name in COUNTERS}
        for name in ("illegal_items", "unknown_history_ids"):
            self._counters[name][()] = 0
        self._latency = Histogram(LATENCY_BUCKETS)
        self._batches = Histogram(BATCH_BUCKETS)

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Add to a counter of ``COUNTERS``."""
        self._counters[name][tuple(sorted(labels.items()))] += amount

    def observe_seconds(self, seconds: float) -> None:
        """Count the time of one answered recommendation."""
        self._latency.observe(seconds)

    def observe_batch(self, size: int) -> None:
        """Count the requests that were answered together."""
        self._batches.observe(size)

    def text(self, *, version: str, model: str, n_live: int) -> str:
        """Return all of it in Prometheus' text format.

        Args:
            version: Version of the catalogue that answers now.
            model: Name of the model.
            n_live: Live items now.
        """
        lines: list[str] = []
        for name, told in COUNTERS.items():
            lines += [f"# HELP hsrl_{name}_total {told}", f"# TYPE hsrl_{name}_total counter"]
            lines += [
                f"hsrl_{name}_total{_labelled(labels)} {value}"
                for labels, value in sorted(self._counters[name].items())
            ]
        for name, told, histogram in (
            ("hsrl_recommend_seconds", "Time of an answered recommendation.", self._latency),
            ("hsrl_batch_size", "Requests answered in one forward pass.", self._batches),
        ):
            lines += [f"# HELP {name} {told}", f"# TYPE {name} histogram", *histogram.lines(name)]
        lines += [
            "# HELP hsrl_live_items Items that may be shown.",
            "# TYPE hsrl_live_items gauge",
            f"hsrl_live_items {n_live}",
            "# HELP hsrl_serving_info What answers now.",
            "# TYPE hsrl_serving_info gauge",
            f"hsrl_serving_info{_labelled((('catalogue_version', version), ('model', model)))} 1",
        ]
        return "\n".join(lines) + "\n"


COUNTERS = {
    "requests": "Requests by path and status.",
    "illegal_items": "Recommended items that are not live or have no semantic ID.",
    "unknown_history_ids": "Ids of histories that no item has; they are passed over.",
    "catalogue_swaps": "Changes of the catalogue by what became of them.",
    "feedback": "Feedback by whether its slate was known.",
    "followed_slates": "Slates with feedback for a policy that follows clicks, by outcome.",
}


def _labelled(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
