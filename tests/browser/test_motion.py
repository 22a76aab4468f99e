"""Who wants no motion sees the same states, and nothing moves."""

from __future__ import annotations

import pytest

from diffkit.lesson.sections import SECTIONS

NAMES = [section.name for section in SECTIONS]
RUNNING = """() => document.getAnimations()
  .filter((one) => one.playState === 'running').length"""
#: Go through all steps of all players of a section by their own buttons.
STATES = """(name) => {
  const states = [];
  for (const e of document.getElementById(name).querySelectorAll('lesson-steps')) {
    const next = [...e.querySelectorAll('.bar button')]
      .find((button) => button.textContent === 'Next');
    const count = e.querySelectorAll(':scope > .steps > li').length;
    for (let k = 0; k < count; k++) {
      const now = e.querySelector(':scope > .steps > li.now');
      const moving = document.getAnimations()
        .filter((one) => one.playState === 'running').length;
      states.push([e.querySelector('.count').textContent, now.innerText, moving]);
      next.click();
    }
  }
  return states;
}"""
FROZEN = """(name) => {
  const section = document.getElementById(name);
  const canvases = [...section.querySelectorAll('canvas')].map((c) => c.toDataURL());
  return JSON.stringify([section.innerHTML, canvases, location.href]);
}"""


@pytest.mark.parametrize("name", NAMES)
def test_the_same_states_without_motion(opened, name):
    still = opened(still=True).evaluate(STATES, name)
    moving = opened().evaluate(STATES, name)
    assert [state[:2] for state in still] == [state[:2] for state in moving]
    assert [state[2] for state in still] == [0] * len(still)


@pytest.mark.parametrize("name", NAMES)
def test_no_button_starts_anything(opened, name):
    page = opened(f"#{name}", still=True)
    for button in page.locator(f"#{name} button").all():
        if not button.is_visible():
            continue
        button.click()
        assert page.evaluate(RUNNING) == 0
        page.wait_for_timeout(60)  # What follows at once has followed.
        before = page.evaluate(FROZEN, name)
        page.wait_for_timeout(250)
        assert page.evaluate(FROZEN, name) == before, button.text_content()


def test_with_motion_a_player_plays(opened):
    """The other way round: without the wish, Play goes on by itself, and stops."""
    page = opened("#one_weight")
    player = page.locator("#one_weight lesson-steps")
    player.get_by_role("button", name="Play").click()
    count = player.locator(".count")
    first = count.text_content()
    page.wait_for_function(
        "([e, first]) => e.textContent !== first", arg=[count.element_handle(), first]
    )
    player.get_by_role("button", name="Pause").click()
    stopped = count.text_content()
    page.wait_for_timeout(1800)
    assert count.text_content() == stopped
