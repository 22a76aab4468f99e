"""Two processes, one for each version of the code, sampled in turn.

A drift of the machine meets both sides alike, because a sample of one follows a sample
of the other, the order reversed every round. Processes are started anew several times:
where memory happens to lie can move a time by a few per cent, the same way for the
whole life of a process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from diffkit.errors import ExperimentError, UserInputError
from diffkit.measure.bench import worker
from diffkit.measure.bench.record import Measured, Record, Side
from diffkit.measure.limits import THREAD_VARIABLES
from diffkit.measure.machine import commit_of, this_machine, versions_text

SAMPLE_SECONDS = 2e-3
Progress = Callable[[int, int, str], None]


class Worker:
    """A process that runs the benchmarks on the diffkit of one checkout."""

    def __init__(self, root: Path) -> None:
        if not (root / "diffkit" / "__init__.py").exists():
            raise UserInputError(
                f"{root} is not a checkout of diffkit: it has no diffkit/__init__.py."
            )
        self._root = root
        environment = {
            **os.environ,
            **dict.fromkeys(THREAD_VARIABLES, "1"),
            "PYTHONPATH": str(root),
            "PYTHONHASHSEED": "0",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(worker.__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env=environment,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """One answer; raises `ExperimentError` when the process is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self._process.wait()
            raise ExperimentError(
                f"The process that measures {self._root} ended with code {code}; what "
                "it printed stands above."
            )
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        try:
            self._process.communicate(timeout=10)  # closes its input, which ends it
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def measure_sides(
    sides: Mapping[str, Path],
    names: Sequence[str] | None = None,
    *,
    rounds: int = 15,
    launches: int = 3,
    sample_seconds: float = SAMPLE_SECONDS,
    progress: Progress = lambda number, total, name: None,
) -> Record:
    """Samples of every benchmark on every side (one or two), taken in turn.

    ``sides`` are names and checkouts; ``rounds`` samples are taken by each of
    ``launches`` processes. A benchmark that one side cannot run has that side's error
    in place of its samples.

    Raises `UserInputError` for an unknown benchmark, for less than three rounds and for
    no launch.
    """
    chosen = list(worker.BENCHMARKS) if names is None else list(names)
    unknown = [name for name in chosen if name not in worker.BENCHMARKS]
    if unknown or not chosen:
        raise UserInputError(
            f"There is no benchmark {', '.join(unknown) or '(none was named)'}. There "
            f"are: {', '.join(worker.BENCHMARKS)}."
        )
    if rounds < 3 or launches < 1:
        raise UserInputError(
            f"{rounds} rounds by {launches} processes give no interval: ask for three "
            "rounds and one process at least."
        )
    found = {name: Measured(worker.BENCHMARKS[name].group) for name in chosen}
    total = launches * len(chosen)
    for launch in range(launches):
        with ExitStack() as stack:
            workers = {}
            for side, root in sides.items():
                workers[side] = Worker(root)
                stack.callback(workers[side].close)
            for number, name in enumerate(chosen, start=1 + launch * len(chosen)):
                progress(number, total, name)
                _measure(workers, name, found[name], rounds, sample_seconds)
    return Record(
        machine=str(this_machine()),
        fingerprint=this_machine().fingerprint,
        versions=versions_text(),
        sides={side: Side(side, commit_of(root)) for side, root in sides.items()},
        benchmarks=found,
    )


def _measure(
    workers: Mapping[str, Worker],
    name: str,
    measured: Measured,
    rounds: int,
    seconds: float,
) -> None:
    repetitions = {}
    for what in (name, worker.RULER):
        counts = []
        for side, process in workers.items():
            answer = process.ask(do="calibrate", name=what, seconds=seconds)
            if "error" in answer:
                measured.errors[side] = answer["error"]
                continue
            counts.append(answer["repetitions"])
        repetitions[what] = max(counts, default=1)
    able = [side for side in workers if side not in measured.errors]
    for round_ in range(rounds):
        for side in able if round_ % 2 == 0 else reversed(able):
            for what, kept in (
                (worker.RULER, measured.rulers),
                (name, measured.samples),
            ):
                answer = workers[side].ask(
                    do="sample", name=what, repetitions=repetitions[what]
                )
                if "error" in answer:
                    raise ExperimentError(
                        f"{name} ran once on {side} and then failed: {answer['error']}"
                    )
                kept.setdefault(side, []).append(float(answer["seconds"]))


@contextmanager
def checked_out(root: Path, revision: str) -> Iterator[Path]:
    """A work tree of ``revision`` in a temporary folder, gone afterwards.

    Raises `UserInputError` for a revision that the repository does not have.
    """
    with tempfile.TemporaryDirectory(prefix="diffkit-bench-") as folder:
        tree = Path(folder) / "tree"
        try:
            _git(root, "worktree", "add", "--detach", str(tree), revision)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            raise UserInputError(
                f"{revision!r} cannot be checked out from {root}: {said.strip()}. Name "
                "a commit, branch or tag of this repository, or a file that `diffkit "
                "bench run` wrote (on CI, check out with the whole history)."
            ) from error
        try:
            yield tree
        finally:
            _git(root, "worktree", "remove", "--force", str(tree))


def _git(root: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-C", str(root), *words],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
