"""Everything works by keyboard alone: reached by Tab, moved by keys, never a trap."""

from __future__ import annotations

import pytest

from diffkit.lesson.sections import SECTIONS
from tests.browser.conftest import STOPS

NAMES = [section.name for section in SECTIONS]
#: More stops than any section has: reaching it means that Tab goes in a circle.
MANY = 400

#: Number the elements that Tab stops at, so that they are known again.
MARK = f"""(name) => {{
  const stops = ({STOPS})(name ? document.getElementById(name) : document);
  window.marked = window.marked || 0;
  for (const e of stops) if (e.mark === undefined) e.mark = window.marked++;
  return stops.map((e) => ({{
    mark: e.mark, group: e.type === 'radio' ? e.name : '',
    what: e.outerHTML.slice(0, 120),
  }}));
}}"""

#: Where the focus is, whether that shows, and what it is.
FOCUS = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  const bar = document.querySelector('.tour')?.getBoundingClientRect();
  const stuck = bar && !e.closest('.tour') && bar.top <= 1;
  const under = stuck ? bar.bottom : 0;
  const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  return {
    mark: e.mark, section: e.closest('main > section')?.id || '',
    kind: e.tagName === 'INPUT' ? e.type : e.tagName.toLowerCase(),
    name: e.name || '', role: e.getAttribute('role') || '',
    wide: e.matches('.wide, .drawing, pre, math') || e.role === 'region',
    seen: ring && e.matches(':focus-visible') && box.bottom > under
      && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    what: e.outerHTML.slice(0, 160),
  };
}"""

#: What a control can change: the section, the state of its controls, the address.
PRINT = """() => {
  const section = document.activeElement.closest('main > section') || document.body;
  const state = [...section.querySelectorAll('input, select, textarea, details')]
    .map((e) => [e.value, e.checked, e.open]);
  return JSON.stringify([section.innerHTML, state, location.href,
    document.documentElement.className, document.documentElement.dataset.theme]);
}"""

#: Go back to what had the focus; count the buttons beside one, or go to one of them.
FIND = """(mark) => [...document.querySelectorAll('main *')]
  .find((e) => e.mark === mark).focus()"""
NEIGHBOURS = """([mark, place]) => {
  const own = [...document.querySelectorAll('button')].find((e) => e.mark === mark);
  const others = [...own.parentElement.querySelectorAll('button')]
    .filter((e) => e !== own);
  if (place !== null) others[place].focus();
  return others.length;
}"""

VALUE = "() => document.activeElement.value"
SAID = """() => {
  const input = document.activeElement;
  const output = document.querySelector(`output[for="${input.id}"]`);
  return [output ? output.textContent : null, input.getAttribute('aria-valuetext')];
}"""


def press(page, key):
    page.keyboard.press(key)


def test_tab_reaches_everything_in_order_and_comes_round(opened):
    page = opened()
    stops = page.evaluate(MARK, None)
    reached = []
    for _ in range(len(stops) + MANY):
        press(page, "Tab")
        focus = page.evaluate(FOCUS)
        if focus is None or focus["mark"] in reached[:1]:
            break
        assert focus["seen"], f"the focus is not seen: {focus['what']}"
        if focus["mark"] is not None:  # A box that scrolls is one, without being asked.
            reached.append(focus["mark"])
    else:
        pytest.fail("Tab never comes round")
    assert reached == sorted(reached)
    groups = {stop["group"] for stop in stops if stop["mark"] in reached}
    missed = [
        stop["what"]
        for stop in stops
        if stop["mark"] not in reached and stop["group"] not in groups - {""}
    ]
    assert missed == []


def test_back_again(opened):
    page = opened()
    there = []
    for _ in range(12):
        press(page, "Tab")
        there.append(page.evaluate(FOCUS)["what"])
    back = [there[-1]]
    for _ in range(11):
        press(page, "Shift+Tab")
        back.append(page.evaluate(FOCUS)["what"])
    assert back == there[::-1]


def test_the_first_stop_leads_past_the_contents(opened):
    page = opened()
    press(page, "Tab")
    press(page, "Enter")
    press(page, "Tab")
    assert page.evaluate(FOCUS)["section"] == NAMES[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_control_is_moved_by_keys(opened, name):
    page = opened(f"#{name}")
    stops = page.evaluate(MARK, name)
    reached, idle = set(), []
    for _ in range(MANY):
        press(page, "Tab")
        focus = page.evaluate(FOCUS)
        if focus is None or (focus["section"] != name and reached):
            break
        if focus["section"] != name:
            continue
        page.evaluate(MARK, name)  # Something may have unfolded.
        focus = page.evaluate(FOCUS)
        assert focus["seen"], f"the focus is not seen: {focus['what']}"
        assert focus["mark"] not in reached or focus["mark"] is None, "a trap"
        reached.add(focus["mark"])
        if not moved(page, focus):
            idle.append(focus)
        after = page.evaluate(FOCUS)
        assert after, f"the focus is lost: {focus['what']}"
        same_group = focus["kind"] == "radio" and after["name"] == focus["name"]
        assert after["mark"] == focus["mark"] or same_group, focus["what"]
    else:
        pytest.fail("Tab never leaves the section")
    # A choice may have put one thing in the place of another.
    left = {stop["mark"] for stop in page.evaluate(MARK, name)}
    stops = [stop for stop in stops if stop["mark"] in left]
    groups = {stop["group"] for stop in stops if stop["mark"] in reached} - {""}
    assert [
        stop["what"]
        for stop in stops
        if stop["mark"] not in reached and stop["group"] not in groups
    ] == []
    # 'Previous' has nothing before it until 'Next' was pressed, and the reverse.
    for focus in idle:
        if focus["kind"] == "button":
            for place in reversed(
                range(page.evaluate(NEIGHBOURS, [focus["mark"], None]))
            ):
                page.evaluate(NEIGHBOURS, [focus["mark"], place])
                push(page, focus)
        page.evaluate(FIND, focus["mark"])
        assert moved(page, focus), f"keys change nothing: {focus['what']}"


def moved(page, focus) -> bool:
    """Work the control that has the focus, and say whether anything changed."""
    kind = focus["kind"]
    act = {
        "range": slide,
        "select": choose,
        "radio": tick,
        "checkbox": tick,
        "summary": unfold,
        "button": push,
        "lesson-steps": play,
    }.get(kind)
    if act is not None:
        return act(page, focus)
    if kind in ("number", "text", "textarea"):
        return write(page, focus)
    if kind == "a" or focus["wide"]:
        return True  # Scrolled by the browser, or followed.
    return any_key(page)


def slide(page, focus) -> bool:
    before, said = page.evaluate(VALUE), page.evaluate(SAID)
    press(page, "ArrowRight")
    if page.evaluate(VALUE) == before:
        press(page, "ArrowLeft")
    after, text = page.evaluate(VALUE), page.evaluate(SAID)
    assert after != before
    assert (text[0] or "").strip(), f"no read-out: {focus['what']}"
    assert text[0] != said[0], f"the read-out stays the same: {focus['what']}"
    assert text[1] == text[0]
    assert f"{focus['name']}=" in page.url
    low, high = page.evaluate(
        "() => [document.activeElement.min, document.activeElement.max]"
    )
    for key, end in (("Home", low), ("End", high)):
        press(page, key)
        assert page.evaluate(VALUE) == end
        assert page.evaluate(SAID)[0]
    return True


def choose(page, focus) -> bool:
    before = page.evaluate(VALUE)
    press(page, "ArrowDown")
    if page.evaluate(VALUE) == before:
        press(page, "ArrowUp")
    assert page.evaluate(VALUE) != before, focus["what"]
    assert f"{focus['name']}=" in page.url
    return True


def tick(page, focus) -> bool:
    before = page.evaluate(PRINT)
    press(page, "Space")
    changed = page.evaluate(PRINT) != before
    if focus["kind"] == "radio":
        press(page, "ArrowDown")
        assert page.evaluate("() => document.activeElement.checked")
        question = page.evaluate(
            """() => {
              const all = document.activeElement.closest('lesson-question');
              return all ? [all.querySelector('.verdict').textContent,
                            all.querySelector('.answer').open] : null;
            }"""
        )
        assert question is None or (question[0] in ("Yes.", "Not so.") and question[1])
        return changed or page.evaluate(PRINT) != before
    return changed


def unfold(page, focus) -> bool:
    state = "() => document.activeElement.parentElement.open"
    before = page.evaluate(state)
    press(page, "Enter")
    assert page.evaluate(state) is not before
    if before:
        press(page, "Enter")
    return True


def push(page, focus) -> bool:
    """Press a button; what it starts is stopped by it."""
    said = "() => document.activeElement.textContent"
    before, text = page.evaluate(PRINT), page.evaluate(said)
    press(page, "Enter")
    changed = page.evaluate(PRINT) != before
    if page.evaluate(said) != text:
        press(page, "Space")
        assert page.evaluate(said) == text, f"Space does not stop: {focus['what']}"
    return changed


def play(page, focus) -> bool:
    state = """() => { const e = document.activeElement; return [
      e.querySelector('.count').textContent,
      [...e.querySelectorAll('.bar button')].map((b) => b.textContent).join()] }"""
    count, _ = page.evaluate(state)
    press(page, "ArrowRight")
    assert page.evaluate(state)[0] != count
    press(page, "ArrowLeft")
    assert page.evaluate(state)[0] == count
    press(page, "Space")
    assert "Pause" in page.evaluate(state)[1]
    press(page, "Space")
    assert "Pause" not in page.evaluate(state)[1]
    return True


def write(page, focus) -> bool:
    before = page.evaluate(PRINT)
    press(page, "1")
    return page.evaluate(PRINT) != before


def any_key(page) -> bool:
    """Something that a section made itself: one of the usual keys moves it."""
    before = page.evaluate(PRINT)
    for key in ("ArrowRight", "ArrowUp", "Enter", "Space"):
        press(page, key)
        if page.evaluate(PRINT) != before:
            return True
    return False
