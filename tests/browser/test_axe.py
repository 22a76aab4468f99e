"""axe-core finds nothing: every state of the page, all that folds opened."""

from __future__ import annotations

import pytest

from tests.browser.conftest import open_details


@pytest.mark.parametrize(
    "where, options",
    [
        ("", {}),
        ("", {"dark": True}),
        ("?present", {}),
        ("", {"width": 320}),
        ("", {"width": 320, "dark": True}),
    ],
    ids=["light", "dark", "present", "phone", "dark phone"],
)
def test_no_violation(opened, axe, where, options):
    # Still: an element that fades in has another contrast for a moment.
    page = opened(where, still=True, **options)
    open_details(page)
    for radio in page.locator("lesson-question label:first-of-type input").all():
        radio.check()
    found = axe.run(page).response["violations"]
    assert [summary(one) for one in found] == []


def summary(violation):
    """The rule, what it says, and the first places."""
    nodes = violation["nodes"]
    first = [
        (node["target"], node["html"][:200], node.get("failureSummary", "")[:300])
        for node in nodes[:6]
    ]
    return violation["id"], violation["help"], len(nodes), first


def test_a_planted_violation_is_found(opened, axe):
    page = opened()
    page.evaluate(
        """() => {
          const input = document.createElement('input');
          input.id = 'unnamed';
          document.querySelector('main > section').append(input);
        }"""
    )
    assert "label" in {one["id"] for one in axe.run(page).response["violations"]}
