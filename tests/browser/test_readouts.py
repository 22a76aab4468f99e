"""What script says is what was measured: each position of each control is read back."""

from __future__ import annotations

import re

import pytest

from diffkit.lesson.sections import SECTIONS
from tests.lesson.payload import Known, strays

NAMES = [section.name for section in SECTIONS]

#: Move one control at a time through all that it can be, and read what is said.
READ = """(name) => {
  const section = document.getElementById(name), read = [];
  const said = () => [...section.querySelectorAll('output, .readout, [role=status]')]
    .filter((e) => !e.matches('.count, .verdict')).map((e) => e.textContent.trim());
  const set = (e, value, kind) => {
    e.value = value;
    e.dispatchEvent(new Event(kind, { bubbles: true }));
  };
  for (const e of section.querySelectorAll('input[type=range]')) {
    const first = e.value, step = Number(e.step) || 1;
    for (let v = Number(e.min); v <= Number(e.max); v += step) {
      set(e, v, 'input');
      const own = section.querySelector(`output[for="${e.id}"]`);
      read.push({ of: e.name, at: String(v), own: own ? own.textContent : null,
        spoken: e.getAttribute('aria-valuetext'), said: said() });
    }
    set(e, first, 'input');
  }
  for (const e of section.querySelectorAll('select')) {
    const first = e.value;
    for (const option of e.options) {
      set(e, option.value, 'change');
      read.push({ of: e.name, at: option.value, own: option.textContent,
        spoken: option.textContent, said: said() });
    }
    set(e, first, 'change');
  }
  return read;
}"""


@pytest.fixture(scope="module")
def known(tables):
    def known(section) -> Known:
        return Known(v for name in section.experiments for v in tables.known(name))

    return known


def without_angles(text: str) -> str:
    """Less what says from where a drawing is looked at."""
    return re.sub(r"[−-]?\d+(°| degrees)", "", text)


#: What a script works out of rows: a share of a whole. Held in test_values.py.
SHARES = {"training": r" after [\d.,]+( \w+)?"}


@pytest.mark.parametrize("section", SECTIONS, ids=NAMES)
def test_every_position_says_numbers_of_rows(opened, known, section):
    read = opened().evaluate(READ, section.name)
    for one in read:
        where = f"{one['of']}={one['at']}"
        assert one["own"], f"{where} has no read-out"
        assert one["spoken"] == one["own"], where
        for text in one["said"]:
            assert "NaN" not in text, where
            assert "undefined" not in text, where
    own: dict[str, list[str]] = {}
    for one in read:
        own.setdefault(one["of"], []).append(one["own"])
    for name, texts in own.items():
        assert len(set(texts)) == len(texts), f"positions of {name} say the same"
    # Every number that is said stands in a row, within the digits that are shown.
    said = {
        f"{one['of']}={one['at']}": [
            without_angles(re.sub(SHARES.get(section.name, "(?!)"), "", text))
            for text in one["said"]
        ]
        for one in read
    }
    found = strays(said, known(section))
    assert not found, f"{len(found)} texts, the first of them {found[:6]}"


def test_scales_of_script_and_page_are_one(opened):
    """Where script draws a value is where the page drew it."""
    page = opened()
    ends = page.evaluate(
        """() => [...document.querySelectorAll('.chart[data-x][data-y]')].map((s) => {
          const plot = lesson.plot(s.id);
          const numbers = (text) => text.split(',').slice(1).map(Number);
          const [left, right] = numbers(s.dataset.x);
          const [low, high] = numbers(s.dataset.y);
          return { id: s.id, axis: s.querySelector('.axis').getAttribute('d'),
            drawn: [plot.x(left), plot.y(high), plot.y(low), plot.x(right)] };
        })"""
    )
    assert ends
    for one in ends:
        left, top, bottom, right = one["drawn"]
        assert one["axis"] == f"M{left:g} {top:g}V{bottom:g}H{right:g}", one["id"]
