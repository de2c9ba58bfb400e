"""What an iteration of ``hsrl`` costs now against another commit of this repository.

``python -m benchmarks.compare_commits 58d5547 [--without-repeats] [--turns 5]`` checks the other
commit out beside this one, runs the iteration of its own ``bench_training`` and of this one's in
turns, in processes of one thread, and prints processor time per iteration, with the ratio.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import BenchmarkLine

ROOT = Path(__file__).parents[1]

ITERATION = """
import sys, time
import torch
torch.set_num_threads(1)
import benchmarks.bench_training as bench
without_repeats, batch = sys.argv[1] == "1", int(sys.argv[2])
if hasattr(bench, "make_context"):
    one = bench.Iteration("hsrl", bench.SMALL, batch, exclude_shown=without_repeats)
else:
    # at first, the benchmark had no choice of what may be shown
    settings = bench.CandidatesConfig
    bench.CandidatesConfig = lambda: settings(exclude_shown=without_repeats)
    one = bench.Iteration("hsrl", bench.SMALL, batch)
one.full()
spent = []
for _ in range(8):
    started = time.process_time()
    one.full()
    spent.append((time.process_time() - started) / bench.ITERATIONS * 1e3)
print(min(spent))
"""


def measure(checkout: Path, batch: int, *, without_repeats: bool) -> float:
    """Return processor milliseconds per iteration in a checkout, the best of eight rounds."""
    done = subprocess.run(
        [sys.executable, "-c", ITERATION, str(int(without_repeats)), str(batch)],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": f"{checkout / 'src'}{os.pathsep}{checkout}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def compare(
    commit: str, turns: int, batch: int = 64, *, without_repeats: bool = False
) -> BenchmarkLine:
    """Return medians over turns of this checkout and of a commit, and their ratio.

    Args:
        commit: Any name git knows the other commit by.
        turns: How often both are measured.
        batch: Transitions per update.
        without_repeats: Whether an item is shown once per session at most.
    """
    with TemporaryDirectory() as folder:
        other = Path(folder) / "other"
        subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", other, commit], cwd=ROOT, check=True
        )
        try:
            pairs = [
                tuple(
                    measure(place, batch, without_repeats=without_repeats)
                    for place in (ROOT, other)
                )
                for _ in range(turns)
            ]
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", other], cwd=ROOT, check=True)
    now, before = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    regime = "no_repeats" if without_repeats else "repeats"
    return BenchmarkLine(
        f"training.hsrl.iteration.{regime}.batch_{batch}.against_{commit}",
        now,
        "processor ms",
        f"{before:.3g} ms at {commit}",
        ratio,
    )


def main() -> None:
    """Compare this checkout with the commit that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--without-repeats", action="store_true")
    asked = parser.parse_args()
    print(
        compare(asked.commit, asked.turns, asked.batch, without_repeats=asked.without_repeats),
        flush=True,
    )


if __name__ == "__main__":
    main()
