"""Every number that the lesson shows comes from a row, and says the row's value.

An independent reader looks up each address in the ``data.csv`` it names, computes again
what was computed, and reads the words back.
"""

from __future__ import annotations

import re
import tomllib

import pytest

from diffkit.lesson.sections import SECTIONS
from tests.lesson.conftest import ROOT
from tests.lesson.markup import Element, payloads, read, stray_digits
from tests.lesson.payload import Known, strays
from tests.lesson.trace import agrees, faults

NAMES = [section.name for section in SECTIONS]
#: The sections of the issue, in its order.
ALL = (
    *("race", "one_weight", "loop", "surface", "downhill", "backward", "nudge"),
    *("formula", "remember", "training", "fading", "student", "exercises", "errata"),
)
ELEMENTS = {f"W{n}" for n in range(1, 11)}
#: Numbers in drawings and choices that no row has: what they are.
PLAIN: dict[str, tuple[str, ...]] = {}
#: Numbers in payloads that no row has, by path, and why they are there.
CALCULATED: dict[str, tuple[str, ...]] = {}


@pytest.fixture(scope="module")
def sections(page) -> dict[str, Element]:
    return {
        s.attributes["id"]: s for s in page.every("section") if "id" in s.attributes
    }


@pytest.fixture(scope="module")
def known(tables):
    """The numbers of a section's experiments; each file is taken once."""
    found: dict[str, list[float]] = {}

    def known(section) -> Known:
        for name in section.experiments:
            if name not in found:
                found[name] = list(tables.known(name))
        return Known(v for name in section.experiments for v in found[name])

    return known


# ------------------------------------------------------------------ the text


@pytest.mark.parametrize("name", NAMES)
def test_digits_come_from_somewhere(sections, name):
    assert not stray_digits(sections[name])


def test_digits_around_the_sections_come_from_somewhere(page):
    assert not stray_digits(page)


@pytest.mark.parametrize(
    "planted",
    [
        "<p>Backprop is 7 times faster.</p>",
        "<li>It took <em>12</em> steps.</li>",
        '<p>Fine: <data value="2" data-from="x">2</data>, and 3.</p>',
        '<p aria-label="about 5 %">About a twentieth.</p>',
        "<td>x²: ٣</td>",
    ],
)
def test_a_planted_digit_is_found(built, planted):
    html = built.html.replace("</main>", f"{planted}</main>")
    (fault,) = stray_digits(read(html))
    assert re.search(r"\d", fault)


@pytest.mark.parametrize(
    "fine",
    [
        '<p>A rate of <span class="given">0.1</span>.</p>',
        "<p>They say <q>about 2× the forward pass</q>.</p>",
    ],
)
def test_digits_that_come_from_somewhere_are_left_alone(fine):
    assert not stray_digits(read(fine))


def test_words_of_a_claim_are_its_own(page):
    with open(ROOT / "experiments" / "claims.toml", "rb") as file:
        claims = tomllib.load(file)["claims"]
    said = " ¶ ".join(_plain(claim["text"]) for claim in claims.values())
    quoted = [q.text for q in page.every("q") if re.search(r"\d", q.text)]
    assert not [text for text in quoted if _plain(text).strip(" .…") not in said]


def _plain(text: str) -> str:
    # The marks of code and stress are drawn, not written.
    return " ".join(text.lower().replace("`", "").replace("*", "").split())


# ------------------------------------------------------------------ the rows


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_those_of_their_rows(sections, tables, name):
    assert not faults(sections[name], tables)


@pytest.mark.parametrize("section", SECTIONS, ids=NAMES)
def test_rows_are_of_the_experiments_that_the_section_names(sections, section):
    named = {
        address.partition("/")[0]
        for element in sections[section.name].every("data")
        for address in element.attributes["data-from"].split()
    }
    assert named <= set(section.experiments)


def a_number(page: Element, test) -> Element:
    return next(element for element in page.every("data") if test(element))


def without_how(element: Element) -> bool:
    value = element.attributes["value"]
    plain = re.fullmatch(r"-?\d+\.\d{3,}", value)
    return "data-how" not in element.attributes and plain is not None


def test_a_planted_value_is_found(built, tables):
    page = read(built.html)
    number = a_number(page, without_how)
    true = number.attributes["value"]
    number.attributes["value"] = repr(float(true) * 1.001)
    fault = faults(page, tables)[0]
    assert "the rows give" in fault
    assert number.attributes["data-from"] in fault


def test_planted_words_are_found(built, tables):
    page = read(built.html)
    number = a_number(page, without_how)
    true = float(number.attributes["value"])
    number.children[:] = [f"{true * 1.001:.12f}"]
    (fault,) = faults(page, tables)
    assert "the words say another number" in fault


@pytest.mark.parametrize(
    "broken",
    [
        ("?", "?backend=unknown;"),
        ("/", "/un"),
        ("one_weight", "not_measured"),
        ("?part=", "?apart="),
    ],
)
def test_an_address_that_leads_nowhere_is_found(built, tables, broken):
    page = read(built.html)
    number = a_number(
        page, lambda one: one.attributes["data-from"].startswith("one_weight/w_value?")
    )
    address = number.attributes["data-from"]
    number.attributes["data-from"] = address.replace(*broken, 1)
    (fault,) = faults(page, tables)
    assert "no such row" in fault


@pytest.mark.parametrize(
    "how, right, wrong",
    [
        ("min", "0.0", "0.6"),
        ("max", "1.08", "1.0800001"),
        ("sum", "1.68", "1.6801"),
        ("count", "3", "2"),
    ],
)
def test_what_was_computed_is_computed_again(tables, how, right, wrong):
    places = " ".join(f"one_weight/w_value?part=steps#{k}" for k in range(3))

    def shown(value):
        html = f'<data value="{value}" data-from="{places}" data-how="{how}">'
        return faults(read(f"{html}{value}</data>"), tables)

    assert not shown(right)
    assert shown(wrong)


