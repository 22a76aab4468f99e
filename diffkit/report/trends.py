"""Benchmarks for a reader: a Markdown summary, and an offline page with trends."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256

from markupsafe import Markup

from diffkit.measure.bench.history import Entry
from diffkit.measure.bench.record import Record
from diffkit.measure.bench.verdicts import Judgement, Ratio
from diffkit.report.lines import Line, draw
from diffkit.report.style import Look, house_style, panels
from diffkit.report.table import markdown_table
from diffkit.report.templates import source, template

_SIGNS = {
    "slower": "**slower**",
    "faster": "faster",
    "same": "same",
    "unsure": "not sure",
    "only one side": "only one side",
}
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7F3C8D", "#000000")


def summary(record: Record, judgement: Judgement) -> str:
    """Markdown for a job's summary: the verdict, groups, then every benchmark."""
    base, head = record.sides["base"].commit, record.sides["head"].commit
    slow = judgement.slower
    verdict = (
        f"**{len(slow)} slower than allowed: {', '.join(r.name for r in slow)}.**"
        if slow
        else "**Nothing is slower than allowed.**"
    )
    return (
        "\n\n".join(
            [
                "# Benchmarks",
                verdict,
                (
                    f"Base `{base}`, head `{head}`, measured in turn on one machine "
                    f"({record.machine}). A ratio above 1 means that the head takes "
                    "longer; each side's median is divided by that of a ruler which no "
                    "version can change. The verdict comes from the whole interval."
                ),
                "## Groups",
                _table(judgement.groups),
                "## Benchmarks",
                _table(judgement.benchmarks),
            ]
        )
        + "\n"
    )


def _table(ratios: Sequence[Ratio]) -> str:
    lines = [
        [
            ratio.name,
            *(
                ["–", "–"]
                if ratio.verdict == "only one side"
                else [f"{ratio.ratio:.2f}", f"{ratio.low:.2f} to {ratio.high:.2f}"]
            ),
            f"{1 + ratio.allowed:.2f}",
            _SIGNS[ratio.verdict] + (f": {ratio.reason}" if ratio.reason else ""),
        ]
        for ratio in ratios
    ]
    header = ["", "head ÷ base", "interval", "allowed", "verdict"]
    return markdown_table(header, lines, numbers_from=1)


def trends_page(entries: Sequence[Entry]) -> str:
    """One offline HTML file: each machine's trends, a figure a group, and the table."""
    style = source("report.css")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    machines: dict[str, list[Entry]] = {}
    for entry in entries:
        machines.setdefault(entry.fingerprint, []).append(entry)
    return template("trends.html.j2").render(
        style=Markup(style),  # Ours, and it contains no tag.
        style_hash=digest,
        machines=[
            {
                "name": of_one[-1].machine,
                "entries": of_one,
                "figures": _figures(of_one),
                "names": list(of_one[-1].times),
            }
            for of_one in machines.values()
        ],
    )


def _figures(entries: Sequence[Entry]) -> Mapping[str, str]:
    """A drawing for each group, as data for an image: times over the first one's."""
    found = {}
    for group in dict.fromkeys(g for e in entries for g in e.groups.values()):
        names = dict.fromkeys(
            n for e in entries for n, of in e.groups.items() if of == group
        )
        lines = []
        for place, name in enumerate(names):
            points = [
                (number, entry.times[name])
                for number, entry in enumerate(entries, start=1)
                if name in entry.times
            ]
            first = points[0][1]
            look = Look(
                name.removeprefix(group).strip(), _COLOURS[place % len(_COLOURS)], "o"
            )
            lines.append(Line(look, [(at, time / first) for at, time in points]))
        found[group] = _drawing(group, lines)
    return found


def _drawing(group: str, lines: Sequence[Line]) -> str:
    with house_style():
        figure, (axes,) = panels(1, 1, width=6.4, height=3.4)
        draw(
            axes,
            lines,
            title=f"{group}: time over that of the first run",
            x="run, oldest first",
            y="ratio",
            x_scale="linear",
            y_scale="linear",
            y_reach=(0.8, 1.2),
        )
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{b64encode(buffer.getvalue()).decode()}"
