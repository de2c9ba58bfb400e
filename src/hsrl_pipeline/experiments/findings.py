"""What a table says, in sentences."""

from __future__ import annotations

import pandas as pd

from hsrl_pipeline.experiments.comparison_tables import CEILING, OVERALL, REFERENCE

SIGNIFICANT = 0.05
FEW_SEEDS = 5


def findings(scores: pd.DataFrame, comparisons: pd.DataFrame) -> list[str]:
    """Return what one table of the report says, the answer first.

    Args:
        scores: Rows of one dataset and regime, as ``score_table`` returns them.
        comparisons: Rows of the same dataset and regime, as ``comparison_table`` returns them.

    Returns:
        Sentences: who earns most, who beats ``static_slate``, who fails to and by how much, who
        fails to beat even simpler references, and how far the number of seeds carries.
    """
    agents = scores[scores["kind"] == "agent"].sort_values("iqm", ascending=False)
    if agents.empty:
        return []
    best = agents.iloc[0]
    said = [f"{best['policy']} earns most: {interval(best)}."]
    if (scores["dataset"] == OVERALL).all():
        return [*said, "Scores are shares of the way from random to the ceiling."]
    references = scores[scores["kind"] == "reference"].set_index("policy")["iqm"]
    against = comparisons[comparisons["compared_with"] == REFERENCE]
    if not against.empty:
        said += _against_static(agents, against, float(references[REFERENCE]))
    for name in ("popular", "random"):
        if name in references.index and references.index.is_unique:
            below = agents.loc[agents["iqm"] < references[name], "policy"]
            if len(below):
                said.append(f"Below {name} ({references[name]:.2f}): {', '.join(below)}.")
    said += _baselines(comparisons[comparisons["compared_with"] != REFERENCE])
    if CEILING in references.index and references.index.is_unique:
        said.append(
            f"The greedy policy of the judging simulator itself earns {references[CEILING]:.2f}; it"
            " is a ceiling of one step's foresight and no competitor."
        )
    seeds = int(agents["n_seeds"].min())
    if seeds == 1:
        said.append("With one seed nothing can be told from chance.")
    elif seeds < FEW_SEEDS:
        said.append(
            f"{seeds} seeds can show a large difference only; a comparison that is not decided here"
            " may be decided by the full size."
        )
    return said


def interval(row: pd.Series[float]) -> str:
    """Return a score with its interval as text."""
    if pd.isna(row["iqm_ci_low"]):
        return f"{row['iqm']:.2f}"
    return f"{row['iqm']:.2f} [{row['iqm_ci_low']:.2f}, {row['iqm_ci_high']:.2f}]"


def _against_static(agents: pd.DataFrame, against: pd.DataFrame, earned: float) -> list[str]:
    decided = against["p_holm"] < SIGNIFICANT
    better = against.loc[decided & (against["difference"] > 0), "policy"]
    worse = against.loc[decided & (against["difference"] < 0), "policy"]
    open_ = against.loc[~decided, "policy"]
    said = []
    if len(better):
        said.append(f"More than {REFERENCE} ({earned:.2f}): {', '.join(better)}.")
    elif (agents["iqm"] <= earned).all():
        said.append(f"No agent earns more than {REFERENCE} ({earned:.2f}).")
    else:
        said.append(f"No agent is shown to earn more than {REFERENCE} ({earned:.2f}).")
    if len(worse):
        gaps = against.set_index("policy")["difference"]
        named = ", ".join(f"{name} (by {-gaps[name]:.2f})" for name in worse)
        said.append(f"Less than {REFERENCE}, after correction for all comparisons: {named}.")
    if len(open_):
        said.append(f"Not decided against {REFERENCE}: {', '.join(open_)}.")
    return said


def _baselines(comparisons: pd.DataFrame) -> list[str]:
    said = []
    for name, rows in comparisons.groupby("compared_with", sort=False):
        decided = rows[rows["p_holm"] < SIGNIFICANT]
        for sign, word in ((1, "More"), (-1, "Less")):
            own = decided.loc[decided["difference"] * sign > 0, "policy"]
            if len(own):
                said.append(f"{word} than {name}: {', '.join(own)}.")
        if decided.empty:
            said.append(f"No difference from {name} is decided.")
    return said
