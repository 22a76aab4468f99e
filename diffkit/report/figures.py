"""Everything that an experiment draws with: one look, direct labels, stops shown.

Colours are Okabe and Ito's (2008), told apart by readers with any colour vision; each
backend also has its own marker. Lines are labelled where they end instead of in a
legend. A cell that a limit stopped is drawn as a cross where its line would have gone
on: it is a result. The same rows give the same bytes.

=============  ========================================================================
`panels`       a figure and its panels: ``figure, (left, right) = panels(1, 2, ...)``
`draw`         `Line` after `Line` with labels at their ends; ``x_scale``, ``y_scale``
               are ``"log"`` (as given) or ``"linear"``; `Rule` marks a level or place;
               ``Line(..., band=...)`` shades an interval; ``y_limits`` cuts
`multiples`    small multiples: a panel of `Line`s for each name, on one vertical axis
`bars`         horizontal bars with their values; on a log axis dots, not bars
`heat_map`     a table in colour, values written in its cells where they are few
`contours`     a landscape with a `Path` for each descent, and a star at the best
`look_of`      the look of a backend: the same in every figure
`looks`        looks for other series: ``looks(["sgd", "adam"])["adam"]``
=============  ========================================================================

The title of a panel says the point ("Adam reaches the valley first"), its axes name the
quantity with its unit. Titles, names and units are words of yours; numbers come from
rows.
"""

from __future__ import annotations

from diffkit.report.bars import Bars, bars
from diffkit.report.fields import Path, contours, heat_map
from diffkit.report.lines import Line, Rule, Scale, draw, multiples
from diffkit.report.style import (
    LOOKS,
    SMALL,
    Look,
    draw_files,
    house_style,
    look_of,
    looks,
    panels,
    save,
)

__all__ = [
    "LOOKS",
    "SMALL",
    "Bars",
    "Line",
    "Look",
    "Path",
    "Rule",
    "Scale",
    "bars",
    "contours",
    "draw",
    "draw_files",
    "heat_map",
    "house_style",
    "look_of",
    "looks",
    "multiples",
    "panels",
    "save",
]
