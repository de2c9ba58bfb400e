"""``python -m hsrl_pipeline``: the project's ``kedro run``, also from an installed wheel."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from kedro.framework.project import configure_project


def main(arguments: list[str] | None = None) -> Any:
    """Run pipelines as ``kedro run`` does.

    An installed package has no project around it: ``--conf-source`` names its configuration, and
    data and runs are kept below the working directory.

    Args:
        arguments: What was typed after the command's name; None for the process's own.
    """
    configure_project(Path(__file__).parent.name)
    from hsrl_pipeline.cli import run

    return run(sys.argv[1:] if arguments is None else arguments, prog_name="hsrl_pipeline")


if __name__ == "__main__":
    main()
