"""Runs that serve more than one experiment name them all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hsrl_pipeline.tracking.store import EXPERIMENT_PREFIX, open_client, store_trouble

TAG = "experiment"


def note_reuse(project: Path, experiment: str, trials: Sequence[str]) -> int:
    """Add an experiment's name to the tag of the runs whose trials it takes over.

    Args:
        project: The project's root.
        experiment: Its name.
        trials: Keys of the trials.

    Returns:
        Number of runs whose tag has changed.
    """
    changed = 0
    client = open_client(project)
    with store_trouble(project):
        places = [
            found.experiment_id
            for found in client.search_experiments()
            if found.name.startswith(EXPERIMENT_PREFIX)
        ]
        for key in trials:
            runs = (
                client.search_runs(places, filter_string=f"tags.trial = '{key}'") if places else []
            )
            for run in runs:
                names = run.data.tags.get(TAG, "").split(",")
                if experiment not in names:
                    client.set_tag(run.info.run_id, TAG, ",".join([*names, experiment]))
                    changed += 1
    return changed
