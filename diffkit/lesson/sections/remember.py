"""Way three, remember and reuse: nodes and not paths, what it costs, what it keeps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from diffkit.lesson import chart
from diffkit.lesson.data import Data, GapError, Measured, Number
from diffkit.lesson.section import Section, View

NAME = "remember"
REVERSE = "autodiff"
#: What the claims say that value and gradient take, in forward passes.
CLAIMED = {"claimed: one forward pass": 1.0, "claimed: twice": 2.0}
RATIOS = {"time_ratio": ("time", 1, False), "operations_ratio": ("operations", 6, True)}
#: Checkpoints -> what the drawing calls them.
KEPT = {"none": ("everything kept", 1, False), "sqrt": ("√n checkpoints", 2, True)}

#: The drawing's unit of memory.
MIB = 2**20
#: What is kept, the bytes of intermediates, the operations.
Trade = tuple[str, Number, Number]
Paths = Mapping[int, Mapping[int, tuple[Number, Number]]]


def view(data: Data) -> View:
    """The recorded program, paths, ratios and bytes."""
    trace, cost = data["backward_trace"], data["gradient_cost_ratio"]
    memory = data["memory"]
    forward, backward = _program(trace)
    paths = _paths(trace)
    widths = sorted(paths)
    depths = sorted(paths[widths[-1]])
    ratios = {
        metric: cost.numbers(metric, REVERSE, by="depth", sweep="depth")
        for metric in RATIOS
    }
    layers = list(ratios["time_ratio"])
    kept = {
        name: memory.numbers(
            "workspace_bytes", REVERSE, by="depth", sweep="depth", checkpoint=name
        )
        for name in KEPT
    }
    trade = _trade(memory)
    times = sorted(ratios["time_ratio"].values(), key=float)
    deepest = list(kept["sqrt"])[-1]  # they rise
    return View(
        {
            "forward": forward,
            "backward": backward,
            "forward_nodes": trace.number("forward_nodes", REVERSE, part="order"),
            "both_nodes": trace.number("both_nodes", REVERSE, part="order"),
            "widths": [(width, width) for width in widths],
            "depths": len(depths),
            "far": paths[widths[-1]][depths[-1]],
            "path_drawing": _path_drawing(paths),
            "path_lines": [
                [_given(width), *paths[width][depths[-1]]]
                for width in dict.fromkeys((*widths[:2], widths[-1]))
            ],
            "layers": len(layers),
            "ratio_drawing": _ratio_drawing(ratios),
            "ratio_lines": [
                [_given(depth), *(_at(cost, ratios[m], depth) for m in RATIOS)]
                for depth in layers
            ],
            "times": (times[0], times[-1]),
            "memory_drawing": _memory_drawing(kept, trade),
            "deepest": deepest,
            "all": _at(memory, kept["none"], deepest),
            "saved": kept["sqrt"][deepest],
            "again": memory.number(
                "recomputed_operations",
                REVERSE,
                sweep="depth",
                checkpoint="sqrt",
                depth=deepest,
            ),
            "intervals": len(trade),
            "trade_lines": [
                # Script shows all of them; a table of every second one says as much.
                [_kept(name), *found]
                for place, (name, *found) in enumerate(trade)
                if place % 2 == 0 or name == "sqrt"
            ],
        },
        {
            "depths": depths,
            "paths": {
                width: [_floats(paths[width][depth]) for depth in depths]
                for width in widths
            },
            "layers": layers,
            "ratios": [
                _floats(_at(cost, ratios[m], depth) for m in RATIOS) for depth in layers
            ],
            "trade_depth": memory.row("workspace_bytes", sweep="interval")["depth"],
            "trade": [[name, *_floats(found)] for name, *found in trade],
        },
    )


def _given(value: object) -> Markup:
    return Markup('<span class="given">{}</span>').format(value)


def _kept(name: str) -> Markup | str:
    """What an interval keeps, in words."""
    words = {"none": "every value", "sqrt": "every √n-th"}
    if name in words:
        return words[name]
    return Markup('every <span class="given">{}</span>-th').format(name)


def _floats(found) -> list[float]:
    return [float(number) for number in found]


def _at(rows: Measured, found: Mapping, key: object) -> Number:
    if key not in found:
        raise GapError(rows.name, f"nothing at depth {key}", rows.mode)
    return found[key]


def _program(rows: Measured) -> tuple[str, str]:
    """The recorded program's listing, and what reverse mode added to it."""
    both = rows.row("both_nodes", REVERSE, part="order")
    first = int(rows.row("forward_nodes", REVERSE, part="order").value or 0)
    lines = both.message.splitlines()
    if not 0 < first < len(lines):
        raise GapError(rows.name, "no listing of the program", rows.mode)
    return "\n".join(lines[:first]), "\n".join(lines[first:])


