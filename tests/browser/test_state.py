"""The address holds the moment; nonsense in it falls back; themes and large type."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from diffkit.lesson.sections import SECTIONS

NAMES = [section.name for section in SECTIONS]
NONSENSE = [
    *("NaN", "-1", "1e9", "99999999999999999999", "", "1.5", "%E0%A4%A"),
    *("<script>alert(1)</script>", "__proto__", "'\"]", "null", "0x1"),
]

#: Keys that a section keeps in the address, and what each is now.
KEYS = """(name) => {
  const section = document.getElementById(name), found = {};
  for (const e of section.querySelectorAll('lesson-steps')) {
    const key = e.id.replace(/^.*-/, '') || 'step';
    const now = [...e.querySelectorAll(':scope > .steps > li')]
      .findIndex((item) => item.classList.contains('now'));
    found[key] = String(now + 1);
  }
  for (const e of section.querySelectorAll('input[type=range], select'))
    found[e.name] = e.value;
  return found;
}"""
#: For each key another value that it may have.
OTHERS = """(name) => {
  const section = document.getElementById(name), found = {};
  for (const e of section.querySelectorAll('lesson-steps')) {
    const key = e.id.replace(/^.*-/, '') || 'step';
    const count = e.querySelectorAll(':scope > .steps > li').length;
    if (count > 1) found[key] = String(Math.min(3, count));
  }
  for (const e of section.querySelectorAll('input[type=range]'))
    if (e.max !== e.min) found[e.name] = e.value === e.max ? e.min : e.max;
  for (const e of section.querySelectorAll('select')) {
    const other = [...e.options].find((option) => !option.selected);
    if (other) found[e.name] = other.value;
  }
  return found;
}"""


@pytest.fixture(scope="module")
def defaults(browser, address):
    """What each section shows first, and other values of the same keys."""
    page = browser.new_page()
    page.goto(address)
    found = {n: (page.evaluate(KEYS, n), page.evaluate(OTHERS, n)) for n in NAMES}
    page.close()
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_link_opens_a_moment(opened, defaults, name):
    _, others = defaults[name]
    for key, value in others.items():
        page = opened(f"#{name}?{key}={quote(value, safe='')}")
        assert page.evaluate(KEYS, name)[key] == value, key
        top = page.evaluate(
            "(n) => document.getElementById(n).getBoundingClientRect().top", name
        )
        assert -50 < top < 450 or is_last(page), "the section is not in sight"


def is_last(page) -> bool:
    """Nothing more to scroll."""
    return page.evaluate(
        """() => scrollY + innerHeight
             >= document.documentElement.scrollHeight - 2"""
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_was_set_is_in_the_address(opened, defaults, name):
    """Settings move into the address, and a page opened there shows them again."""
    _, others = defaults[name]
    page = opened(f"#{name}")
    page.evaluate(
        """([name, values]) => {
          const section = document.getElementById(name);
          for (const [key, value] of Object.entries(values)) {
            const e = section.querySelector(`[name="${key}"]`);
            if (e) {
              e.value = value;
              e.dispatchEvent(new Event(e.type === 'range' ? 'input' : 'change',
                { bubbles: true }));
            }
          }
        }""",
        [name, others],
    )
    assert page.url.count("#") == (1 if others else page.url.count("#"))
    shown = page.evaluate(KEYS, name)
    again = opened("#" + page.url.partition("#")[2])
    assert again.evaluate(KEYS, name) == shown


@pytest.mark.parametrize("name", NAMES)
def test_nonsense_falls_back(opened, defaults, name):
    first, _ = defaults[name]
    page = opened()
    for value in NONSENSE:
        query = "&".join(f"{key}={value}" for key in first) or f"step={value}"
        page.goto("about:blank")
        page.goto(f"{page.watched.address}#{name}?{query}")
        assert page.evaluate(KEYS, name) == first, value


@pytest.mark.parametrize(
    "where",
    [
        *("#", "#nothing", "#nothing?step=2", "#?step=2", "#%E0%A4%A?step=%E0%A4%A"),
        *("#<script>alert(1)</script>?a=b", "#one_weight?unknown=3", "#a?b?c#d&&=="),
        *("?present=no&x=%E0%A4%A", "#toString?step=1", "#main?step=2"),
    ],
)
def test_addresses_of_nothing_are_harmless(opened, defaults, where):
    page = opened(where)
    assert {n: page.evaluate(KEYS, n) for n in NAMES} == {
        name: first for name, (first, _) in defaults.items()
    }


def test_the_keys_of_another_section_change_nothing(opened, defaults):
    for name, other in zip(NAMES, NAMES[1:] + NAMES[:1], strict=True):
        _, others = defaults[other]
        foreign = {k: v for k, v in others.items() if k not in defaults[name][0]}
        query = "&".join(f"{k}={quote(v, safe='')}" for k, v in foreign.items())
        page = opened(f"#{name}?{query}")
        assert page.evaluate(KEYS, name) == defaults[name][0]
        assert page.evaluate(KEYS, other) == defaults[other][0] or name == other


def background(page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_theme_goes_there_and_back(opened, dark):
    page = opened(dark=dark)
    first = background(page)
    page.locator("#theme").click()
    other = background(page)
    assert other != first
    page.locator("#theme").click()
    assert background(page) == first
    assert background(opened(dark=not dark)) == other


def size(page) -> float:
    return page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")


def test_large_type_by_address_and_by_button(opened):
    page, large = opened(), opened("?present")
    assert size(large) > 1.3 * size(page)
    assert large.locator("#present").get_attribute("aria-pressed") == "true"
    page.locator("#present").click()
    assert size(page) == size(large)
    page.locator("#present").click()
    assert size(page) < size(large)
    assert page.locator("#present").get_attribute("aria-pressed") == "false"
