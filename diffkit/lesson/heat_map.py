"""Heat maps side by side as inline SVG: small, and in the page's own colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from markupsafe import Markup, escape

#: Shades of one colour: the share is cut into so many bands.
BANDS = 10
#: Pixels of a cell, and of the margins left of, above and below the maps.
_CELL, _LEFT, _TOP, _BOTTOM, _GAP = 15, 60, 30, 92, 26


def heat_maps(
    name: str,
    title: str,
    maps: Mapping[str, Sequence[float]],
    *,
    down: Sequence[float],
    across: Sequence[float],
    down_label: str,
    across_label: str,
) -> Markup:
    """Maps of shares between 0 and 1 in one ``<svg>`` called ``name``.

    Each map lists its cells row by row: ``down`` are the rows, the first at the bottom;
    ``across`` the columns. A cell lies at ``data-left + column · data-cell``.
    """
    side, high = len(across) * _CELL, len(down) * _CELL
    width = _LEFT + len(maps) * (side + _GAP)
    parts = [
        _map(what, values, len(down), len(across), _LEFT + place * (side + _GAP))
        for place, (what, values) in enumerate(maps.items())
    ]
    for k in _some(len(down)):
        at = _TOP + (len(down) - k - 0.5) * _CELL + 4
        parts.append(_text("tick", _LEFT - 6, at, f"{down[k]:.0%}", "end"))
    middle = _TOP + high / 2
    parts.append(
        f'<text class="name" transform="translate(14 {middle:g}) rotate(-90)" '
        f'text-anchor="middle">{escape(down_label)}</text>'
    )
    for place in range(len(maps)):
        left = _LEFT + place * (side + _GAP)
        for k in _some(len(across)):
            said = f"{across[k]:+g}".replace("-", "−").replace("+0", "0")
            at = left + (k + 0.5) * _CELL
            parts.append(_text("tick", at, _TOP + high + 18, said, "middle"))
        at = left + side / 2
        parts.append(_text("name", at, _TOP + high + 38, across_label, "middle"))
    parts.append(_legend(_LEFT, _TOP + high + 56))
    return Markup(
        f'<svg class="chart heat" id="{name}" viewBox="0 0 {width} '
        f'{_TOP + high + _BOTTOM}" role="img" aria-labelledby="{name}-title" '
        f'data-cell="{_CELL}" data-left="{_LEFT}" data-top="{_TOP}" '
        f'data-apart="{side + _GAP}"><title id="{name}-title">{escape(title)}</title>'
        f"{''.join(parts)}</svg>"
    )


def band(value: float) -> int:
    """The band of a share: 0 for the lowest, BANDS − 1 for the highest.

    >>> band(0.0), band(0.1), band(0.999), band(1.0)
    (0, 1, 9, 9)
    """
    return min(max(int(value * BANDS + 1e-9), 0), BANDS - 1)


def _map(what: str, values: Sequence[float], rows: int, columns: int, left: int) -> str:
    """One path for each band, cells of a row that look alike in one piece."""
    cells: dict[int, list[str]] = {}
    for row in range(rows):
        bands = [band(v) for v in values[row * columns : (row + 1) * columns]]
        column = 0
        for look, run in groupby(bands):
            wide = len(list(run))
            at = f"M{column} {rows - 1 - row}h{wide}v1H{column}z"
            cells.setdefault(look, []).append(at)
            column += wide
    paths = "".join(
        f'<path class="heat{k}" d="{"".join(parts)}"/>'
        for k, parts in sorted(cells.items())
    )
    middle = left + columns * _CELL / 2
    return (
        f"{_text('head', middle, _TOP - 10, what, 'middle')}"
        f'<g transform="translate({left} {_TOP}) scale({_CELL})">{paths}</g>'
        f'<rect class="axis" x="{left}" y="{_TOP}" width="{columns * _CELL}" '
        f'height="{rows * _CELL}"/>'
    )


def _legend(left: int, top: float) -> str:
    parts = [
        f'<path class="heat{k}" d="M{left + 24 * k} {top:g}h24v12h-24z"/>'
        for k in range(BANDS)
    ]
    parts.append(_text("tick", left, top + 27, "0%", "start"))
    parts.append(_text("tick", left + 24 * BANDS, top + 27, "100% risk", "middle"))
    return "".join(parts)


def _some(count: int) -> list[int]:
    return sorted({0, count // 2, count - 1})


def _text(kind: str, x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
