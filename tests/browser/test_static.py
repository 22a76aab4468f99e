"""From disk, offline: nothing is asked for, and without script everything is there."""

from __future__ import annotations

import pytest

from diffkit import lesson, measure
from diffkit.lesson.sections import SECTIONS
from tests.browser.conftest import may_fail, open_details, sections
from tests.lesson import partial
from tests.lesson.conftest import ROOT

NAMES = [section.name for section in SECTIONS]

#: Per section: figures without a size or without numbers beside them, steps that are
#: not shown, and controls that are shown though nothing moves them.
FAULTS = """(name) => {
  const section = document.getElementById(name), faults = [];
  // What only script fills is away without it; a swatch is no drawing.
  const all = (what) => [...section.querySelectorAll(what)]
    .filter((e) => !e.closest('.needs-script, [aria-hidden=true]'));
  const size = (e) => {
    const { width, height } = e.getBoundingClientRect();
    return width * height;
  };
  for (const figure of all('figure')) {
    const drawn = figure.querySelector('svg, table, math, pre, .drawing');
    if (!drawn || !size(drawn))
      faults.push(`a figure of no size: ${figure.textContent.slice(0, 90)}`);
  }
  for (const svg of all('svg'))
    if (size(svg) < 400) faults.push(`a drawing of no size: ${svg.id}`);
  for (const details of section.querySelectorAll('details')) details.open = true;
  for (const table of all('table'))
    if (!size(table)) faults.push(`a table of no size: ${table.innerText}`);
  for (const item of all('.steps > li'))
    if (!size(item)) faults.push(`a step is hidden: ${item.textContent}`);
  return faults;
}"""
COUNTS = """(name) => {
  const section = document.getElementById(name);
  const of = (what) => section.querySelectorAll(what).length;
  return {
    figures: of('svg'), tables: of('table'), steps: of('.steps > li'), text: of('p'),
  };
}"""


def test_it_asks_for_nothing_but_itself(opened, address):
    page = opened()
    open_details(page)
    page.mouse.wheel(0, 10_000)
    page.wait_for_timeout(300)
    assert page.watched.requests == [address]
    assert sections(page) == NAMES


def test_its_policy_forbids_requests_styles_and_handlers(opened):
    """Planted: what the page must not do is refused by the page itself."""
    page = opened()
    refused = page.evaluate(
        """async () => {
          const refused = [];
          addEventListener('securitypolicyviolation', (event) => {
            refused.push(event.effectiveDirective);
          });
          const made = (tag) => document.body.appendChild(document.createElement(tag));
          made('img').src = 'https://example.org/x.png';
          made('script').textContent = 'window.ran = 1';
          made('p').setAttribute('style', 'color: red');
          const button = made('button');
          button.setAttribute('onclick', 'window.ran = 1');
          button.click();
          await fetch('https://example.org/').catch(() => 0);
          await new Promise((go) => setTimeout(go, 200));
          return [window.ran, ...new Set(refused)];
        }"""
    )
    assert refused[0] is None
    assert set(refused[1:]) == {
        *("img-src", "script-src-elem", "script-src-attr", "style-src-attr"),
        "connect-src",
    }
    assert page.watched.errors
    # Playwright lists what the policy then stops.
    page.watched.requests.clear()
    page.watched.errors.clear()


@pytest.mark.parametrize("name", NAMES)
def test_without_script_everything_is_shown(opened, name):
    page = opened(f"#{name}", script=False)
    assert page.evaluate(FAULTS, name) == []
    assert page.locator(f"#{name} .needs-script:visible").count() == 0
    counts = page.evaluate(COUNTS, name)
    with_script = opened(f"#{name}").evaluate(COUNTS, name)
    assert counts["text"] > 0
    # What script draws later is more; what it needs to be there is there before.
    for what in ("figures", "tables", "steps"):
        assert counts[what] >= min(1, with_script[what]), what


def test_without_script_a_note_says_so(opened):
    page = opened(script=False)
    assert page.locator("noscript p").is_visible()
    assert not page.locator("#theme").is_visible()