@pytest.mark.parametrize(
    "words, value",
    [
        ("1.60 × 10⁹⁸", str(16 * 10**97 + 123)),
        ("1.60 × 10⁹⁸", "1.6049e+98"),
        ("2.10 ms", "0.0021"),
        ("5 µs", "4.6e-06"),
        ("9,780×", "9780.4"),
        ("45 %", "0.4512"),
        ("45%", "0.45"),
        ("20.4 MiB", str(int(20.4 * 1024 * 1024))),
        ("512 bytes", "512"),
        ("−3", "-3"),
        ("-3.0", "-3.04"),
        ("31.2", "31.25"),
        ("7,666", "7666"),
        ("1e-05", "1.04e-05"),
        ("10⁻⁷", "9.54e-08"),
        ("11.6 days", "1000000.0"),
        ("∞", "inf"),
        ("60 steps", "60"),
        ("2.35×", "2.345"),
    ],
)
def test_words_are_read_back(words, value):
    assert agrees(words, value)


@pytest.mark.parametrize(
    "words, value",
    [
        ("1.60 × 10⁹⁸", "1.61e+98"),
        ("1.60 × 10⁹⁸", "1.6e+97"),
        ("2.10 ms", "0.00211"),
        ("2.10 ms", "2.10"),
        ("9,780×", "9781"),
        ("45 %", "0.46"),
        ("45", "0.45"),
        ("3", "-3"),
        ("20.4 MiB", "20400000"),
        ("10⁻⁷", "1e-05"),
        ("several", "7"),
        ("∞", "1e300"),
        ("7", "inf"),
    ],
)
def test_other_words_are_not(words, value):
    assert not agrees(words, value)


@pytest.mark.parametrize("section", SECTIONS, ids=NAMES)
def test_settings_choices_and_drawings_have_numbers_of_rows(sections, known, section):
    """What is chosen, offered or written into a drawing was measured with or found."""
    place = sections[section.name]
    texts = [one.text for one in place.every() if "given" in one.classes]
    texts += [one.text for one in place.every("option")]
    ticks = {
        id(text)
        for one in place.every()
        if "tick" in one.classes
        for text in (one, *one.every("text"))
    }
    texts += [
        text.text
        for svg in place.every("svg")
        for text in svg.every()
        if text.tag in ("text", "title") and id(text) not in ticks
    ]
    assert not strays(texts, known(section), PLAIN.get(section.name, ()))


# ------------------------------------------------------------------ the payload


@pytest.mark.parametrize("section", SECTIONS, ids=NAMES)
def test_scripts_are_given_rows_only(page, known, section):
    payload = payloads(page).get(section.name)
    allowed = CALCULATED.get(section.name, ())
    found = strays(payload, known(section), allowed)
    assert not found, f"{len(found)} numbers, the first of them {found[:8]}"


def test_exceptions_are_needed(page, known):
    """A pattern that allows nothing goes."""
    for section in SECTIONS:
        payload = payloads(page).get(section.name)
        for pattern in CALCULATED.get(section.name, ()):
            without = set(CALCULATED[section.name]) - {pattern}
            assert strays(payload, known(section), without), pattern


def test_a_planted_number_is_found(page, known):
    section = next(s for s in SECTIONS if s.name == "one_weight")
    payload = payloads(page)["one_weight"]
    assert not strays(payload, known(section))
    payload["paths"][0][5] *= 1.001
    payload["note"] = "a loss of 0.123457"
    first, second = strays(payload, known(section))
    assert first.startswith(".paths[0][5] = ")
    assert second.startswith(".note = ")


# ------------------------------------------------------------------ what it covers


def test_sections_stand_in_their_order(sections):
    assert list(sections) == [name for name in ALL if name in NAMES]
    labels = {name: str(n) for n, name in enumerate(ALL[:-1])} | {"errata": "A"}
    assert {s.name: s.number for s in SECTIONS} == {
        name: labels[name] for name in NAMES
    }


def test_every_claim_is_reached():
    with open(ROOT / "experiments" / "claims.toml", "rb") as file:
        claims = set(tomllib.load(file)["claims"])
    assert len(claims) == 36
    named = {claim for section in SECTIONS for claim in section.claims}
    assert named <= claims | ELEMENTS, "a section names a claim that nobody made"
    if set(NAMES) == set(ALL):
        assert named == claims | ELEMENTS


def test_ids_are_unique_and_begin_with_their_section(page):
    every = [e.attributes["id"] for e in page.every() if "id" in e.attributes]
    assert len(every) == len(set(every))
    for name, section in {s.section: s for s in page.every() if s.section}.items():
        assert name, section
    strangers = [
        (element.section, element.attributes["id"])
        for element in page.every()
        if element.section
        and "id" in element.attributes
        and not element.attributes["id"].startswith(element.section)
    ]
    assert not strangers


def test_labels_lead_to_what_they_name(page):
    ids = {e.attributes["id"] for e in page.every() if "id" in e.attributes}
    for element in page.every():
        for name in ("for", "aria-labelledby", "aria-describedby", "aria-controls"):
            assert set(element.attributes.get(name, "").split()) <= ids, element
        if element.tag == "a":
            target = element.attributes.get("href", "")
            assert target.startswith(("#", "https://")), target
            if target.startswith("#"):
                assert target[1:].partition("?")[0] in ids, target
