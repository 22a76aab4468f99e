"""Way two, write the formula: a wall of text, and how it grows."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from diffkit.lesson import chart
from diffkit.lesson.data import Data, GapError, Measured, Number
from diffkit.lesson.section import Section, View
from diffkit.lesson.spread import spread
from diffkit.lesson.wall import wall

NAME = "formula"
NETWORK = "network"
TREE, SHARED = "nested_tree_operations", "shared_operations"
#: The forms in the table, in the order of its columns.
FORMS = ("expanded_tree_operations", TREE, "cse_shared_operations", SHARED)
#: A longer formula is not printed, and neither is a deeper one: the page has to fit.
PRINTED_OPERATIONS, PRINTED_DEPTH = 1_400, 2
#: A curve needs so many depths, and has no more.
FEWEST, MOST = 3, 12

Counts = Mapping[tuple[int, int], Mapping[str, Number]]


def view(data: Data) -> View:
    """The formula of small networks, and the operations of all that were counted."""
    rows = data["expression_growth"]
    counts = _counts(rows)
    depths, widths = (sorted({place[axis] for place in counts}) for axis in (0, 1))
    printed = [
        wall(depth, width)
        for depth, width in counts
        if depth <= PRINTED_DEPTH
        and float(counts[depth, width][TREE]) <= PRINTED_OPERATIONS
    ]
    if not printed:
        raise GapError(rows.name, f"no {TREE} of a network that is small", rows.mode)
    last = printed[-1]
    place = last.depth, last.width
    return View(
        {
            "walls": [(one, counts[one.depth, one.width]) for one in printed],
            "start": last,
            "shown": counts[place],
            "depths": [(d, d) for d in depths],
            "widths": [(w, w) for w in widths],
            "drawing": _drawing(counts, depths, widths),
            "lines": [_line(counts, depths[-1], width) for width in widths],
            "deepest": depths[-1],
            "widest": widths[-1],
            "far": counts[depths[-1], widths[-1]],
            "narrow": counts[depths[-1], widths[0]],
        },
        {
            "start": {"depth": last.depth, "width": last.width},
            "counts": {
                f"{d} {w}": [float(found[form]) for form in (TREE, SHARED)]
                for (d, w), found in counts.items()
            },
        },
    )


def _counts(rows: Measured) -> Counts:
    """(depth, width) -> operations by form, over a whole grid, by width."""
    depths_of: dict[int, set[int]] = {}
    for row in rows.having(SHARED, system=NETWORK):
        depths_of.setdefault(int(row["width"]), set()).add(int(row["depth"]))
    # The widest networks were counted at one depth only.
    widths = sorted(w for w, depths in depths_of.items() if len(depths) >= FEWEST)
    if not widths:
        raise GapError(rows.name, f"no {SHARED} at {FEWEST} depths", rows.mode)
    every = sorted(set().union(*(depths_of[width] for width in widths)))
    depths = spread(every, MOST, early=True)
    return {
        (depth, width): {
            form: rows.number(form, system=NETWORK, depth=depth, width=width)
            for form in FORMS
        }
        for width in widths
        for depth in depths
    }


def _line(counts: Counts, depth: int, width: int) -> list[object]:
    return [
        Markup('<span class="given">{}</span>').format(width),
        *(counts[depth, width][form] for form in FORMS),
    ]


def _drawing(counts: Counts, depths: list[int], widths: list[int]) -> Markup:
    """Two curves for each width: the tree, and the shared form (dashed)."""
    lines = [
        chart.Line(
            f"{said}, width {width}",
            [(depth, float(counts[depth, width][form])) for depth in depths],
            1 + at,
            dashed=form == SHARED,
            name=f"{form} {width}",
        )
        for form, said in ((TREE, "tree"), (SHARED, "shared"))
        for at, width in enumerate(widths)
    ]
    every = [y for line in lines for _, y in line.points]
    return chart.chart(
        f"{NAME}-growth",
        "Operations in the formula of a gradient by hidden layers: written out they "
        "grow exponentially as soon as a layer has two units, shared they lie on a "
        "straight line",
        chart.Axis("hidden layers", depths[0], depths[-1], ticks=_ticks(depths)),
        chart.fit("operations in the formula", every, log=True),
        lines,
        extra=Markup('<circle class="here" id="formula-here" r="0"/>'),
        height=400,
        right=160,
    )


def _ticks(depths: list[int]) -> tuple[float, ...]:
    """Depths that stand a twelfth of the axis apart, so that none meets the next."""
    apart = (depths[-1] - depths[0]) / MOST
    ticks: list[float] = []
    for depth in depths:
        if not ticks or depth - ticks[-1] >= apart:
            ticks.append(depth)
    return tuple(ticks)


SECTION = Section(
    NAME, "7", "Way two, write the formula", ("expression_growth",), ("C8",), view
)
