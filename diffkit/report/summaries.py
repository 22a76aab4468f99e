"""What stands over all chapters: the index, claims, errata, and the one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from diffkit.measure.claims import read_claims, read_sources
from diffkit.measure.experiment import Registry
from diffkit.report.chapters import Chapter
from diffkit.report.numbers import count
from diffkit.report.one_file import one_file
from diffkit.report.page import HOLDS
from diffkit.report.table import markdown_table
from diffkit.report.templates import template
from diffkit.report.verdicts import Answered, answers, unanswered

#: From the name of an experiment to the address of its page.
Link = Callable[[str], str]


def summaries(
    registry: Registry,
    chapters: Sequence[Chapter],
    figures: Mapping[str, Mapping[str, bytes]],
) -> tuple[dict[str, bytes], list[str]]:
    """Files of ``reports/`` itself, by name; and a sentence a claim without a verdict.

    ``figures`` are the figure files of each chapter, by its name.
    """
    folder = registry.root / "experiments"
    claims, sources = read_claims(folder), read_sources(folder)
    experiments = [registry[name].experiment for name in registry]
    answered = answers(claims, experiments, chapters)
    said = {
        "README.md": index(chapters, answered),
        "report.html": one_file(
            chapters,
            figures,
            claims=claims_page(answered, sources, _section),
            errata=errata(answered, sources, _section),
        ),
    }
    if claims:
        said["claims.md"] = claims_page(answered, sources, _page)
        said["ERRATA.md"] = errata(answered, sources, _page)
    return {name: text.encode() for name, text in said.items()}, unanswered(answered)


def index(chapters: Sequence[Chapter], answered: Sequence[Answered]) -> str:
    """The Markdown index of all reports: question, answer, thumbnail."""
    lines = [
        [
            f"[{chapter.question}]({_page(chapter.name)})",
            chapter.page.answer if chapter.page else "*the data do not fit any more*",
            (
                f'<img src="{chapter.name}/figure.png" width="240" '
                f'alt="Figure of {chapter.name}">'
            )
            if chapter.page
            else "",
        ]
        for chapter in chapters
        if chapter.text is not None
    ]
    return template("index.md.j2").render(
        table=markdown_table(["question", "answer", "figure"], lines, numbers_from=3),
        summary=summary(answered) if answered else "",
    )


def claims_page(
    answered: Sequence[Answered], sources: Mapping[str, str], link: Link
) -> str:
    """The Markdown page of all claims, each with every verdict on it."""
    if not answered:
        return ""
    lines = []
    for item in answered:
        verdicts = [
            f"{verdict.measured} ([{name}]({link(name)}))"
            + (f": {HOLDS[verdict.holds]}" if len(item.verdicts) > 1 else "")
            for name, verdict in item.verdicts
        ]
        lines.append(
            [
                item.claim.name,
                item.claim.text,
                " ".join(item.claim.sources),
                HOLDS[item.holds] if item.holds else "*not answered yet*",
                "; ".join(verdicts),
            ]
        )
    header = ["claim", "as claimed", "by", "verdict", "as measured"]
    return template("claims.md.j2").render(
        summary=summary(answered),
        table=markdown_table(header, lines, numbers_from=5),
        sources=sources,
    )


def errata(answered: Sequence[Answered], sources: Mapping[str, str], link: Link) -> str:
    """The Markdown page of claims that did not hold, or hold under conditions only."""
    if not answered:
        return ""
    return template("errata.md.j2").render(
        wrong=[item for item in answered if item.holds == "wrong"],
        conditional=[item for item in answered if item.holds == "conditional"],
        sources=sources,
        holds=HOLDS,
        link=link,
    )


def summary(answered: Sequence[Answered]) -> str:
    """How many claims got which verdict, in one sentence.

    >>> from diffkit.measure.claims import Claim
    >>> claim = Claim("C1", ("A",), "it grows")
    >>> summary([Answered(claim), Answered(claim)])
    'Of 2 claims, 2 are not answered yet.'
    """
    verdicts = [item.holds for item in answered]
    words: dict[str | None, tuple[str, str]] = {
        "wrong": ("does not hold", "do not hold"),
        "conditional": ("holds under conditions", "hold under conditions"),
        "right": ("holds", "hold"),
        "measured": ("was open and is measured", "were open and are measured"),
        None: ("is not answered yet", "are not answered yet"),
    }
    parts = [
        f"{count(number)} {one if number == 1 else many}"
        for holds, (one, many) in words.items()
        if (number := verdicts.count(holds))
    ]
    return f"Of {count(len(verdicts))} claims, {', '.join(parts)}."


def _page(name: str) -> str:
    return f"{name}/README.md"


def _section(name: str) -> str:
    return f"#{name}"
