"""The few pieces of HTML that reports are made of."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1c1c; max-width: 80rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.4rem; margin-top: 3rem; border-top: 1px solid #ccc;
     padding-top: 1rem; } h3 { font-size: 1.15rem; margin-top: 2rem; } h4 { margin-bottom: .3rem; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #e4e4e4; }
td { white-space: nowrap; }
th { border-bottom: 2px solid #999; } th:first-child, td:first-child { text-align: left; }
tr.reference td { color: #6a6a6a; font-style: italic; }
.scroll { overflow-x: auto; } img { max-width: 100%; height: auto; }
.small { color: #555; font-size: .9rem; } .failed { color: #a40000; }
nav a { margin-right: 1rem; }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #e8e8e8; }
  th, td { border-color: #444; } tr.reference td, .small { color: #aaa; }
  img { background: #fff; } a { color: #8ab4f8; } .failed { color: #ff8a80; } }
"""


def page(title: str, body: Sequence[str]) -> str:
    """Return a whole page that needs nothing beside itself."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def element(name: str, text: str, **attributes: str) -> str:
    """Return an element with escaped text; ``class_`` gives its class."""
    return f"<{name}{_attributes(attributes)}>{html.escape(text)}</{name}>"


def bullets(lines: Sequence[str], **attributes: str) -> str:
    """Return a list of sentences."""
    entries = "".join(element("li", line) for line in lines)
    return f"<ul{_attributes(attributes)}>{entries}</ul>" if lines else ""


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], classes: Sequence[str] | None = None
) -> str:
    """Return a table of texts.

    Args:
        columns: Headings.
        rows: As many texts per row.
        classes: The class of each row, or none.
    """
    head = "".join(element("th", column) for column in columns)
    lines = []
    for number, row in enumerate(rows):
        own = {"class_": classes[number]} if classes and classes[number] else {}
        cells = "".join(element("td", cell) for cell in row)
        lines.append(f"<tr{_attributes(own)}>{cells}</tr>")
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def picture(figure: Figure, text: str) -> str:
    """Return a figure as an image inside the page.

    Args:
        figure: A matplotlib figure.
        text: What it shows, for those who can't see it.
    """
    from matplotlib import rc_context

    file = io.BytesIO()
    # neither ids nor dates that change from one run to the next
    with rc_context({"svg.hashsalt": "hsrl_pipeline"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    data = base64.b64encode(file.getvalue()).decode()
    return f'<p><img src="data:image/svg+xml;base64,{data}" alt="{html.escape(text)}"></p>'


def _attributes(attributes: dict[str, str]) -> str:
    return "".join(
        f' {name.rstrip("_")}="{html.escape(value)}"' for name, value in attributes.items()
    )
