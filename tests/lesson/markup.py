"""The built page as a reader meets it: texts with the elements they stand in.

Read with the standard library's parser and by nothing of the package, so that what is
asked of the page is asked of its bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = frozenset(
    (
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta"),
        *("source", "track", "wbr"),
    )
)
#: Where digits may stand: what was looked up, chosen, quoted, calculated or drawn (what
#: script writes is not in the file). A gap names the row that is missing; what
#: stands in `verdict-words` is compared with the experiments' findings elsewhere.
ELEMENTS = frozenset(
    (
        *("data", "math", "code", "pre", "kbd", "svg", "q", "script", "style"),
        *("option",),
    )
)
CLASSES = frozenset(("given", "no", "gap", "verdict-words"))
#: A sentence ends with one of these.
BLOCKS = frozenset(
    (
        *("p", "li", "td", "th", "caption", "figcaption", "legend", "label", "summary"),
        *("h1", "h2", "h3", "h4", "dt", "dd", "div", "section", "button", "a"),
    )
)
#: Attributes that are read aloud.
SPOKEN = ("aria-label", "title", "alt", "aria-valuetext", "aria-description")


@dataclass(eq=False)
class Element:
    """An element: its tag, its attributes, what stands in it, and where it stands."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None
    children: list[Element | str] = field(default_factory=list)

    def up(self) -> Iterator[Element]:
        """The element and all that it stands in."""
        place: Element | None = self
        while place is not None:
            yield place
            place = place.parent

    def every(self, tag: str = "") -> Iterator[Element]:
        """The elements of a tag (or all) in it, in the order of the page."""
        for child in self.children:
            if isinstance(child, Element):
                if tag in ("", child.tag):
                    yield child
                yield from child.every(tag)

    def texts(self) -> Iterator[tuple[str, Element]]:
        """All texts in it, each with the element that it is a child of."""
        for child in self.children:
            if isinstance(child, str):
                yield child, self
            else:
                yield from child.texts()

    @property
    def text(self) -> str:
        return " ".join("".join(text for text, _ in self.texts()).split())

    @property
    def classes(self) -> frozenset[str]:
        return frozenset(self.attributes.get("class", "").split())

    @property
    def section(self) -> str:
        """The name of the section that it stands in."""
        for place in self.up():
            if place.tag == "section":
                return place.attributes["id"]
        return ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.here = Element("", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs}, self.here)
        self.here.children.append(made)
        if tag not in VOID:
            self.here = made

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        # The page is written by templates: a tag that closes another is a fault in one.
        assert self.here.tag == tag, f"</{tag}> closes <{self.here.tag}>"
        assert self.here.parent is not None
        self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        self.here.children.append(data)


def read(html: str) -> Element:
    """The page as elements; every element is closed by its own tag."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.here is reader.root, f"<{reader.here.tag}> is never closed"
    return reader.root


def may_have_digits(element: Element) -> bool:
    """Whether digits in this element come from somewhere."""
    return any(
        place.tag in ELEMENTS or place.classes & CLASSES for place in element.up()
    )


def stray_digits(page: Element) -> list[str]:
    """Sentences (and spoken attributes) with a digit that comes from nowhere."""
    found = []
    for text, element in page.texts():
        if re.search(r"\d", text) and not may_have_digits(element):
            found.append(f"{element.section}: {text.strip()!r} in {_sentence(element)}")
    for element in page.every():
        if may_have_digits(element):
            continue
        for name in SPOKEN:
            said = element.attributes.get(name, "")
            if re.search(r"\d", said) or "<" in said:
                found.append(f"{element.section}: {name}={said!r}")
    return found


def _sentence(element: Element) -> str:
    for place in element.up():
        if place.tag in BLOCKS:
            return repr(place.text)
    return repr(element.text)


def payloads(page: Element) -> dict[str, Any]:
    """What each section hands to its script."""
    return {
        script.attributes["id"].removesuffix("-data"): json.loads(
            "".join(text for text, _ in script.texts())
        )
        for script in page.every("script")
        if script.attributes.get("type") == "application/json"
    }
