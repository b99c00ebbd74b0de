# SPDX-License-Identifier: Apache-2.0
"""What notebooks show of results, on light pages and dark ones."""

import base64
import html
from typing import Any, Iterable, Sequence


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """Cells are texts and numbers. The page's own colours and lines, which suit its theme."""
    first = "".join(f"<th>{html.escape(str(cell))}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table>"


def matrix(names: Sequence[str], counts: Any) -> str:
    """A confusion matrix: the more of a row's photos a cell has, the more of its colour, half transparent over the page's own."""
    head = "".join(f"<th title='{html.escape(name)}'>{html.escape(name)}</th>" for name in names)
    rows = []
    for place, (name, row) in enumerate(zip(names, counts)):
        whole = max(int(sum(row)), 1)
        cells = []
        for column, count in enumerate(row):
            colour = "46,160,67" if column == place else "218,54,51"
            style = f" style='background:rgba({colour},{0.6 * int(count) / whole:.2f})'" if count else ""
            cells.append(f"<td{style}>{int(count) or ''}</td>")
        rows.append(f"<tr><th>{html.escape(name)}</th>{''.join(cells)}</tr>")
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def image_of_svg(svg: bytes, text: str) -> str:
    """As an image of its own, so that its styles don't meet those of the page."""
    data = base64.b64encode(svg).decode("ascii")
    return f"<img alt='{html.escape(text)}' src='data:image/svg+xml;base64,{data}'>"
