"""The sections of the lesson, in order."""

from __future__ import annotations

from diffkit.lesson.section import Section
from diffkit.lesson.sections import (
    backward,
    downhill,
    errata,
    exercises,
    fading,
    formula,
    loop,
    nudge,
    one_weight,
    race,
    remember,
    student,
    surface,
    training,
)

_OTHERS: tuple[Section, ...] = (
    race.SECTION,
    one_weight.SECTION,
    loop.SECTION,
    surface.SECTION,
    downhill.SECTION,
    backward.SECTION,
    nudge.SECTION,
    formula.SECTION,
    remember.SECTION,
    training.SECTION,
    fading.SECTION,
    student.SECTION,
    exercises.SECTION,
)
#: The errata name the sections that show what a claim is about.
SECTIONS: tuple[Section, ...] = (*_OTHERS, errata.section(_OTHERS))
