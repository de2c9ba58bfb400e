"""Every benchmark that ``python -m benchmarks`` would run can be loaded."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

import benchmarks

NAMES = [
    module.name
    for module in pkgutil.iter_modules(benchmarks.__path__)
    if module.name.startswith("bench_")
]


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_loaded(name: str) -> None:
    assert callable(import_module(f"benchmarks.{name}").run)
