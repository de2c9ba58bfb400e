"""Columns of bytes to text: old Hive and Impala files do not say that their texts are texts."""

from __future__ import annotations

from collections.abc import Callable

import ibis
import ibis.expr.types as ir

UTF8 = (
    "^(?:0[1-9A-F]|[1-7].|C[2-9A-F][89AB].|D.[89AB].|E0[AB].[89AB].|E[1-9A-CEF](?:[89AB].){2}"
    "|ED[89].[89AB].|F0[9AB].(?:[89AB].){2}|F[1-3](?:[89AB].){3}|F48.(?:[89AB].){2})*$"
)
"""Hexadecimal digits of valid UTF-8 (RFC 3629, section 4) without the zero byte."""

Decode = Callable[[ir.Value], ir.StringValue]
"""How an engine says that bytes are UTF-8."""


@ibis.udf.scalar.builtin(name="hex")  # type: ignore[untyped-decorator]
def _hex(data: bytes) -> str:
    raise NotImplementedError  # the engine has it


def text_of_bytes(column: ir.Value, decode: Decode) -> ir.StringValue:
    """Return bytes as the UTF-8 text that they are, or else as hexadecimal digits after ``0x``.

    Args:
        column: Binary column.
        decode: How the engine decodes valid UTF-8.
    """
    digits = _hex(column)
    valid = digits.re_search(UTF8)
    text = decode(ibis.ifelse(valid, column, ibis.null(column.type())))
    return ibis.coalesce(text, "0x" + digits.lower())
