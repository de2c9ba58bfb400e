"""The table at the end of a run that judged policies through a moving catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hsrl_pipeline.config.catalogue import UPPER_REFERENCE

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

LONGEST_NAME = len("static_slate_full_knowledge")


def moving_table(
    summary: pd.DataFrame, regret: pd.DataFrame, dataset: str, run: dict[str, Any]
) -> Table:
    """Return what policies earn without updates at launch and after each change, best last first.

    Args:
        summary: The columns of ``moving_summary.csv``.
        regret: The columns of ``moving_regret.csv``.
        dataset: Name for the title.
        run: ``seed``, ``regime`` and ``arm`` of the run: its rows and those beside them.
    """
    from rich import box
    from rich.table import Table

    frozen = _of_run(summary, run)
    frozen = frozen[(frozen["updates"] == 0) & ~frozen["policy"].str.contains("@")]
    earned = frozen.pivot(index="policy", columns="change", values="total_reward")
    area = _of_run(regret, run)
    area = area[area["path"] == "frozen"].set_index("policy")
    title = (
        f"{dataset}, a catalogue that moves ({run['arm']}, {run['regime']}): Total Reward without "
        "updates, at launch and after each change"
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    table.add_column("policy", no_wrap=True, min_width=LONGEST_NAME)
    names = ["launch", *(f"after {change}" for change in earned.columns[1:])]
    for name in (*names, "area under regret"):
        table.add_column(name, justify="right", no_wrap=True)
    order = earned[earned.columns[1:]].mean(axis=1).sort_values(ascending=False).index
    for policy in order:
        rewards = [f"{value:.2f}" for value in earned.loc[policy]]
        table.add_row(str(policy), *rewards, _area(area, str(policy)))
    table.caption = (
        f"On the evaluation simulator. Regret is counted from {UPPER_REFERENCE}, which knows\n"
        "all items, and added over the changes; in brackets its 95 % interval over sessions."
    )
    table.caption_justify = "left"
    return table


def _of_run(table: pd.DataFrame, run: dict[str, Any]) -> pd.DataFrame:
    own = table[table["simulator"] == "eval"]
    for name, value in run.items():
        own = own[own[name] == value]
    return own


def _area(areas: pd.DataFrame, policy: str) -> str:
    if policy == UPPER_REFERENCE or policy not in areas.index:
        return "0"
    row = areas.loc[policy]
    low, high = row["area_under_regret_ci_low"], row["area_under_regret_ci_high"]
    return f"{row['area_under_regret']:.2f} [{low:.2f}, {high:.2f}]"
