"""Recorded answers of the tabular source: a file of what some users say to every item.

A log that is complete for some users and items (the small matrix of KuaiRec) is placed with it;
docs/data_sources.md says how.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from hsrl_pipeline.data.accounts import RowAccounts
from hsrl_pipeline.data.sources.source_log import ReadRequest
from hsrl_pipeline.data.sources.tabular import FOLDER, read_features

PARAMETER = "ingestion.tabular.recorded_answers"


def read_recorded_answers(request: ReadRequest) -> tuple[pd.DataFrame, RowAccounts]:
    """Return recorded answers, read with the columns of the event file.

    Of rows that repeat a pair the first stays.

    Returns:
        ``user_id``, ``item_id`` (string) and ``label`` (int8), no row when no file is named; and
        the accounts of the file.

    Raises:
        UserError: The file is missing or lacks a column, or a row is bad and bad rows are not to be
            dropped.
    """
    settings = request.config.tabular
    if settings.recorded_answers is None:
        return pd.DataFrame({"user_id": [], "item_id": [], "label": []}), RowAccounts()
    mapped = settings.columns
    response = str(mapped.label or mapped.value)
    columns = {name: name for name in (mapped.user, mapped.item, response)}
    file = read_features(
        request.raw_folder / FOLDER,
        settings,
        settings.recorded_answers,
        parameter=PARAMETER,
        columns=columns,
        ids=[mapped.user, mapped.item],
        workspace=request.workspace,
    )
    for column in (mapped.user, mapped.item):
        file.read_ids(column)
    file.refuse(file.rows[response].isna(), f"{response} is missing", response)
    if mapped.label is None:
        low, high = settings.value_range or (-np.inf, np.inf)
        file.check_number(response, low=low, high=high)
        labels = file.rows[response] > request.config.positive_above
    else:
        file.check_number(response, low=0, high=1)
        file.refuse(file.rows[response] % 1 > 0, f"{response} is not 0 or 1", response)
        labels = file.rows[response] > 0
    file.accounts.settle(request.config.on_bad_rows)
    answers = pd.DataFrame(
        {
            "user_id": file.rows[mapped.user],
            "item_id": file.rows[mapped.item],
            "label": labels.astype(np.int8),
        }
    )
    first = answers.drop_duplicates(["user_id", "item_id"]).reset_index(drop=True)
    repeated = len(answers) - len(first)
    accounts = replace(file.accounts, rows_out=len(first), repeated=repeated)
    return first, accounts