def _paths(rows: Measured) -> Paths:
    """Width -> depth -> paths from one first weight to the loss, and nodes."""
    found: dict[int, dict[int, tuple[Number, Number]]] = {}
    for row in rows.rows:
        name = re.fullmatch(r"width_(\d+)_depth_(\d+)_paths_count", row.metric)
        if name is None:
            continue
        label = f"width_{name[1]}_depth_{name[2]}"
        nodes = rows.number(f"{label}_scalars_nodes", row.backend, part="paths")
        found.setdefault(int(name[1]), {})[int(name[2])] = (rows.said(row), nodes)
    depths = {tuple(sorted(of)) for of in found.values()}
    if len(depths) != 1:
        raise GapError(rows.name, "no …_paths_count at every depth", rows.mode)
    return found


def _path_drawing(paths: Paths) -> Markup:
    widths = [width for width in sorted(paths) if width > 1]
    lines = [
        chart.Line(
            f"{said}, width {width}",
            [(d, float(pair[place])) for d, pair in sorted(paths[width].items())],
            look=1 + at,
            dashed=place == 1,
            name=f"{said} {width}",
        )
        for place, said in enumerate(("paths", "nodes"))
        for at, width in enumerate(widths)
        if place == 0 or width == widths[-1]
    ]
    depths = [x for line in lines for x, _ in line.points]
    return chart.chart(
        f"{NAME}-paths",
        "Paths from one first weight to the loss multiply with each layer; nodes are "
        "only added",
        chart.Axis("hidden layers", min(depths), max(depths)),
        chart.fit("how many", [y for line in lines for _, y in line.points], log=True),
        lines,
        extra=Markup('<circle class="here" id="remember-path-here" r="0"/>'),
        height=320,
        right=160,
    )


def _ratio_drawing(ratios: Mapping[str, Mapping]) -> Markup:
    lines = [
        chart.Line(
            said,
            [(depth, float(number)) for depth, number in ratios[metric].items()],
            look,
            "both",
            dashed,
        )
        for metric, (said, look, dashed) in RATIOS.items()
    ]
    depths = [x for line in lines for x, _ in line.points]
    top = max(3.5, *(y for line in lines for _, y in line.points))
    return chart.chart(
        f"{NAME}-ratio",
        "Value and gradient by reverse mode over the value alone, by hidden layers: "
        "between a little more than one and a small number of forward passes, at any "
        "depth",
        chart.Axis(
            "hidden layers",
            min(depths),
            max(depths),
            log=True,
            ticks=tuple(ratios["time_ratio"]),
        ),
        chart.Axis("value and gradient ÷ value", 0, top),
        lines,
        rules=[chart.Rule(said, at) for said, at in CLAIMED.items()],
        extra=Markup('<circle class="here" id="remember-ratio-here" r="0"/>'),
        height=300,
        right=110,
    )


def _memory_drawing(kept: Mapping[str, Mapping], trade: Sequence[Trade]) -> Markup:
    """Both curves; script marks an interval among them, in the same unit."""
    lines = [
        chart.Line(
            said,
            [(depth, float(number) / MIB) for depth, number in kept[name].items()],
            look,
            "both",
            dashed,
        )
        for name, (said, look, dashed) in KEPT.items()
    ]
    depths = [x for line in lines for x, _ in line.points]
    values = [y for line in lines for _, y in line.points]
    values += [float(size) / MIB for _, size, _ in trade]
    low, high = (math.log2(end) for end in (min(values), max(values)))
    ends = 2.0 ** math.floor(low), 2.0 ** math.ceil(high)
    return chart.chart(
        f"{NAME}-memory",
        "Memory for intermediates by hidden layers: in proportion where everything is "
        "kept, like the root where only checkpoints are",
        chart.Axis(
            "hidden layers",
            min(depths),
            max(depths),
            log=True,
            ticks=tuple(dict.fromkeys(depths)),
        ),
        chart.Axis(
            "MiB of intermediates",
            *ends,
            log=True,
            ticks=tuple(2.0**k for k in range(math.floor(low), math.ceil(high) + 1, 2)),
        ),
        lines,
        extra=Markup('<circle class="here" id="remember-trade-here" r="0"/>'),
        height=300,
        right=150,
    )


def _trade(rows: Measured) -> list[Trade]:
    """(what is kept, bytes, operations) of the tried intervals, most bytes first."""
    names = dict.fromkeys(
        str(row["checkpoint"])
        for row in rows.having("workspace_bytes", REVERSE, sweep="interval")
    )

    def number(metric: str, name: str) -> Number:
        for row in rows.having(metric, REVERSE, sweep="interval"):
            if str(row["checkpoint"]) == name:
                return rows.said(row)
        raise GapError(rows.name, f"no {metric} with checkpoint {name}", rows.mode)

    return [
        (name, number("workspace_bytes", name), number("run_operations", name))
        for name in names
    ]


SECTION = Section(
    NAME,
    "8",
    "Way three, remember and reuse",
    ("backward_trace", "gradient_cost_ratio", "memory"),
    ("C6", "C9", "C17", "C23"),
    view,
)
