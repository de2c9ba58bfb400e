from dataclasses import replace

import pytest

from hsrl_pipeline.data.accounts import BadRows, RowAccounts
from hsrl_pipeline.errors import UserError

FIRST = BadRows("rating is not a number", 2, "ratings.dat", 7, "value", "abc")
OTHER = BadRows("duplicate row", 1, "ratings.dat", 3)


def test_accounts_of_two_parts_add_up_and_keep_the_first_example() -> None:
    left = RowAccounts(rows_in=10, rows_out=8, bad=(FIRST,), notes={"a": 1})
    later = BadRows("rating is not a number", 3, "more.dat", 1, "value", "xyz")
    right = RowAccounts(rows_in=5, rows_out=1, bad=(later, OTHER), notes={"a": 2, "b": 4})
    both = left.merged(right)
    assert (both.rows_in, both.rows_out, both.rows_dropped) == (15, 9, 6)
    assert both.bad == (replace(FIRST, count=5), OTHER)
    assert both.notes == {"a": 3, "b": 4}


def test_accounts_survive_a_round_trip() -> None:
    accounts = RowAccounts(rows_in=3, rows_out=1, bad=(FIRST,), notes={"a": 1})
    assert RowAccounts.from_dict(accounts.to_dict()) == accounts


def test_bad_rows_refuse_the_log_with_place_counts_and_remedy() -> None:
    accounts = RowAccounts(rows_in=3, rows_out=0, bad=(FIRST, OTHER))
    with pytest.raises(UserError) as caught:
        accounts.settle("error")
    assert str(caught.value) == (
        "rating is not a number: 'abc' (ratings.dat, line 7, column value). Found in all: "
        "2 x rating is not a number; 1 x duplicate row. Correct the file, or set "
        "ingestion.on_bad_rows to drop: such rows are then left out and counted in the "
        "data-quality report."
    )


def test_bad_rows_pass_when_they_are_to_be_dropped() -> None:
    accounts = RowAccounts(rows_in=3, rows_out=0, bad=(FIRST,))
    assert accounts.settle("drop") is accounts
    assert RowAccounts(rows_in=3, rows_out=3).settle("error").rows_dropped == 0
