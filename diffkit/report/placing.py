"""Where words go in a figure: beside the line they name, and on no other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Literal

from matplotlib.axes import Axes

from diffkit.report.style import SMALL, Look

#: Width of a letter and height of a line of text, in sizes of the type.
_LETTER, _LEADING = 0.58, 1.3
#: How far from its point a word may stand, in points; near is tried first.
_DISTANCES = (7.0, 16.0, 26.0)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in points of the page, from the corner of the axes."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        """Whether two rectangles have a point in common."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def crossed(self, start: Point, end: Point) -> bool:
        """Whether a segment runs through the rectangle (Liang and Barsky, 1984).

        >>> Box(0, 0, 2, 1).crossed((-1, 0.5), (3, 0.6))
        True
        >>> Box(0, 0, 2, 1).crossed((-1, 0.5), (1, 9))
        False
        """
        (x, y), (u, v) = start, end
        enter, leave = 0.0, 1.0
        for step, room in (
            (x - u, x - self.left),
            (u - x, self.right - x),
            (y - v, y - self.bottom),
            (v - y, self.top - y),
        ):
            if step == 0:
                if room < 0:
                    return False
            elif step < 0:
                enter = max(enter, room / step)
            else:
                leave = min(leave, room / step)
        return enter <= leave


def place_beside(
    axes: Axes,
    text: str,
    at: Point,
    colour: str,
    lines: Iterable[Sequence[Point]],
    taken: list[Box],
) -> None:
    """Write ``text`` next to a point of the data, where it touches the fewest lines.

    Above the point where that is free, else around it. ``taken`` are boxes of words
    that stand already; the new one is added.
    """
    to_points = _to_points(axes)
    x, y = to_points(at)
    width = SMALL * _LETTER * max(len(line) for line in text.splitlines())
    height = SMALL * _LEADING * len(text.splitlines())
    segments = [
        (to_points(first), to_points(second))
        for line in lines
        for first, second in pairwise(line)
    ]
    room = _room(axes)
    best: tuple[float, float, float, str, Box] | None = None
    for across, up, far in product((0, -1, 1), (1, 0, -1), _DISTANCES):
        if across == up == 0:
            continue
        dx, dy = across * (far + 1), up * far
        align = {0: "center", -1: "right", 1: "left"}[across]
        left = x + dx - {0: 0.5, -1: 1.0, 1: 0.0}[across] * width
        bottom = y + dy - {1: 0.0, 0: 0.5, -1: 1.0}[up] * height
        box = Box(left, bottom, left + width, bottom + height)
        wide = Box(box.left - 4, box.bottom - 4, box.right + 4, box.top + 4)
        touched = sum(wide.crossed(*segment) for segment in segments)
        touched += 3 * sum(box.meets(other) for other in taken)
        touched += 5 * (box.left < room.left or box.bottom < room.bottom)
        if best is None or touched < best[0]:
            best = (touched, dx, dy, align, box)
    assert best is not None
    _, dx, dy, align, box = best
    taken.append(box)
    axes.annotate(
        text,
        xy=at,
        xytext=(dx, dy),
        textcoords="offset points",
        color=colour,
        fontsize=SMALL,
        ha=align,
        va="bottom" if dy > 0 else "top" if dy < 0 else "center",
        annotation_clip=False,
        zorder=6,
    )


