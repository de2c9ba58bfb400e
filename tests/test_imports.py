"""The library can be used without Kedro and MLflow."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import hsrl_pipeline

NOT_LIBRARY = {
    "pipelines",
    "experiment_runs",
    "io",
    "hooks",
    "tracking",
    "ab_command",
    "cli",
    "settings",
    "pipeline_registry",
}

IMPORT_ALL = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    module = import_module(name)
    for offered in getattr(module, "__all__", []):
        getattr(module, offered)
print(*sorted({name.split(".")[0] for name in sys.modules} & {"kedro", "kedro_datasets", "mlflow"}))
"""


def library_modules() -> list[str]:
    folder = str(Path(hsrl_pipeline.__file__).parent)
    names = [
        module.name
        for module in pkgutil.walk_packages([folder], "hsrl_pipeline.")
        if module.name.split(".")[1] not in NOT_LIBRARY
        and not module.name.endswith(("spark_engine", "__main__"))
    ]
    assert len(names) > 100
    return names


def test_no_library_module_pulls_in_kedro_or_mlflow() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *library_modules()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
