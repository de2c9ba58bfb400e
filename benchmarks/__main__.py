"""Run all benchmarks one after the other: ``python -m benchmarks [name ...]``."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path

from benchmarks.report import write_results


def main() -> None:
    """Run the named benchmark modules, or all; print each line as it comes."""
    folder = Path(__file__).parent
    names = [
        module.name.removeprefix("bench_")
        for module in pkgutil.iter_modules([str(folder)])
        if module.name.startswith("bench_")
    ]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of: {', '.join(names)}")
    asked = parser.parse_args().names or names
    unknown = sorted(set(asked) - set(names))
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join(names)}")
    lines = []
    for name in asked:
        for line in importlib.import_module(f"benchmarks.bench_{name}").run():
            print(line, flush=True)
            lines.append(line)
            write_results(lines)


if __name__ == "__main__":
    main()
