"""A network's summary as a rich table; loaded only when one is drawn."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table


def rich_table(
    headings: Sequence[str], lines: Sequence[Sequence[str]], caption: str, left: int
) -> Table:
    """Lines of cells under their headings, the last line as a footer.

    The first `left` columns are words, the others numbers.
    """
    table = Table(caption=caption, show_footer=True)
    *body, total = lines
    for i, (heading, footer) in enumerate(zip(headings, total, strict=True)):
        justify = "left" if i < left else "right"
        table.add_column(heading, footer, justify=justify)
    for line in body:
        table.add_row(*line)
    return table
