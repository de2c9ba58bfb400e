r"""One way from an id as a file holds it to the text that names it everywhere.

The same user may be 7 in one file, 7.0 in another that once had a gap, and the bytes of "7" in a
third. Events, features and recorded answers read their ids through the expressions here, so that
they meet. What can't be read without a loss is a defect and never becomes another id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa

from hsrl_pipeline.data.engines.duckdb_engine import evaluate_column
from hsrl_pipeline.data.engines.parquet_columns import (
    FIRST_INEXACT,
    FRACTION_MARK,
    ROUNDED_MARK,
)
from hsrl_pipeline.errors import UserError

GOOD = 0
ODD_ID = 1
LONG_ID = 2
ROUNDED_ID = 3
FRACTION_ID = 4
LONGEST_ID = 256

NO_ID = ("", "nan", "NaN", "<NA>", "NaT", "None", "null", "NULL", r"\N")
"""What programs write where there is no id."""

SPACE = (
    r"[\s\x0b\x1c-\x1f\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}"
    r"\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
)
"""What Python and Arrow strip from texts, spelt out because engines differ in it."""

NUMERIC_ID = r"^[0-9]{1,18}$"
NEGATIVE_ID = r"^-[0-9]+$"
NOTHING = rf"^{SPACE}*({'|'.join(map(re.escape, NO_ID))}){SPACE}*$"
SPACE_AROUND = f"^{SPACE}+|{SPACE}+$"
WHOLE_FLOAT = rf"^{SPACE}*(-?[0-9]+)\.0+{SPACE}*$"
SCIENTIFIC = rf"^{SPACE}*[-+]?[0-9]+(\.[0-9]+[eE][-+]?|[eE]\+)[0-9]+{SPACE}*$"
LARGEST_FLOAT = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class IdReading:
    """Ids of a column as expressions.

    Attributes:
        text: The id; null where there is none.
        defect: int16. 0 or the number of a defect, see `describe_defects`.
    """

    text: ir.StringValue
    defect: ir.IntegerValue


def describe_defects(name: str, *, numeric: bool) -> dict[int, str]:
    """Return what is wrong with an id, in a few words, by the number of the defect.

    Args:
        name: Name of the id.
        numeric: Whether ids must be whole numbers.
    """
    return {
        ODD_ID: f"{name} {'is not a whole number >= 0' if numeric else 'is negative'}",
        LONG_ID: f"{name} is longer than {LONGEST_ID} characters",
        ROUNDED_ID: f"{name} is a rounded number, its last digits are lost",
        FRACTION_ID: f"{name} is a number that is not whole",
    }


def read_ids(column: ir.Value, name: str, *, numeric: bool = False) -> IdReading:
    """Return the ids of a column of any type.

    Whole numbers of every type become their digits, so that 7, 7.0 and "7.0" are the same id. Texts
    keep leading zeros and lose spaces around them. Dates become text like 2024-05-31, UUIDs their
    36 characters.

    Args:
        column: Ids, as `Engine.scan_parquet` or `Engine.scan_csv` returns them: bytes decoded,
            NaN null.
        name: Name of the column, for messages.
        numeric: Whether ids must be whole numbers of at most 18 digits.

    Raises:
        UserError: The column holds something that is no id, such as lists or truth values.
    """
    kind = column.type()
    if kind.is_floating():
        text, own = _read_floats(column)
    elif kind.is_decimal():
        text, own = _read_decimals(column)
    elif kind.is_integer() or kind.is_date() or kind.is_uuid():
        text, own = column.cast("string"), []
    elif kind.is_string() or kind.is_json() or kind.is_unknown():
        # unknown is the type of a column without any value
        text, own = _read_texts(column.cast("string"))
    else:
        raise UserError(
            f"The column {name!r} holds values of type {kind}, which are no ids",
            remedy="Map the column of the ids, or convert it to text or whole numbers.",
        )
    pattern = NUMERIC_ID if numeric else NEGATIVE_ID
    odd = ~text.re_search(pattern) if numeric else text.re_search(pattern)
    defect = ibis.cases(*own, (text.length() > LONGEST_ID, LONG_ID), (odd, ODD_ID), else_=GOOD)
    return IdReading(text, defect.cast("int16"))


def read_id_column(
    column: pa.ChunkedArray, name: str, *, numeric: bool = False
) -> tuple[pd.Series, pd.Series]:
    """Return text and defect of each id of a column in memory, read as `read_ids` reads them.

    Args:
        column: (row,). Ids of any type.
        name: Name of the column, for messages.
        numeric: Whether ids must be whole numbers.

    Returns:
        (row,) object texts, None where there is no id, and (row,) int64 defects.

    Raises:
        UserError: As for `read_ids`.
    """

    def read(ids: ir.Column) -> dict[str, ir.Value]:
        reading = read_ids(ids, name, numeric=numeric)
        return {"text": reading.text, "defect": reading.defect}

    done = evaluate_column(column, read)
    texts = pd.Series(done["text"].to_numpy(), dtype=object)
    return texts, pd.Series(done["defect"].to_numpy(), dtype=np.int64)


Defects = list[tuple[ir.BooleanValue, int]]


def _read_floats(column: ir.FloatingValue) -> tuple[ir.StringValue, Defects]:
    """Return digits of whole numbers; NaN is no id, and what is not exact is a defect."""
    limit = FIRST_INEXACT.get(column.type().nbytes * 8, FIRST_INEXACT[16])
    number = column.cast("float64")
    number = ibis.ifelse(number.isnan(), ibis.null("float64"), number)
    exact = number.abs() < limit
    small = ibis.ifelse(exact, number, ibis.null("float64"))  # casts of larger ones would fail
    whole = small.floor().cast("int64")
    digits = ibis.ifelse(small == whole, whole, ibis.null("int64")).cast("string")
    text = ibis.coalesce(digits, number.cast("string"))
    return text, [
        ((small != whole) | (number.abs() > LARGEST_FLOAT), FRACTION_ID),
        (~exact, ROUNDED_ID),
    ]


def _read_decimals(column: ir.DecimalValue) -> tuple[ir.StringValue, Defects]:
    """Return digits of whole numbers; any other number is a defect."""
    whole = column == column.floor()
    digits = column.floor().cast("decimal(38, 0)").cast("string")
    return ibis.ifelse(whole, digits, column.cast("string")), [(~whole, FRACTION_ID)]


def _read_texts(column: ir.StringValue) -> tuple[ir.StringValue, Defects]:
    """Return texts without spaces around them; a whole number written as 7.0 is 7.

    All steps start from the column itself, because engines compute nested expressions repeatedly.
    """
    digits = column.re_extract(WHOLE_FLOAT, 1)  # empty where it is no such number
    bare = ibis.coalesce(digits.nullif(""), column.re_replace(SPACE_AROUND, ""))
    text = ibis.ifelse(column.re_search(NOTHING), ibis.null("string"), bare)
    exact = digits.try_cast("int64").between(1 - FIRST_INEXACT[64], FIRST_INEXACT[64] - 1)
    rounded = ((digits != "") & ~exact.fill_null(False)) | column.re_search(SCIENTIFIC)
    return text, [
        (column.endswith(FRACTION_MARK), FRACTION_ID),
        (column.endswith(ROUNDED_MARK) | rounded, ROUNDED_ID),
    ]
