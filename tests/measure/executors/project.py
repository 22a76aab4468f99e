"""A small project whose cells are counted, timed, or end in every other way."""

from pathlib import Path

from diffkit.measure.experiment import load_experiment

PROJECT = '''
"""What do cells say of where they ran?"""

import os
import signal
import time
from pathlib import Path

import numpy as np

from diffkit import measure
from diffkit.measure import Limits

HERE = Path(__file__).resolve().parent.parent
CASES = {cases!r}


def cases(mode):
    return [
        measure.case(
            "{name}",
            "null",
            timed=timed,
            seed=place,
            limits=Limits(seconds=seconds, bytes=300 << 20),
            place=place,
            kind=kind,
        )
        for place, (kind, timed, seconds) in enumerate(CASES)
    ]


def measure_one(case):
    start = time.time()
    kind, place = case["kind"], case["place"]
    if kind == "hang":
        time.sleep(600)
    if kind == "explode":
        kept = []
        while True:
            kept.append(np.ones(1 << 20))
    if kind == "raise":
        raise RuntimeError("planted")
    if kind.startswith("die"):
        # As many times as the kind says, each noted in a file.
        with open(HERE / f"died{{place}}", "a") as file:
            file.write("x")
        if (HERE / f"died{{place}}").stat().st_size <= int(kind[3:]):
            os.kill(os.getpid(), signal.SIGKILL)
    if kind.startswith("sleep"):
        time.sleep(float(kind[5:]))
    with open(HERE / "intervals.txt", "a") as file:
        ran = place, case.timed, start, time.time(), os.getpid()
        print(*ran, file=file)
    drawn = np.random.default_rng(case.seed).normal(size=50)
    return [
        case.row("drawn_value", float(drawn.sum())),
        case.row("tree_operations", 7 ** (20 + place)),
    ]


EXPERIMENT = measure.Experiment(
    name="{name}",
    question="Where do cells run?",
    claims=(),
    cases=cases,
    measure=measure_one,
    figure=lambda rows: None,
    findings=lambda rows: measure.Findings({{}}),
    answer="Here.",
    page="Here.",
)
'''


def found(root: Path, cases, name: str = "places"):
    """The experiment whose cases are (kind, timed, seconds allowed), in `root`."""
    folder = root / "experiments"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(PROJECT.format(cases=cases, name=name))
    return load_experiment(path)


def intervals(root: Path) -> list[tuple[int, bool, float, float, int]]:
    """Place, whether timed, start, end, process: of each cell that came to its end."""
    lines = [line.split() for line in (root / "intervals.txt").read_text().splitlines()]
    return [
        (int(p), t == "True", float(a), float(b), int(i)) for p, t, a, b, i in lines
    ]
