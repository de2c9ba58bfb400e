"""Time and memory of ingestion: MovieLens-1M, and generated logs of 5 and 50 million events.

MovieLens-1M is read from ``data/01_raw``; where it is missing, a log of its size and format is
generated. Every measurement runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.report import BenchmarkLine

PROJECT = Path(__file__).parents[1]
SLATE_SIZE = 10
ML1M_BAR = 4.0
LONG_BAR = 90.0
MEMORY_BAR = 8.0
GROWTH_BAR = 12.0
SPEEDUP_BAR = 10.0
LONG, SHORT = 50_000_000, 5_000_000
N_RATINGS, N_USERS, N_MOVIES = 1_000_209, 6_040, 3_706


def run() -> list[BenchmarkLine]:
    """Measure everything and return one line each."""
    with tempfile.TemporaryDirectory(prefix="bench-ingestion-") as name:
        folder = Path(name)
        return [*_movielens_lines(folder), *_long_log_lines(folder)]


def _movielens_lines(folder: Path) -> list[BenchmarkLine]:
    raw = PROJECT / "data" / "01_raw"
    known = (raw / "ml-1m.zip").exists() or (raw / "ml-1m").exists()
    if not known:
        raw = folder / "raw"
        write_movielens(raw / "ml-1m.zip")
    ours = _measure("ml1m", raw, folder)
    plain = _measure("plain", raw, folder)
    rows = _measure("rows", raw, folder)
    for other in (plain, rows):
        if other["result"] != ours["result"]:
            raise RuntimeError(f"results differ: {other['result']} and {ours['result']}")
    log = "ML-1M" if known else "a generated log of ML-1M's size"
    seconds = ours["seconds"]
    return [
        BenchmarkLine(
            "ingestion_ml1m",
            seconds,
            "s",
            f"bar {ML1M_BAR} s, {log}; {ours['first_seconds']:.2f} s in a process's first call",
            seconds / ML1M_BAR,
        ),
        BenchmarkLine(
            "ingestion_ml1m_speedup_over_iterrows",
            rows["seconds"] / seconds,
            "times",
            f"bar {SPEEDUP_BAR:.0f}; row by row with pandas {rows['seconds']:.1f} s",
            rows["seconds"] / seconds / SPEEDUP_BAR,
        ),
        BenchmarkLine(
            "ingestion_ml1m_speedup_over_plain_loops",
            plain["seconds"] / seconds,
            "times",
            f"loops over lists and dictionaries {plain['seconds']:.1f} s, without tables or checks",
        ),
    ]


def _long_log_lines(folder: Path) -> list[BenchmarkLine]:
    measured = {}
    for rows in (SHORT, LONG):
        path = folder / f"{rows}.parquet"
        _generate(path, rows)
        measured[rows] = _measure("long", path, folder)
        path.unlink()
    short, long = measured[SHORT], measured[LONG]
    growth = long["seconds"] / short["seconds"]
    return [
        BenchmarkLine("ingestion_5m_events", short["seconds"], "s", "measured beside 50 million"),
        BenchmarkLine(
            "ingestion_50m_events",
            long["seconds"],
            "s",
            f"bar {LONG_BAR:.0f} s, {long['cpu_seconds']:.0f} s of processor time",
            long["seconds"] / LONG_BAR,
        ),
        BenchmarkLine(
            "ingestion_50m_peak_memory",
            long["peak_gb"],
            "GB",
            f"bar {MEMORY_BAR:.0f} GB",
            long["peak_gb"] / MEMORY_BAR,
        ),
        BenchmarkLine(
            "ingestion_50m_over_5m",
            growth,
            "times",
            f"bar {GROWTH_BAR:.0f}",
            growth / GROWTH_BAR,
        ),
    ]


def _measure(task: str, source: Path, folder: Path) -> dict[str, Any]:
    """Run one task in a process of its own and return what it measured."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench_ingestion", task, str(source), str(folder)],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def _generate(path: Path, rows: int) -> None:
    """Write a log of users with 500 events each on average and items of skewed popularity."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '2GB'")
        connection.execute(
            f"""COPY (
                SELECT 'u' || hash(i) % {max(rows // 500, 1)} AS user_id,
                    'v' || (pow((hash(i * 31 + 5) % 1000003) / 1000003.0, 3) * 100000)::INT
                        AS item_id,
                    1700000000 + i // 20 AS timestamp,
                    (hash(i * 7 + 1) % 100 < 40)::INT AS label
                FROM range({rows}) AS t(i)
            ) TO '{path}' (FORMAT parquet)"""
        )


def write_movielens(path: Path) -> None:
    """Write a zip in the official format and size of MovieLens-1M, with made-up ratings."""
    draw = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    users = np.sort(draw.integers(N_USERS, size=N_RATINGS)) + 1
    movies = (N_MOVIES * draw.random(N_RATINGS) ** 2).astype(int) + 1
    times = 956_700_000 + 4_000 * users + draw.integers(90_000, size=N_RATINGS)
    stars = draw.integers(1, 6, size=N_RATINGS)
    ratings = pd.DataFrame({"u": users, "m": movies, "r": stars, "t": times})
    ratings = ratings.drop_duplicates(["u", "m", "t", "r"])
    text = ratings.to_csv(sep=":", index=False, header=False).replace(":", "::")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ml-1m/ratings.dat", text)
        archive.writestr(
            "ml-1m/movies.dat",
            "".join(f"{m}::Movie {m} (1990)::Drama\n" for m in range(1, N_MOVIES + 1)),
        )
        archive.writestr(
            "ml-1m/users.dat",
            "".join(f"{u}::F::25::{u % 21}::{u % 10}5455\n" for u in range(1, N_USERS + 1)),
        )


def ingest(source: str, raw: Path, folder: Path, **parameters: Any) -> dict[str, int]:
    """Ingest as the pipeline does, and return figures to compare results by."""
    from hsrl_pipeline.config.ingestion import IngestionConfig
    from hsrl_pipeline.data.tables.ingest import build_tables, land_log

    config = IngestionConfig(source=source, on_bad_rows="drop", **parameters)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        landed = land_log(raw, Path(work), config, seed=0)
        tables = build_tables(Path(work), landed, config, source)
        slates = pd.read_parquet(
            tables.slates, columns=["split", "timestamp", "history_start", "history_end"]
        )
    train = slates["split"] == "train"
    history = slates["history_end"] - slates["history_start"]
    return {
        "slates": len(slates),
        "train": int(train.sum()),
        "boundary": int(slates.loc[train, "timestamp"].max()),
        "positives_in_histories": int(history.sum()),
    }


def loop_over_ratings(raw: Path, folder: Path, *, with_pandas: bool) -> dict[str, int]:
    """Do the same preprocessing one rating and one slate at a time.

    Args:
        raw: Folder of ``ml-1m.zip`` or ``ml-1m``.
        folder: Where the slates are written, each with its items, labels and history of 50.
        with_pandas: Visit rows with ``DataFrame.iterrows`` instead of splitting lines.
    """
    users: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
    for place, (user, movie, rating, time_) in enumerate(_ratings(raw, with_pandas)):
        users[user].append((time_, place, movie, int(rating > 3)))
    slates = []
    for user in sorted(users):
        events = sorted(users[user])
        liked: list[int] = []
        for start in range(0, len(events) - SLATE_SIZE + 1, SLATE_SIZE):
            cut = events[start : start + SLATE_SIZE]
            items = [movie for _, _, movie, _ in cut]
            labels = [label for *_, label in cut]
            slates.append((cut[-1][0], user, items, labels, liked[-50:], len(liked)))
            liked += [movie for _, _, movie, label in cut if label]
    slates.sort(key=lambda slate: slate[:2])
    n_train = int(0.8 * len(slates))
    with (folder / "slates.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        for place, (time_, user, items, labels, history, _) in enumerate(slates):
            split = "train" if place < n_train else "test"
            writer.writerow([user, time_, split, items, labels, history])
    return {
        "slates": len(slates),
        "train": n_train,
        "boundary": slates[n_train - 1][0],
        "positives_in_histories": sum(slate[-1] for slate in slates),
    }


def _ratings(raw: Path, with_pandas: bool) -> Any:
    path = raw / "ml-1m.zip"
    if path.exists():
        with zipfile.ZipFile(path) as archive:
            text = archive.read("ml-1m/ratings.dat").decode()
    else:
        text = (raw / "ml-1m" / "ratings.dat").read_text()
    lines = (tuple(map(int, line.split("::"))) for line in text.splitlines())
    if not with_pandas:
        yield from lines
        return
    frame = pd.DataFrame(lines, columns=["user", "movie", "rating", "time"])
    for _, row in frame.iterrows():
        yield row["user"], row["movie"], row["rating"], row["time"]


def main(task: str, source: Path, folder: Path) -> None:
    """Run one task and print what it took as JSON."""
    for module in ("sources.movielens", "sources.tabular", "tables.ingest"):
        import_module(f"hsrl_pipeline.data.{module}")  # imports are not what is measured
    first = 0.0
    if task == "ml1m":  # the first call also loads the engine's libraries
        started = time.perf_counter()
        ingest("ml1m", source, folder)
        first = time.perf_counter() - started
    started = time.perf_counter()
    if task == "ml1m":
        result = ingest("ml1m", source, folder)
    elif task == "long":
        result = ingest("tabular", folder, folder, tabular={"events": str(source)})
    else:
        result = loop_over_ratings(source, folder, with_pandas=task == "rows")
    seconds = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "first_seconds": first,
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "peak_gb": usage.ru_maxrss / 1e6,
                "result": {name: int(value) for name, value in result.items()},
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
