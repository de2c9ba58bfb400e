"""The results table at the end of a run that evaluated something."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from hsrl_pipeline.config.session import REGIMES, CandidatesConfig, Regime

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

NARROWEST = 110
FEWEST_AGENTS = 3
"""Trained policies whose order is worth a line of its own."""

TITLES: dict[Regime, str] = {
    "no_repeats": "an item once a session (no_repeats)",
    "repeats": "items may return (repeats)",
}


class ResultsHook:
    """Show the summary of the dataset after ``offline_eval``, and where to look next."""

    def __init__(self) -> None:
        self._project = Path()
        self._dataset = ""
        self._conf: Any = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the project and the dataset."""
        self._project = Path(context.project_path)
        self._dataset = str(context.config_loader["globals"]["dataset"])
        self._conf = context.config_loader

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Print the table if the run wrote to it."""
        if "moving_summary" in pipeline.all_outputs():
            self._show_moving(catalog)
        if "summary" not in pipeline.all_outputs():
            return
        from rich.console import Console

        summary: Any = catalog.get("summary")
        console = Console()
        console.width = max(console.width, NARROWEST)
        rows = summary.load()
        current = rows_of_dataset(rows, _dataset_version(catalog))
        for regime in REGIMES:
            own = current[current["regime"] == regime]
            if len(own):
                console.print()
                console.print(results_table(own, self._dataset, regime))
        for line in _agreement_lines(catalog):
            console.print(line, highlight=False, soft_wrap=True)
        if len(current) < len(rows):
            others = len(rows) - len(current)
            console.print(f"Of other versions of the dataset: {others} rows, in the file alone")
        path = Path(str(summary._filepath)).relative_to(self._project)
        env = f" --env {run_params['env']}" if run_params.get("env") else ""
        console.print(f"All columns:    {path}", highlight=False)
        console.print("Compare runs:   make ui", highlight=False)
        console.print("See the chain:  make viz", highlight=False)
        console.print(
            f"Another agent:  kedro run{env} --pipelines agent_training,offline_eval"
            " --params agent.name=td3",
            highlight=False,
            soft_wrap=True,
        )

    def _show_moving(self, catalog: DataCatalog) -> None:
        """Print what policies earn through a moving catalogue, and where more stands."""
        from rich.console import Console

        from hsrl_pipeline.hooks.moving_results import moving_table

        summary: Any = catalog.get("moving_summary")
        plot: Any = catalog.get("moving_plot")
        regret: Any = catalog.load("moving_regret")
        parameters = self._conf["parameters"]
        run = {
            "seed": parameters["seed"],
            "regime": CandidatesConfig.model_validate(parameters["candidates"]).regime,
            "arm": parameters["catalogue"]["arm"],
        }
        console = Console()
        console.width = max(console.width, NARROWEST)
        console.print()
        console.print(moving_table(summary.load(), regret, self._dataset, run))
        for what, dataset in (("All columns:", summary), ("Picture:    ", plot)):
            path = Path(str(dataset._filepath))
            if path.is_absolute():
                path = path.relative_to(self._project)
            console.print(f"{what}    {path}", highlight=False)


def _dataset_version(catalog: DataCatalog) -> str | None:
    """Return the version of the dataset that the run evaluated on, None where nothing says it."""
    if "dataset_info" not in catalog or not catalog.exists("dataset_info"):
        return None
    info: Any = catalog.load("dataset_info")
    return str(info["version"])


def _agreement_lines(catalog: DataCatalog) -> list[str]:
    """Return a sentence on how alike the two simulators order the policies of the run's sessions.

    Trained policies alone are told apart where there are three or more.
    """
    if "simulator_agreement" not in catalog or not catalog.exists("simulator_agreement"):
        return []
    table: Any = catalog.load("simulator_agreement")
    lines = []
    for row in table[table["current"]].to_dict("records"):
        if row["policies"] == "agents" and row["n_policies"] < FEWEST_AGENTS:
            continue
        whose = {"all": "policies", "agents": "trained policies"}[row["policies"]]
        low, high = row["kendall_tau_ci_low"], row["kendall_tau_ci_high"]
        lines.append(
            f"Order of the {row['n_policies']} {whose}, in training against judged: Kendall's tau "
            f"{row['kendall_tau']:.2f} [{low:.2f}, {high:.2f}]; 1 is the same order"
        )
    return lines


def rows_of_dataset(summary: pd.DataFrame, version: str | None) -> pd.DataFrame:
    """Return the rows that were evaluated on one version of the dataset: only they compare.

    Args:
        summary: As for `results_table`.
        version: The dataset's version; None for all rows.
    """
    if version is None or "dataset_version" not in summary.columns:
        return summary
    return summary[summary["dataset_version"] == version]


def results_table(summary: pd.DataFrame, dataset: str, regime: Regime) -> Table:
    """Return a regime's rows as a table for a terminal, best on the evaluation simulator first.

    Args:
        summary: One row per (policy, seed, simulator), with the columns of summary.csv.
        dataset: Name for the title.
        regime: What the title says of repeats.
    """
    from rich import box
    from rich.table import Table

    keys = ["policy", "seed"]
    judged = summary[summary["simulator"] == "eval"].sort_values("total_reward", ascending=False)
    learned = summary[summary["simulator"] == "train"].set_index(keys)["total_reward"]
    title = f"{dataset}, {TITLES[regime]}: means per session, evaluation simulator, 95 % intervals"
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    table.add_column("policy", no_wrap=True)
    headings = ("seed", "Total Reward", "Depth", "clicks/slot", "items shown", "in training")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in judged.to_dict("records"):
        table.add_row(
            str(row["policy"]),
            str(row["seed"]),
            _total_reward(row),
            f"{row['depth']:.2f}",
            f"{row['clicks_per_slot']:.3f}",
            f"{row['coverage']:.0f}",
            f"{learned[(row['policy'], row['seed'])]:.3f}",
        )
    table.caption = "in training: Total Reward on the simulator that agents learn in"
    table.caption_justify = "left"
    return table


def _total_reward(row: dict[Hashable, Any]) -> str:
    low, high = row["total_reward_ci_low"], row["total_reward_ci_high"]
    return f"{row['total_reward']:.2f} [{low:.2f}, {high:.2f}]"
