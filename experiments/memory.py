"""What remembering costs: bytes of a gradient against depth, width and batch.

Reverse mode keeps the values of the forward pass until they are pulled back. Tanh
networks of one width throughout, mean squared error; the memory is planned before
anything runs, so that every figure is a count. Run it alone::

    python experiments/memory.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from diffkit import measure, report
from diffkit.backends import get_backend
from diffkit.errors import UserInputError
from diffkit.measure import Case, Mode, Network, Row, laws
from diffkit.transform import prepare

NAME = "memory"
#: The network that one number is changed of at a time.
DEPTH, WIDTH, BATCH = 32, 32, 256
SWEEPS: dict[str, dict[str, tuple[int, ...]]] = {
    "quick": {
        "depth": (8, 16, 32, 64, 128, 256),
        "width": (8, 16, 32, 64, 128),
        "batch": (32, 64, 128, 256, 512, 1024),
    },
    "full": {
        "depth": (8, 16, 32, 64, 128, 256, 512, 1024),
        "width": (8, 16, 32, 64, 128, 256, 512),
        "batch": (32, 64, 128, 256, 512, 1024, 2048, 4096),
    },
}
#: Intervals tried on one deep network, for the trade of operations for bytes.
TRADE_DEPTH = 256
INTERVALS = ("none", "3", "6", "12", "24", "sqrt", "48", "96", "192", "384")


def cases(mode: Mode) -> list[Case]:
    """Each sweep with everything kept and with √n checkpoints, then the intervals."""
    base = {"depth": DEPTH, "width": WIDTH, "batch": BATCH}
    found = [
        _case(name, checkpoint, **{**base, name: value})
        for name, values in SWEEPS[mode].items()
        for value in values
        for checkpoint in ("none", "sqrt")
    ]
    return found + [
        _case("interval", interval, **{**base, "depth": TRADE_DEPTH})
        for interval in INTERVALS
    ]


def _case(sweep: str, checkpoint: str, depth: int, width: int, batch: int) -> Case:
    return measure.case(
        NAME,
        "autodiff",
        runtime="engine",
        timed=False,
        sweep=sweep,
        checkpoint=checkpoint,
        depth=depth,
        width=width,
        batch=batch,
    )


def measure_case(case: Case) -> list[Row]:
    """Bytes and operations of one prepared gradient; nothing is run."""
    sizes = (case["width"],) * (case["depth"] + 2)
    problem = Network(sizes, batch=case["batch"]).problem()
    backend = get_backend("autodiff", checkpoint=_option(case["checkpoint"]))
    try:
        prepared = prepare(problem.function, *problem.arguments, backend=backend)
    except UserInputError as refused:
        return [case.row("arena_bytes", None, status="too_large", message=str(refused))]
    info, primal = prepared.info, prepared.program.graph
    everything = sum(node.elements for node in primal.nodes if node.inputs)
    return [
        case.row("arena_bytes", info.bytes),
        case.row("workspace_bytes", info.details["workspace_bytes"]),
        case.row("primal_bytes", everything * prepared.program.dtype.itemsize),
        case.row("run_operations", info.operations),
        case.row("primal_operations", info.details["primal_operations"]),
        case.row("recomputed_operations", info.details["recomputed_operations"]),
        case.row("parameters_count", prepared.program.parameters),
    ]


def _option(name: str):
    if name in ("none", "sqrt"):
        return None if name == "none" else "sqrt"
    return int(name)


def points(
    rows: Sequence[Row], sweep: str, checkpoint: str, metric: str = "workspace_bytes"
) -> list[tuple[int, float]]:
    """(what was changed, metric) along one sweep, in order."""
    return sorted(
        (row[sweep], row.value)
        for row in rows
        if row["sweep"] == sweep
        and row["checkpoint"] == checkpoint
        and row.metric == metric
        and row.value is not None
    )


def _mib(found: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
    return [(at, size / 2**20) for at, size in found]


def trade(rows: Sequence[Row]) -> list[tuple[str, float, int]]:
    """(interval, operations over those of keeping all, workspace bytes), in order."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["sweep"] == "interval" and row.value is not None:
            found.setdefault(str(row["checkpoint"]), {})[row.metric] = row.value
    if "run_operations" not in found.get("none", {}):
        return []
    alone = found["none"]["run_operations"]
    return [
        (name, got["run_operations"] / alone, int(got["workspace_bytes"]))
        for name in INTERVALS
        if "run_operations" in (got := found.get(name, {}))
    ]


