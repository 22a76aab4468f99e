"""A picture of each section, to be looked at: DIFFKIT_SCREENSHOTS names a folder."""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path

import pytest

from diffkit.lesson.sections import SECTIONS

NAMES = [section.name for section in SECTIONS]
LOOKS = {
    "light": {},
    "dark": {"dark": True},
    "phone": {"width": 320, "height": 640},
}


@pytest.mark.parametrize("look", LOOKS)
def test_sections_are_pictured(opened, tmp_path, look):
    folder = Path(os.environ.get("DIFFKIT_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    page = opened(still=True, **LOOKS[look])
    # The bar that stays in sight would lie across tall sections.
    page.locator(".tour").evaluate("(bar) => bar.style.position = 'static'")
    for number, name in enumerate(NAMES):
        file = folder / f"{number:02} {name} {look}.png"
        # A window as tall as the section: a picture of the whole page, or of an element
        # that is many windows tall, takes Chromium minutes without a graphics card.
        section = page.locator(f"#{name}")
        tall = math.ceil(section.bounding_box()["height"])
        page.set_viewport_size({"width": page.viewport_size["width"], "height": tall})
        section.evaluate("(section) => scrollTo(0, section.offsetTop)")
        page.screenshot(path=file)
        width, height = struct.unpack(">II", file.read_bytes()[16:24])
        assert width <= LOOKS[look].get("width", 1200)
        assert height > 100
        # A picture of one colour is much smaller.
        assert file.stat().st_size > 5_000
