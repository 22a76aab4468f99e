"""The page fits its limit whatever was measured: planted, far larger data.

A full run measures more depths, widths, steps and epochs than a quick one. Here each
grid goes on where it ended and each curve has several times its points, with the page
built from the files; every address on it has to lead to a row of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from diffkit import lesson
from diffkit.files import write_atomically
from diffkit.measure import Row
from diffkit.report.table import read_rows, to_csv
from tests.lesson.markup import read
from tests.lesson.partial import linked
from tests.lesson.trace import Tables, faults

#: What goes on, and the settings that are added to it.
FURTHER = {
    ("race", "depth"): (96, 128, 192, 256),
    ("race", "width"): (160, 192, 224, 256),
    ("expression_growth", "depth"): tuple(range(41, 81)),
    ("vanishing_gradients", "depth"): (60, 70, 80, 90, 100),
    ("gradient_cost_ratio", "depth"): (512, 1024, 2048),
    ("memory", "depth"): (2048, 4096),
}
#: Curves with so many times their points.
LONGER = {
    "train_three_ways": ("train_loss", 20),
    "optimizers": ("train_loss", 20),
    "step_size": ("swept_step_value least_error", 5),
}


def further(rows: Sequence[Row], name: str, settings: Iterable[int]) -> list[Row]:
    """The rows at the largest setting again, at others."""
    known = {value for row in rows if isinstance(value := row.get(name), int)}
    last = [row for row in rows if row.get(name) == max(known)]
    return [
        replace(
            row,
            parameters=tuple((k, new if k == name else v) for k, v in row.parameters),
        )
        for new in settings
        for row in last
    ]


def longer(row: Row, metrics: str, times: int) -> Row:
    """The row with each of its samples several times, rising or falling as before."""
    if row.metric not in metrics.split():
        return row
    samples = tuple(one * (1 + 1e-6 * n) for one in row.samples for n in range(times))
    parameters = tuple(
        (k, v * times if k == "epochs" else v) for k, v in row.parameters
    )
    return replace(row, samples=samples, parameters=parameters)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    reports = linked(tmp_path_factory.mktemp("large"))
    for name in {experiment for experiment, _ in FURTHER} | set(LONGER):
        path = reports / name / "data.csv"
        rows = list(read_rows(path))
        for (experiment, parameter), settings in FURTHER.items():
            if experiment == name:
                rows += further(rows, parameter, settings)
        if name in LONGER:
            rows = [longer(row, *LONGER[name]) for row in rows]
        path.unlink()
        write_atomically(path, to_csv(rows).encode())
    return reports


def test_far_larger_data_fit_and_leave_no_gap(registry, built, large):
    page = lesson.build(registry, large)
    assert page.gaps == ()
    assert page.bytes <= 600_000
    # Nearly the same size: what grows is chosen from, not printed.
    assert page.bytes < built.bytes + 20_000
    assert not faults(read(page.html), Tables(large))