@may_fail
@pytest.mark.parametrize(
    "lacks, controls",
    [
        ("delete window.customElements", False),
        # Each section fails when it looks at the address; the rest of the page runs.
        ("URLSearchParams = undefined", True),
    ],
    ids=["no custom elements", "no parameters"],
)
def test_in_an_old_browser_it_reads(opened, lacks, controls):
    page = opened(before=lacks)
    for name in NAMES:
        assert page.evaluate(FAULTS, name) == []
    assert page.locator(".needs-script:visible").count() == 0 or controls
    assert page.watched.errors


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_print_shows_all_steps_and_numbers_on_white(opened, dark):
    page = opened(dark=dark)
    if dark:
        page.locator("#theme").click()
        page.locator("#theme").click()
    page.emulate_media(media="print")
    for name in NAMES:
        assert page.evaluate(FAULTS, name) == []
    hidden = page.evaluate(
        """[...document.querySelectorAll('.numbers table')]
             .filter((t) => !t.getBoundingClientRect().height).length"""
    )
    assert hidden == 0
    assert page.locator(".needs-script:visible, .bar:visible").count() == 0
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert color == "rgb(255, 255, 255)"
    assert len(page.pdf()) > 20_000


def test_print_opens_what_is_folded(opened):
    page = opened()
    page.emulate_media(media="print")
    heights = page.evaluate(
        """[...document.querySelectorAll('details:not([open]) > :not(summary)')]
             .map((e) => e.getBoundingClientRect().height)"""
    )
    assert heights
    assert min(heights) > 0


@pytest.mark.parametrize("width", [320, 768, 1920])
@pytest.mark.parametrize("query", ["", "?present"], ids=["plain", "present"])
def test_the_page_is_no_wider_than_the_window(opened, width, query):
    page = opened(query, width=width)
    open_details(page)
    wide = page.evaluate(
        """() => {
          const limit = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= limit) return [];
          const held = (e) => {  // In a box that scrolls by itself.
            const box = e.parentElement;
            return box !== document.body
              && (getComputedStyle(box).overflowX !== 'visible' || held(box));
          };
          return [...document.querySelectorAll('body *')]
            .filter((e) => e.getBoundingClientRect().right > limit + 1 && !held(e))
            .map((e) => [e.closest('section')?.id, e.tagName, e.className,
                         e.textContent.slice(0, 50)])
            .slice(0, 8);
        }"""
    )
    assert wide == []


@pytest.mark.parametrize("width", [320, 1200])
def test_text_is_not_cut_off(opened, width):
    """What is wider than its box can be scrolled to, by keyboard too."""
    page = opened(width=width)
    open_details(page)
    cut = page.evaluate(
        """() => [...document.querySelectorAll('main *')].filter((e) => {
             if (e.closest('svg, math, .unseen') || !e.checkVisibility()) return false;
             const flow = getComputedStyle(e).overflowX;
             if (e.scrollWidth <= e.clientWidth + 1) return false;
             return flow === 'hidden' || flow === 'clip';
           }).map((e) => [e.closest('section')?.id, e.className, e.textContent])"""
    )
    assert cut == []


def test_a_page_of_gaps_runs_without_error(opened, tmp_path):
    built = lesson.build(measure.discover(ROOT), tmp_path)
    assert built.gaps
    page = opened(at=lesson.write(built, tmp_path).as_uri())
    assert page.locator(".gap").count() == len(built.gaps)


@pytest.mark.parametrize(
    "section", [one for one in SECTIONS if one.experiments], ids=lambda one: one.name
)
def test_a_page_with_one_section_only_missing_runs(opened, tmp_path, section):
    """No section's script stands on another's data."""
    reports = partial.linked(tmp_path / "reports")
    (reports / section.experiments[0] / "data.csv").unlink()
    built = lesson.build(measure.discover(ROOT), reports)
    opened(f"#{section.name}", at=lesson.write(built, reports).as_uri())
