"""Claims beside what was measured: every verdict on each, and which one counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from diffkit.measure.claims import Claim
from diffkit.measure.experiment import Experiment, Holds, Verdict
from diffkit.report.chapters import Chapter

#: The strongest verdict first: one counter-example outweighs any number of examples,
#: and a condition found by one experiment holds for all of them.
STRENGTH: tuple[Holds, ...] = ("wrong", "conditional", "right", "measured")


@dataclass(frozen=True, slots=True)
class Answered:
    """A claim, every verdict on it with its experiment, and who could still answer it.

    ``waiting`` are experiments that name the claim and have given no verdict yet.
    """

    claim: Claim
    verdicts: tuple[tuple[str, Verdict], ...] = ()
    waiting: tuple[str, ...] = ()

    @property
    def holds(self) -> Holds | None:
        """The strongest verdict, by `STRENGTH`; None where there is none."""
        given = {verdict.holds for _, verdict in self.verdicts}
        return next((holds for holds in STRENGTH if holds in given), None)


def answers(
    claims: Mapping[str, Claim],
    experiments: Iterable[Experiment],
    chapters: Sequence[Chapter],
) -> list[Answered]:
    """All claims in their order, each with its verdicts, the strongest first."""
    given: dict[str, list[tuple[str, Verdict]]] = {name: [] for name in claims}
    for chapter in chapters:
        for verdict in chapter.verdicts:
            given.setdefault(verdict.claim, []).append((chapter.name, verdict))
    asked = [(one.name, claim) for one in experiments for claim in one.claims]
    found = []
    for name, claim in sorted(claims.items(), key=lambda item: item[1].number):
        verdicts = sorted(given[name], key=lambda pair: STRENGTH.index(pair[1].holds))
        heard = {experiment for experiment, _ in verdicts}
        waiting = [who for who, what in asked if what == name and who not in heard]
        found.append(Answered(claim, tuple(verdicts), tuple(waiting)))
    return found


def unanswered(answered: Sequence[Answered]) -> list[str]:
    """A sentence for each claim without a verdict: its name, and what to run."""
    problems = []
    for item in answered:
        if item.verdicts:
            continue
        who = " or ".join(f"`diffkit run {name}`" for name in item.waiting)
        what = f"{who} answers it" if who else "no experiment names it"
        problems.append(f"{item.claim.name} is not answered yet: {what}.")
    return problems
