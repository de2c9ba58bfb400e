"""Names that a package or module offers and that load their module when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_names(
    offering: str, sources: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a module whose names load late.

    A package that assigns them offers names of its modules without importing torch and the like
    before one of these names is used (PEP 562). Beside it, the same names are imported under
    ``TYPE_CHECKING``, where type checkers and editors look.

    Args:
        offering: ``__name__`` of the module that assigns them.
        sources: Names by the module that defines them; ``".base"`` is a module of the package.
    """
    source_of = {name: source for source, names in sources.items() for name in names}

    def load(name: str) -> Any:
        if name not in source_of:
            raise AttributeError(f"module {offering!r} has no attribute {name!r}")
        value = getattr(import_module(source_of[name], offering), name)
        setattr(sys.modules[offering], name, value)  # found without this function the next time
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[offering]), *source_of})

    return load, names, sorted(source_of)
