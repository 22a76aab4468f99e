"""The table of epochs that grows while a network is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from diffkit.train import EpochReport

#: How many epochs a live table shows at most.
_SHOWN = 15


class EpochTable:
    """A callback for `train.fit` that shows each epoch as a line.

    On a terminal the table is live and shows the last epochs; elsewhere each line is
    printed once, flushed, and stays.
    """

    def __init__(
        self,
        metrics: Sequence[str],
        validated: bool,
        rate: Callable[[int], float] | None,
        live: Live | None,
    ) -> None:
        self._metrics, self._rate, self._live = metrics, rate, live
        self._splits = ("train", "validation") if validated else ("train",)
        self._lines: list[list[str]] = []
        self.finished = 0

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        names = ["loss", *self._metrics]
        columns = [f"{split} {name}" for name in names for split in self._splits]
        rate = [] if self._rate is None else ["rate"]
        best = ["best"] if len(self._splits) > 1 else []
        return ["epoch", "step", *columns, *rate, "seconds", *best]

    def __call__(self, report: EpochReport) -> None:
        """Show an epoch that is finished."""
        self.finished = report.epoch
        line = [f"{report.epoch}/{report.epochs}", str(report.step)]
        for name in ("loss", *self._metrics):
            line += [_number(report.measured, split, name) for split in self._splits]
        if self._rate is not None:
            line.append(f"{self._rate(report.step - 1):.3g}")
        line.append(f"{report.seconds:.2f}")
        if len(self._splits) > 1:
            line.append("*" if report.improved else "")
        self._lines.append(line)
        if self._live is not None:
            self._live.update(self._table())
        else:
            if len(self._lines) == 1:
                print(self._plain(self.header), flush=True)
            print(self._plain(line), flush=True)

    def _plain(self, cells: Sequence[str]) -> str:
        widths = [max(len(name), 8) for name in self.header]
        pairs = zip(cells, widths, strict=True)
        return "  ".join(cell.rjust(width) for cell, width in pairs).rstrip()

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in self.header:
            table.add_column(name, justify="right")
        for line in self._lines[-_SHOWN:]:
            table.add_row(*line)
        return table


@contextmanager
def epoch_table(
    metrics: Sequence[str], validated: bool, rate: Callable[[int], float] | None
) -> Iterator[EpochTable]:
    """An `EpochTable` for the block: live on a terminal, plain elsewhere."""
    console = Console(highlight=False)
    if not console.is_terminal:
        yield EpochTable(metrics, validated, rate, None)
        return
    with Live(console=console, refresh_per_second=8) as live:
        yield EpochTable(metrics, validated, rate, live)


def _number(measured: Mapping[str, Mapping[str, Any]], split: str, name: str) -> str:
    value = measured.get(split, {}).get(name)
    return "" if value is None else f"{value:.5g}"