def figure(rows: Sequence[Row]):
    """Bytes against depth, width and batch; what √n checkpoints save and cost."""
    figures = report.figures
    shown, axes = figures.panels(1, 3, width=14.0, height=4.6)
    kept = figures.Look("everything kept", "#0072B2", "o")
    saved = figures.Look("√n checkpoints", "#D55E00", "s")
    figures.draw(
        axes[0],
        [
            figures.Line(kept, _mib(points(rows, "depth", "none"))),
            figures.Line(saved, _mib(points(rows, "depth", "sqrt"))),
        ],
        title="Checkpoints turn layers into √layers",
        x="hidden layers",
        y="MiB of intermediates",
    )
    figures.draw(
        axes[1],
        [
            figures.Line(
                figures.Look("by batch", "#0072B2", "o"),
                _mib(points(rows, "batch", "none")),
            ),
            figures.Line(
                figures.Look("by width", "#009E73", "^"),
                _mib(points(rows, "width", "none")),
            ),
        ],
        title="All kept: in proportion to batch and width",
        x="samples in the batch, or units in a layer",
        y="MiB of intermediates",
    )
    curve = trade(rows)
    axes[2].plot(
        [bytes_ / 2**20 for _, _, bytes_ in curve],
        [ratio for _, ratio, _ in curve],
        color="#D55E00",
        marker="s",
        linestyle="none",
    )
    for name, ratio, bytes_ in curve:
        if name in ("none", "12", "sqrt", "384"):
            text = {"none": "everything kept", "sqrt": "√n"}.get(
                name, f"every {name}-th"
            )
            axes[2].annotate(
                text,
                (bytes_ / 2**20, ratio),
                xytext=(7, 5),
                textcoords="offset points",
                fontsize=8.5,
            )
    axes[2].set_title("A little more work, far less memory")
    axes[2].set_xlabel(f"MiB of intermediates, {TRADE_DEPTH} hidden layers")
    axes[2].set_ylabel("operations ÷ those of keeping everything")
    axes[2].margins(x=0.3, y=0.12)
    axes[2].set_xlim(left=0)
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """Exponents of growth, and what checkpoints save and cost."""
    numbers = report.numbers

    def exponent(sweep: str, checkpoint: str) -> str:
        found = points(rows, sweep, checkpoint)
        if len(found) < 3:
            return "no result"
        rate = laws.fit_law("power", *zip(*found, strict=True)).rate
        return f"{rate.value:.2f}"

    def last(sweep: str, checkpoint: str, metric: str = "workspace_bytes"):
        found = points(rows, sweep, checkpoint, metric)
        return found[-1] if found else None

    def shown(found, form=numbers.size) -> str:
        return "no result" if found is None else form(found[1])

    kept, saved = last("depth", "none"), last("depth", "sqrt")
    again = last("depth", "sqrt", "recomputed_operations")
    primal = last("depth", "sqrt", "primal_operations")
    total = last("depth", "sqrt", "run_operations")
    alone = last("depth", "none", "run_operations")
    curve = trade(rows)
    least = min(curve, key=lambda item: item[2]) if curve else None
    facts = {
        "by_depth": exponent("depth", "none"),
        "by_width": exponent("width", "none"),
        "by_batch": exponent("batch", "none"),
        "by_depth_saved": exponent("depth", "sqrt"),
        "deepest": numbers.count(kept[0]) if kept else "no result",
        "kept": shown(kept),
        "saved": shown(saved),
        "times_less": numbers.times(kept[1] / saved[1]) if kept and saved else "–",
        "again": (
            f"{100 * again[1] / primal[1]:.0f} %" if again and primal else "no result"
        ),
        "more": (
            f"{100 * (total[1] / alone[1] - 1):.0f} %"
            if total and alone
            else "no result"
        ),
        "width": WIDTH,
        "batch": BATCH,
        "depth": DEPTH,
        "trade_depth": TRADE_DEPTH,
        "table": report.markdown_table(
            ["keep every", "bytes of intermediates", "operations"],
            [
                [
                    {"none": "value", "sqrt": "√n-th"}.get(name, f"{name}-th"),
                    numbers.size(bytes_),
                    numbers.times(ratio),
                ]
                for name, ratio, bytes_ in curve
            ],
        ),
        "least": numbers.size(least[2]) if least else "no result",
    }
    verdict = measure.Verdict(
        "C23",
        f"bytes grow as layers to the {facts['by_depth']}, batch to the "
        f"{facts['by_batch']} and width to the {facts['by_width']}; √n checkpoints "
        f"bring layers down to the {facts['by_depth_saved']} for {facts['more']} more "
        "operations",
        "right",
    )
    return measure.Findings(facts, (verdict,) if kept and saved else ())


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """Bytes along each sweep, with everything kept and with checkpoints."""
    found = {}
    for sweep in SWEEPS["quick"]:
        along = {name: dict(points(rows, sweep, name)) for name in ("none", "sqrt")}
        places = sorted(set().union(*along.values()))
        if places:
            found[f"Bytes of intermediates by {sweep}"] = report.markdown_table(
                [sweep, *(f"{place:,}" for place in places)],
                [
                    [said, *(_size(along[name].get(place)) for place in places)]
                    for name, said in (
                        ("none", "everything kept"),
                        ("sqrt", "√n checkpoints"),
                    )
                ],
            )
    return found


