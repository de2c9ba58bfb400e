"""Freed memory stays with the process: pages are not asked for again."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import torch
from hsrl_pipeline.training.freed_memory import keep_freed_memory

if sys.argv[1] == "kept" and not keep_freed_memory():
    print("unknown")
    sys.exit()

def work():
    kept = [torch.ones(250_000) for _ in range(8)]

for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    work()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 20)
"""


def count_faults(how: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", COUNT, how], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_memory_that_was_freed_is_used_again() -> None:
    kept = count_faults("kept")
    if kept == "unknown":
        pytest.skip("the C library cannot keep freed memory")
    # eight tensors of a megabyte are 2,000 pages
    assert float(kept) < 50
