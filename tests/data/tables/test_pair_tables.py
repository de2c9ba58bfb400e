"""Recorded answers and propensities under canonical indices."""

import numpy as np
import pandas as pd
import pytest

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.tables.pair_tables import build_pair_tables
from hsrl_pipeline.errors import UserError

USERS = pd.DataFrame({"user_index": np.array([1, 2], np.int32), "user_id": ["u2", "u1"]})
ITEMS = pd.DataFrame({"item_index": np.array([1, 2], np.int32), "item_id": ["i1", "i0"]})
HEADER = "user_id,item_id,label"


@pytest.fixture
def build(tmp_path):
    """Return a function that reads recorded answers of the tabular source."""

    def run(*lines, columns=None, name="answers.csv", **parameters):
        (tmp_path / "raw" / "tabular").mkdir(parents=True)
        (tmp_path / "raw" / "tabular" / "answers.csv").write_text("\n".join(lines) + "\n")
        tabular = {"columns": columns or {"label": "label"}, "recorded_answers": name}
        config = IngestionConfig(source="tabular", tabular=tabular, **parameters)
        return build_pair_tables(
            tmp_path / "raw", tmp_path / "work", users=USERS, items=ITEMS, config=config, seed=0
        )

    return run


def test_pairs_come_in_the_order_of_their_indices(build):
    tables = build(HEADER, "u1,i0,1", "u2,i0,0", "u2,i1,1", "u2,i1,0")
    answers = tables.recorded_answers
    assert answers.values.tolist() == [[1, 1, 1], [1, 2, 0], [2, 2, 1]]  # a repeat: the first
    assert answers.dtypes.astype(str).tolist() == ["int32", "int32", "int8"]
    assert tables.propensities.empty


def test_rows_of_answers_are_accounted_for(build):
    lines = ("u1,i0,1", "", "u2,i0,7", 'u2,"i0,0', "u2,i1,1", "u2,i1,0")
    accounts = build(HEADER, *lines, on_bad_rows="drop").accounts
    assert (accounts.rows_in, accounts.rows_out, accounts.repeated) == (5, 2, 1)
    assert [(defect.reason, defect.line) for defect in accounts.bad] == [
        ("quote is not closed", 5),
        ("label is outside 0 to 1", 4),
    ]


def test_a_value_above_the_threshold_is_positive(build):
    columns = {"label": None, "value": "stars"}
    tables = build(
        "user_id,item_id,stars", "u1,i0,3", "u1,i1,3.5", columns=columns, positive_above=3.0
    )
    assert tables.recorded_answers["label"].tolist() == [1, 0]


def test_a_source_without_either_has_empty_tables_with_their_columns(build):
    tables = build(HEADER, name=None)
    assert tables.recorded_answers.columns.tolist() == ["user_index", "item_index", "label"]
    assert tables.propensities.columns.tolist() == ["user_index", "item_index", "propensity"]
    assert tables.recorded_answers.empty


REFUSED = {
    "missing file": ((HEADER,), {"name": "none.csv"}, "none.csv does not exist.*recorded_answers"),
    "missing column": (("user_id,item_id,click", "u1,i0,1"), {}, "no column 'label'"),
    "label of 2": ((HEADER, "u1,i0,1", "u1,i1,2"), {}, r"label is outside 0 to 1.*line 3"),
    "half a label": ((HEADER, "u1,i0,0.5"), {}, r"label is not 0 or 1.*line 2"),
    "missing label": ((HEADER, "u1,i0,"), {}, r"label is missing.*line 2"),
    "missing user": ((HEADER, ",i0,1"), {}, r"user_id is missing.*line 2"),
    "ragged row": ((HEADER, "u1,i0,1,9"), {}, r"wrong number of fields.*line 2"),
    "unknown user": ((HEADER, "u7,i0,1"), {}, r"1 users that the log does not know.*'u7'"),
    "unknown item": ((HEADER, "u1,i7,1"), {}, r"1 items that the log does not know.*'i7'"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_bad_answers_are_refused(build, case):
    lines, options, message = case
    with pytest.raises(UserError, match=message):
        build(*lines, **options)


def test_bad_answers_can_be_left_out(build):
    tables = build(HEADER, "u1,i0,1", "u1,i1,2", on_bad_rows="drop")
    assert tables.recorded_answers.values.tolist() == [[2, 2, 1]]
