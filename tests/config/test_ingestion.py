import datetime

import pytest
from pydantic import ValidationError

from hsrl_pipeline.config.ingestion import IngestionConfig
from hsrl_pipeline.data.sources.source_log import READERS, get_reader
from hsrl_pipeline.errors import UserError


@pytest.mark.parametrize("date", ["2024-05-31", datetime.date(2024, 5, 31)])
def test_a_day_may_be_text_or_a_date(date: object) -> None:
    assert IngestionConfig(source="ml1m", date=date).date == "2024-05-31"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"date": "2024-02-30"}, "no day of the form YYYY-MM-DD"),
        ({"date": "yesterday"}, "no day of the form YYYY-MM-DD"),
        ({"engine": "dask"}, "'duckdb' or 'pyspark'"),
        ({"on_bad_rows": "ignore"}, "'error' or 'drop'"),
        ({"slate_size": 0}, "greater than or equal to 1"),
        ({"train_share": 1.0}, "less than 1"),
        ({"memory_limit_gb": 0}, "greater than 0.2"),
        ({"engin": "duckdb"}, "Extra inputs are not permitted"),
        ({"synthetic": {"n_user": 3}}, "Extra inputs are not permitted"),
    ],
)
def test_odd_parameters_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        IngestionConfig(source="ml1m", **values)


def test_every_reader_can_be_imported_and_unknown_ones_are_named() -> None:
    assert all(callable(get_reader(name)) for name in READERS)
    with pytest.raises(UserError, match=r"no source named 'ml2m'.*kuairand_pure, ml100k, ml1m"):
        get_reader("ml2m")
