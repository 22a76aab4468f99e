"""One look for every figure, and the same bytes from the same rows.

Colours are Okabe and Ito's (2008), told apart by readers with any colour vision; each
backend also has its own marker. Lines are labelled where they end instead of in a
legend. A cell that a limit stopped is drawn as a cross where its line would have gone
on: it is a result.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffkit.errors import ReportError
from diffkit.files import write_atomically
from diffkit.report.numbers import log10

_STYLE: dict[str, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": 144,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "svg.hashsalt": "diffkit",
    "svg.fonttype": "path",
    "path.simplify": False,
}


@dataclass(frozen=True, slots=True)
class Look:
    """Colour and marker of one series, and the name it has in figures."""

    name: str
    colour: str
    marker: str
    dash: str = "-"


#: Looks of the backends, the same in every figure.
LOOKS: Mapping[str, Look] = {
    "autodiff": Look("reverse mode", "#0072B2", "o"),
    "forward": Look("forward mode", "#009E73", "^"),
    "finite_differences_central": Look("central differences", "#D55E00", "s"),
    "finite_differences_forward": Look("forward differences", "#E69F00", "D"),
    "symbolic_expanded": Look("symbolic, expanded", "#CC79A7", "v"),
    "symbolic_cse": Look("symbolic, cse", "#7F3C8D", "P"),
    "symbolic_shared": Look("symbolic, shared", "#000000", "*", "--"),
    "null": Look("harness alone", "#999999", "."),
}


def look_of(backend: str) -> Look:
    """The look of a backend; grey for one that has none of its own."""
    return LOOKS.get(backend, Look(backend.replace("_", " "), "#666666", "x"))


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib set to the style of the house inside the block."""
    with mpl.rc_context():
        mpl.rcdefaults()
        parameters: Any = mpl.rcParams
        parameters.update(_STYLE)
        yield


def panels(
    rows: int, columns: int, *, width: float, height: float
) -> tuple[Figure, list[Axes]]:
    """A figure with ``rows × columns`` panels, listed row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    return figure, [axes for line in grid for axes in line]


@dataclass(frozen=True, slots=True)
class Line:
    """Points of one series, and where limits stopped it: (x, how it was stopped)."""

    look: Look
    points: Sequence[tuple[float, float]]
    stopped: Sequence[tuple[float, str]] = ()
    labelled: bool = True


def draw(axes: Axes, lines: Sequence[Line], *, title: str, x: str, y: str) -> None:
    """Draw series on logarithmic axes, with labels at their ends, stops as crosses.

    Values may be integers beyond the range of a float: the logarithm is drawn, with
    ticks that show the powers of ten.
    """
    drawn = [line for line in lines if line.points or line.stopped]
    stops = any(line.stopped for line in drawn)
    ends: list[tuple[float, float, Look]] = []
    values = [log10(v) for line in drawn for _, v in line.points if v > 0]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = max(high - low, 0.5)
    for line in drawn:
        look = line.look
        points = [(at, log10(value)) for at, value in line.points if value > 0]
        if points:
            axes.plot(
                [at for at, _ in points],
                [value for _, value in points],
                color=look.colour,
                marker=look.marker,
                linestyle=look.dash,
                clip_on=False,
                zorder=3,
            )
            if line.labelled and not line.stopped:
                ends.append((*points[-1], look))
        if line.stopped:
            at, how = line.stopped[0]
            height = points[-1][1] if points else low
            rise = min(height + 0.12 * span, high + 0.15 * span)
            if points:
                axes.plot(
                    [points[-1][0], at],
                    [height, rise],
                    color=look.colour,
                    linestyle=":",
                    linewidth=1.2,
                    zorder=2,
                )
            axes.plot(
                [at],
                [rise],
                color=look.colour,
                marker="X",
                markersize=8,
                linestyle="none",
                clip_on=False,
                zorder=4,
            )
            axes.annotate(
                f"{look.name}:\nstopped, {how.replace('_', ' ')}",
                xy=(at, rise),
                xytext=(0, 7),
                textcoords="offset points",
                color=look.colour,
                fontsize=8.5,
                ha="center",
                va="bottom",
                annotation_clip=False,
            )
    axes.set_xscale("log")
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(low - 0.08 * span, high + (0.34 if stops else 0.12) * span)
    ticks = sorted({at for line in drawn for at, _ in (*line.points, *line.stopped)})
    _ticks(axes, ticks)
    _powers(axes)
    _labels(axes, ends)


def save(figure: Figure, folder: Path, stem: str = "figure") -> None:
    """Write SVG and PNG without dates: the same figure gives the same bytes."""
    for suffix, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
        buffer = io.BytesIO()
        with house_style():
            figure.savefig(buffer, format=suffix, metadata=metadata)
        try:
            write_atomically(folder / f"{stem}.{suffix}", buffer.getvalue())
        except OSError as error:
            raise ReportError(
                f"{folder / f'{stem}.{suffix}'} cannot be written: {error.strerror}"
            ) from error


def _ticks(axes: Axes, ticks: Sequence[float]) -> None:
    """Tick at the measured places, thinned until the labels do not touch."""
    kept: list[float] = []
    if ticks:
        total = max(log10(ticks[-1] / ticks[0]), 1e-9)
        for tick in ticks:
            if not kept or log10(tick / kept[-1]) >= 0.055 * total:
                kept.append(tick)
    axes.set_xticks(kept, [f"{tick:g}" for tick in kept])
    axes.set_xticks([], minor=True)


def _powers(axes: Axes) -> None:
    """Label the (logarithmic) vertical axis with powers of ten."""
    low, high = axes.get_ylim()
    first, last = int(-(-low // 1)), int(high // 1)
    step = max(1, -(-(last - first) // 7))
    places = list(range(first, last + 1, step))
    if len(places) < 2:
        places = [first - 1, first, last + 1]
    if last - first <= 2:
        marks = [
            (p + log10(m), m * 10.0**p)
            for p in range(first - 1, last + 1)
            for m in (1, 2, 5)
        ]
        shown = [(at, f"{value:g}") for at, value in marks if low <= at <= high]
        axes.set_yticks([at for at, _ in shown], [text for _, text in shown])
    else:
        axes.set_yticks(places, [f"$10^{{{place}}}$" for place in places])
    axes.set_ylim(low, high)


def _labels(axes: Axes, ends: Sequence[tuple[float, float, Look]]) -> None:
    """Name each line to the right of its end, moved apart where ends are close."""
    low, high = axes.get_ylim()
    gap = 0.062 * (high - low)
    first, last = axes.get_xlim()
    reach = (last / first) ** 0.022
    for x in sorted({at for at, _, _ in ends}):
        group = sorted((end for end in ends if end[0] == x), key=lambda end: end[1])
        places = _apart([height for _, height, _ in group], gap, high)
        for (at, height, look), place in zip(group, places, strict=True):
            moved = abs(place - height) > 0.5 * gap
            axes.annotate(
                look.name,
                xy=(at, height),
                xytext=(at * reach ** (2.2 if moved else 1.0), place),
                color=look.colour,
                fontsize=8.5,
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


def _apart(heights: Sequence[float], gap: float, ceiling: float) -> list[float]:
    """Heights in order, moved by as little as keeps them ``gap`` apart.

    Neighbours that are too close form a group, which is spread about its middle.

    >>> _apart([1.0, 1.25, 3.0], gap=0.5, ceiling=9.0)
    [0.875, 1.375, 3.0]
    >>> _apart([1.0, 2.0], gap=0.5, ceiling=1.5)
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