def _size(found: float | None) -> str:
    return "–" if found is None else report.numbers.size(found)


ANSWER = """
Bytes grow in proportion to layers, batch and width (exponents {by_depth}, {by_batch}
and {by_width}); at {deepest} layers √n checkpoints need {times_less} less, for {more}
more operations.
"""

PAGE = """
Reverse mode reads the values of the forward pass backwards, so all of them are held at
once. The engine plans one block of memory for a whole gradient before it runs; what is
counted here is the part for intermediates (parameters, data and gradients come on top
and do not depend on the choice). One number of a network with {depth} hidden layers of
{width} units and a batch of {batch} is changed at a time. The plan lets a value go as
soon as nothing reads it any more: of a layer's product, sum and tanh only the last is
kept, because tanh is pulled back from its own value.

## Growth

With everything kept the bytes grow as layers to the {by_depth}, batch to the {by_batch}
and width to the {by_width}. With √n checkpoints layers enter to the {by_depth_saved}:
at {deepest} hidden layers {saved} instead of {kept}.

## What it costs

A checkpointed gradient computes most of the forward pass a second time: {again} of its
operations at {deepest} layers, which is {more} more than a gradient that keeps
everything. The gradient is the same to the bit. For {trade_depth} layers, keeping every
k-th of the values that everything later passes through (a layer has three of them):

{table}

Small intervals save nothing, because the plan holds one value of three anyway; large
ones run a long stretch again, whose values are then held together. The least is
{least}.
"""

METRICS = {
    "arena_bytes": "the whole block: inputs, constants, intermediates, outputs",
    "workspace_bytes": "its part for intermediates",
    "primal_bytes": "every intermediate of the forward pass, if none was let go",
    "run_operations": "scalar operations of one value and gradient over the batch",
    "primal_operations": "of one forward pass",
    "recomputed_operations": "computed a second time",
    "parameters_count": "scalars differentiated by",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="What memory does remembering cost, and what do checkpoints save?",
    claims=("C23",),
    cases=cases,
    measure=measure_case,
    figure=figure,
    findings=findings,
    answer=ANSWER,
    page=PAGE,
    metrics=METRICS,
    tables=tables,
)

if __name__ == "__main__":
    from diffkit.cli import run_file

    sys.exit(run_file(__file__))
