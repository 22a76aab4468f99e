"""The walk through the whole lesson: back, play, on, and where one is."""

from __future__ import annotations

import pytest

from diffkit.lesson.sections import SECTIONS

NAMES = [section.name for section in SECTIONS]
COUNT = "() => document.querySelector('.tour .count').textContent"
HERE = "() => document.querySelector('.contents a[aria-current]')?.hash ?? ''"
TOP = "(name) => document.getElementById(name).getBoundingClientRect().top"


def test_on_and_back_go_through_all_sections(opened):
    page = opened(height=300)  # The first section begins below.
    assert page.evaluate(COUNT) == f"{len(NAMES)} sections"
    page.get_by_role("button", name="On", exact=True).focus()
    for place, (name, section) in enumerate(zip(NAMES, SECTIONS, strict=True), 1):
        page.keyboard.press("Enter")
        assert page.evaluate(COUNT) == f"{place} of {len(NAMES)}: {section.title}"
        assert page.evaluate(HERE) == f"#{name}"
        assert page.url.endswith(f"#{name}")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(HERE) == f"#{NAMES[-1]}"
    for name in NAMES[-2::-1]:
        page.keyboard.press("ArrowLeft")
        assert page.evaluate(HERE) == f"#{name}"
    assert 0 <= page.evaluate(TOP, NAMES[0]) < 200


def test_it_follows_the_reader(opened):
    page = opened()
    for name in (NAMES[-1], NAMES[0]):
        page.locator(f"#{name} h2").evaluate("(e) => e.scrollIntoView()")
        page.wait_for_function(
            "(h) => document.querySelector('.contents a[aria-current]')?.hash === h",
            arg=f"#{name}",
        )


@pytest.mark.parametrize("still", [False, True], ids=["motion", "still"])
def test_play_goes_on_unless_nothing_may_move(opened, still):
    page = opened(still=still, height=300)
    play = page.locator(".tour button").nth(1)
    play.click()
    assert play.text_content() == ("Play" if still else "Pause")
    assert page.evaluate(HERE) == f"#{NAMES[0]}"
    if not still:
        play.click()
        assert play.text_content() == "Play"


@pytest.mark.parametrize("query", ["", "?present"], ids=["plain", "present"])
def test_it_stays_in_sight_and_small(opened, query):
    page = opened(query, width=320, height=640)
    page.locator(f"#{NAMES[-1]} h2").evaluate("(e) => e.scrollIntoView()")
    box = page.locator(".tour").bounding_box()
    assert box["y"] == 0
    assert box["height"] < 110
    heading = page.locator(f"#{NAMES[-1]} h2").bounding_box()
    assert heading["y"] >= box["height"] - 1, "the heading is under the bar"