def place_along(
    axes: Axes,
    text: str,
    value: float,
    axis: Literal["x", "y"],
    lines: Iterable[Sequence[Point]],
    taken: list[Box],
) -> None:
    """Write ``text`` along a rule at ``value``, where it touches the fewest lines."""
    to_points, room = _to_points(axes), _room(axes)
    segments = [
        (to_points(first), to_points(second))
        for line in lines
        for first, second in pairwise(line)
    ]
    width, height = SMALL * _LETTER * len(text), SMALL * _LEADING
    corner = (axes.get_xlim()[0], axes.get_ylim()[0])
    x, y = to_points((value, corner[1]) if axis == "x" else (corner[0], value))
    boxes = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        if axis == "y":
            left = room.left + 4 + share * (room.right - room.left - width - 8)
            bottom = y + 2.5
        else:
            left = x + 3
            bottom = room.top - 3 - height - share * (room.top - room.bottom - height)
        box = Box(left, bottom, left + width, bottom + height)
        touched = sum(box.crossed(*segment) for segment in segments)
        touched += 3 * sum(box.meets(other) for other in taken)
        boxes.append((touched, share, box))
    box = min(boxes)[2]
    taken.append(box)
    axes.annotate(
        text,
        xy=((box.left - room.left) / (room.right - room.left), value)
        if axis == "y"
        else (value, (box.bottom - room.bottom) / (room.top - room.bottom)),
        xycoords=(
            ("axes fraction", "data") if axis == "y" else ("data", "axes fraction")
        ),
        xytext=(0, 2.5) if axis == "y" else (3, 0),
        textcoords="offset points",
        va="bottom",
        color="#555555",
        fontsize=SMALL,
        zorder=5,
    )


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, Look]]) -> None:
    """Name each line to the right of its end, moved apart where ends are close."""
    low, high = axes.get_ylim()
    gap = 0.062 * (high - low)
    for group in _side_by_side(axes, ends):
        group.sort(key=lambda end: end[1])
        places = apart([height for _, height, _ in group], gap, high)
        for (at, height, look), place in zip(group, places, strict=True):
            moved = abs(place - height) > 0.5 * gap
            axes.annotate(
                look.name,
                xy=(at, height),
                xytext=(_right_of(axes, at, 2.2 if moved else 1.0), place),
                color=look.colour,
                fontsize=SMALL,
                va="center",
                annotation_clip=False,
                zorder=5,
                bbox={"facecolor": "white", "alpha": 0.8, "pad": 0.4, "linewidth": 0},
                arrowprops=(
                    {
                        "arrowstyle": "-",
                        "color": look.colour,
                        "linewidth": 0.6,
                        "shrinkA": 0,
                        "shrinkB": 3,
                    }
                    if moved
                    else None
                ),
            )


def _side_by_side(
    axes: Axes, ends: Sequence[tuple[float, float, Look]]
) -> list[list[tuple[float, float, Look]]]:
    """Ends in groups: within one, names would stand over or under each other."""
    to_points = _to_points(axes)
    groups: list[list[tuple[float, float, Look]]] = []
    reach = float("-inf")
    for end in sorted(ends, key=lambda end: end[0]):
        left, _ = to_points(end[:2])
        if not groups or left > reach:
            groups.append([])
        groups[-1].append(end)
        # As far as the name goes if it has to be moved aside.
        reach = max(reach, left + SMALL * (_LETTER * len(end[2].name) + 2))
    return groups


def apart(heights: Sequence[float], gap: float, ceiling: float) -> list[float]:
    """Heights in order, moved by as little as keeps them ``gap`` apart.

    Neighbours that are too close form a group, which is spread about its middle.

    >>> apart([1.0, 1.25, 3.0], gap=0.5, ceiling=9.0)
    [0.875, 1.375, 3.0]
    >>> apart([1.0, 2.0], gap=0.5, ceiling=1.5)
    [1.0, 1.5]
    """
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and (
            _lowest(groups[-1], gap) - _lowest(groups[-2], gap) < gap * len(groups[-2])
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    places = [
        _lowest(group, gap) + gap * i for group in groups for i in range(len(group))
    ]
    limit = ceiling
    for place in range(len(places) - 1, -1, -1):
        places[place] = min(places[place], limit)
        limit = places[place] - gap
    return places


def _lowest(group: Sequence[float], gap: float) -> float:
    """Where the lowest label of a group goes when the group is spread."""
    return sum(group) / len(group) - gap * (len(group) - 1) / 2


def _right_of(axes: Axes, at: float, widths: float) -> float:
    """A place of the horizontal axis, to the right by ``widths`` times 2.2 % of it."""
    first, last = axes.get_xlim()
    if axes.get_xscale() == "log":
        return at * (last / first) ** (0.022 * widths)
    return at + 0.022 * widths * (last - first)


def _to_points(axes: Axes):
    """From data to points on the page, as far as is known before the layout is."""
    scale = 72 / axes.get_figure(root=True).dpi  # type: ignore[union-attr]
    transform = axes.transData

    def convert(at: Point) -> Point:
        x, y = transform.transform(at)
        return float(x) * scale, float(y) * scale

    return convert


def _room(axes: Axes) -> Box:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    to_points = _to_points(axes)
    return Box(*to_points((left, bottom)), *to_points((right, top)))
