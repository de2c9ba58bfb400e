import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.data.accounts import BadRows, RowAccounts
from hsrl_pipeline.data.tables.quality import (
    gini,
    make_report,
    plot_long_tail,
    report_metrics,
    top_share,
)

ACCOUNTS = RowAccounts(
    rows_in=13,
    rows_out=10,
    bad=(BadRows("duplicate row", 1, "a.csv", 5), BadRows("label is not 0 or 1", 2, "a.csv", 2)),
    notes={"nothing": 0},
)
FEATURES = RowAccounts(
    rows_in=9,
    rows_out=5,
    repeated=1,
    bad=(BadRows("price is not a number", 3, "items.csv", 4),),
    notes={"items without price": 2},
)
POPULARITY = pd.DataFrame(
    {
        "item_index": [1, 2, 3],
        "n_events": [7, 2, 1],
        "n_positives": [3, 0, 1],
        "n_train_events": [5, 1, 0],
        "n_train_positives": [2, 0, 0],
    }
)
SUMMARY = {
    "label_rate": 0.4,
    "slates": {"train": 3, "test": 2},
    "notes": {"items without features": 1},
}


def test_report_counts_rows_by_reason_and_describes_the_tail() -> None:
    report = make_report(ACCOUNTS, FEATURES, SUMMARY, POPULARITY)
    assert report["rows"] == {"in": 13, "out": 10, "dropped": 3}
    assert [(entry["reason"], entry["rows"]) for entry in report["dropped_by_reason"]] == [
        ("label is not 0 or 1", 2),
        ("duplicate row", 1),
    ]
    assert report["dropped_by_reason"][0]["first"] == "a.csv, line 2"
    assert report["feature_rows"] == {"in": 9, "out": 5, "dropped": 3, "repeated": 1}
    assert [entry["reason"] for entry in report["feature_rows_dropped_by_reason"]] == [
        "price is not a number"
    ]
    assert report["notes"] == {"items without features": 1, "items without price": 2}
    assert report["long_tail"]["items_without_positive"] == 1
    assert report["long_tail"]["items_unseen_in_training"] == 1
    metrics = report_metrics(report)
    assert (metrics["data_rows_dropped"], metrics["data_train_slates"]) == (3.0, 3.0)
    assert (metrics["data_feature_rows_in"], metrics["data_feature_rows_dropped"]) == (9.0, 3.0)
    assert len(plot_long_tail(report, POPULARITY).axes) == 2


def test_concentration_of_events() -> None:
    assert top_share(np.array([7, 2, 1]), 0.1) == pytest.approx(0.7)
    assert gini(np.array([5, 5, 5])) == pytest.approx(0.0)
    assert gini(np.array([0, 0, 9])) == pytest.approx(2 / 3)
