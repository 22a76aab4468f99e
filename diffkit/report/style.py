"""One look for every figure: colours, type, panels, and files without dates."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from diffkit.errors import ReportError
from diffkit.files import write_atomically

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
    "image.cmap": "cividis",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "svg.hashsalt": "diffkit",
    "svg.fonttype": "path",
    "path.simplify": False,
}
#: Size of words beside lines, in points.
SMALL = 8.5


@dataclass(frozen=True, slots=True)
class Look:
    """Colour and marker of one series, and the name it has in figures.

    ``dash`` is Matplotlib's: ``-``, ``--``, ``:``, or ``none`` for points alone.
    """

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
#: Colours and markers of series that are not backends, in the order they are given.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#7F3C8D", "#000000")
_MARKERS = ("o", "s", "^", "v", "D", "P", "*")
_DASHES = ("-", "--", ":", "-.")


def look_of(backend: str) -> Look:
    """The look of a backend; grey for one that has none of its own."""
    return LOOKS.get(backend, Look(backend.replace("_", " "), "#666666", "x"))


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Looks for series that are not backends (optimizers, losses, rates ...), by name.

    The first seven differ in colour and marker, further ones in their dash as well.

    >>> [(look.name, look.marker) for look in looks(["sgd", "adam"]).values()]
    [('sgd', 'o'), ('adam', 's')]
    """
    count = len(_COLOURS)
    return {
        name: Look(
            name.replace("_", " "),
            _COLOURS[place % count],
            _MARKERS[place % count],
            _DASHES[place // count % len(_DASHES)],
        )
        for place, name in enumerate(names)
    }


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
    """A figure with ``rows × columns`` panels, listed row by row; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    return figure, [axes for line in grid for axes in line]


def say_nothing(axes: Axes) -> None:
    """Say in a panel that there is nothing to draw in it."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(
        0.5,
        0.5,
        "nothing measured",
        transform=axes.transAxes,
        ha="center",
        va="center",
        color="#777777",
    )


def save(figure: Figure, folder: Path, stem: str = "figure") -> None:
    """Write SVG and PNG without dates: the same figure gives the same bytes."""
    for suffix, content in draw_files(figure).items():
        try:
            write_atomically(folder / f"{stem}.{suffix}", content)
        except OSError as error:
            raise ReportError(
                f"{folder / f'{stem}.{suffix}'} cannot be written: {error.strerror}"
            ) from error


def draw_files(figure: Figure) -> dict[str, bytes]:
    """The figure as the bytes of an ``svg`` and of a ``png``.

    `savefig` lays out all panels before each file and once more while it draws, which
    takes as long as drawing them: here they are laid out once, for both files.
    """
    svg, png = io.BytesIO(), io.BytesIO()
    with house_style():
        figure.set_dpi(mpl.rcParams["savefig.dpi"])
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})
    return {"svg": svg.getvalue(), "png": png.getvalue()}
