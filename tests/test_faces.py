"""Each library package offers its public names, and loads their modules when they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import hsrl_pipeline
from hsrl_pipeline.lazy_names import lazy_names

SOURCE = Path(hsrl_pipeline.__file__).parent
WITHOUT_FACE = {"pipelines", "io", "hooks", "experiment_runs"}
FACES = [
    ".".join(["hsrl_pipeline", *folder.parts])
    for folder in sorted(
        path.parent.relative_to(SOURCE) for path in SOURCE.glob("*/**/__init__.py")
    )
    if folder.parts[0] not in WITHOUT_FACE
]

IMPORT_FACES = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    assert import_module(name).__all__, name
from hsrl_pipeline.config import AgentsConfig
heavy = {"kedro", "mlflow", "torch", "pandas", "pandera", "pyarrow", "sklearn", "ibis", "duckdb"}
print(*sorted({name.partition(".")[0] for name in sys.modules} & heavy))
"""


def shown_to_type_checkers(package: ModuleType) -> dict[str, str]:
    """Return the module of each name that is imported under ``TYPE_CHECKING``."""
    assert package.__file__ is not None
    tree = ast.parse(Path(package.__file__).read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        str(alias.asname): str(node.module)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_the_library_has_its_faces() -> None:
    assert len(FACES) >= 17
    assert {"hsrl_pipeline.agents", "hsrl_pipeline.simulator.response"} <= set(FACES)


@pytest.mark.parametrize("name", FACES)
def test_every_offered_name_is_found_in_the_module_that_type_checkers_look_in(name: str) -> None:
    package = import_module(name)
    shown = shown_to_type_checkers(package)
    assert sorted(shown) == package.__all__
    assert set(package.__all__) <= set(dir(package))
    for offered, module in shown.items():
        assert getattr(package, offered) is getattr(import_module(module), offered)
        assert module.startswith(f"{name}.")
    # a module of the same name would replace what is offered as soon as it is imported
    modules = {path.stem for path in (SOURCE.parent / name.replace(".", "/")).iterdir()}
    assert not modules & set(package.__all__)


def test_faces_alone_load_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_FACES, *FACES], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_what_is_not_offered_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"hsrl_pipeline\.replay.*'Buffer'"):
        _ = import_module("hsrl_pipeline.replay").Buffer


def test_names_load_once_and_late() -> None:
    module = ModuleType("offering")
    sys.modules["offering"] = module
    try:
        load, names, offered = lazy_names("offering", {"json": ["dumps"], "nowhere": ["nothing"]})
        assert offered == ["dumps", "nothing"]
        assert "dumps" not in vars(module) and "dumps" in names()
        assert load("dumps")([1]) == "[1]"
        assert "dumps" in vars(module)
        with pytest.raises(ModuleNotFoundError):
            load("nothing")
    finally:
        del sys.modules["offering"]
