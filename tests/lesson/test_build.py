"""The page as a file: the same bytes from the same data, and whole without some."""

from __future__ import annotations

import json
import re
from importlib import import_module

import pytest

from diffkit import lesson
from diffkit.errors import ReportError
from diffkit.lesson import data as lesson_data
from diffkit.lesson.sections import SECTIONS
from diffkit.report.table import read_rows
from tests.lesson import partial
from tests.lesson.conftest import REPORTS
from tests.lesson.markup import read, stray_digits

# `diffkit.lesson.build` is the function of that name.
module = import_module("diffkit.lesson.build")
NAMES = [section.name for section in SECTIONS]
#: The errata read nearly all experiments: one of them stands for the others here.
ONE = {"errata": ("memory",)}
USED = [
    (section, name)
    for section in SECTIONS
    for name in ONE.get(section.name, section.experiments)
]
IDS = [f"{section.name}-{name}" for section, name in USED]


def test_the_same_data_give_the_same_bytes(registry, built):
    assert lesson.build(registry, REPORTS).html == built.html


def test_it_can_be_handed_around(built):
    assert built.bytes == len(built.html.encode())
    assert built.bytes <= 600_000 == lesson_limit()


def lesson_limit() -> int:
    return module.LARGEST_BYTES


def test_nothing_is_missing_from_this_checkout(built):
    assert built.gaps == ()


def test_nobody_is_asked_for_anything(built):
    """No address that a browser would load, no handler, no style of an element."""
    page = read(built.html)
    for element in page.every():
        for name, value in element.attributes.items():
            assert not name.startswith("on"), (element.tag, name)
            assert name not in ("style", "src", "srcset", "action", "poster"), name
            if name in ("href", "xlink:href") and element.tag != "a":
                assert value.startswith("#"), value
        assert element.tag not in ("link", "iframe", "object", "embed", "img", "base")
    policy = next(
        one.attributes["content"]
        for one in page.every("meta")
        if one.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    style = "".join(text for one in page.every("style") for text, _ in one.texts())
    assert not re.search(r"url\(|@import|@font-face", style)


def test_scripts_put_no_text_into_markup(built):
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"):
        assert word not in built.html, word


@pytest.fixture
def alone(monkeypatch):
    """Build a page that has one section only."""

    def alone(section):
        monkeypatch.setattr(module, "SECTIONS", (section,))

    return alone


def check_said(built, *experiments):
    """Each gap stands in the page and says what to run."""
    page = read(built.html)
    notes = [p.text for p in page.every("p") if "gap" in p.classes]
    assert len(notes) == len(built.gaps)
    for note, gap in zip(notes, built.gaps, strict=True):
        assert gap.startswith("Section ")
        command = re.search(r"Run '(diffkit run (\w+) --(?:quick|full))'\.", gap)
        assert command, gap
        assert command[2] in experiments
        assert command[1] in note


def test_a_page_of_nothing_says_what_to_run(registry, tmp_path):
    built = lesson.build(registry, tmp_path)
    needing = [section for section in SECTIONS if section.experiments]
    check_said(built, *registry)
    for section in needing:
        (gap,) = [gap for gap in built.gaps if f"Section {section.number}," in gap]
        assert section.title in gap
    ids = [one.attributes.get("id") for one in read(built.html).every("section")]
    assert ids == NAMES


@pytest.mark.parametrize("section, name", USED, ids=IDS)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(None, id="deleted"),
        # In the middle of a line, wherever a third of the file ends.
        pytest.param(
            lambda text: text[: text.index("\n", len(text) // 3) + 12], id="truncated"
        ),
        pytest.param(lambda text: text[: text.index("\n") + 1], id="without rows"),
        pytest.param(lambda text: "a,b\n1,2\n", id="another table"),
        pytest.param(lambda text: "", id="empty"),
    ],
)
def test_a_lost_file_is_a_gap(registry, tmp_path, alone, section, name, change):
    reports = partial.linked(tmp_path / "reports")
    if change is None:
        (reports / name / "data.csv").unlink()
    else:
        partial.changed(reports, name, change)
    alone(section)
    built = lesson.build(registry, reports)
    check_said(built, name)
    assert built.gaps


@pytest.mark.parametrize("section, name", USED, ids=IDS)
def test_half_of_the_rows_are_shown_or_asked_for(
    registry, tmp_path, alone, section, name
):
    def half(text):
        lines = text.splitlines(keepends=True)
        return "".join(lines[: 1 + len(lines) // 2])

    reports = partial.linked(tmp_path / "reports")
    partial.changed(reports, name, half)
    alone(section)
    built = lesson.build(registry, reports)
    check_said(built, name)
    assert not stray_digits(read(built.html))


@pytest.mark.parametrize(
    "section", [one for one in SECTIONS if one.experiments], ids=lambda one: one.name
)
def test_data_of_another_version_are_shown_and_named(
    registry, tmp_path, alone, section
):
    name = section.experiments[0]
    reports = partial.linked(tmp_path / "reports")
    partial.changed(
        reports, name, lambda text: re.sub(r"diffkit=\S+", "diffkit=0.0.1", text)
    )
    alone(section)
    built = lesson.build(registry, reports)
    check_said(built, name)
    (gap,) = built.gaps
    assert f"{name} was measured by diffkit 0.0.1" in gap
    whole = read(lesson.build(registry, REPORTS).html)
    assert len(list(read(built.html).every("data"))) == len(list(whole.every("data")))


#: Metrics whose names differ in numbers only are one family.
NUMBER = r"[\d.]+(e-?\d+)?"


def families(rows):
    return sorted({re.sub(NUMBER, "#", row.metric) for row in rows})


def of_family(row, family):
    return re.sub(NUMBER, "#", row.metric) == family


def metrics_asked_for(registry, monkeypatch) -> set[str]:
    """What is looked up while the page is built."""
    asked = set()
    look = lesson_data.rows_of

    def rows_of(rows, metric, *words, **parameters):
        asked.add(metric)
        return look(rows, metric, *words, **parameters)

    with monkeypatch.context() as patch:
        patch.setattr(lesson_data, "rows_of", rows_of)
        lesson.build(registry, REPORTS)
    return asked


@pytest.mark.slow
@pytest.mark.parametrize("section, name", USED, ids=IDS)
def test_any_metric_may_be_missing(registry, monkeypatch, alone, section, name):
    """And all rows of any value of a parameter: what is shown then is right."""
    kept = {one: read_rows(REPORTS / one / "data.csv") for one in section.experiments}
    rows = kept[name]
    dropped = [
        (family, lambda row, family=family: of_family(row, family))
        for family in families(rows)
    ] + [
        (f"{key}={value}", lambda row, key=key, value=value: row.get(key) == value)
        for key, value in sorted({p for row in rows for p in row.parameters}, key=repr)
    ]
    dropped += [
        (backend, lambda row, backend=backend: row.backend == backend)
        for backend in sorted({row.backend for row in rows})
    ]
    alone(section)
    asked = metrics_asked_for(registry, monkeypatch)
    # What the section never asks for is not missed: some of that is enough.
    metrics = {re.sub(NUMBER, "#", metric) for metric in asked}
    missed = [one for one in dropped if one[0] in metrics or "=" in one[0]]
    others = [one for one in dropped if one not in missed]
    for what, gone in [*missed, *others[:: max(1, len(others) // 4)]]:
        left = tuple(row for row in rows if not gone(row))

        def lacking(path, left=left):
            one = path.parent.name
            return left if one == name else kept[one]

        monkeypatch.setattr(lesson_data, "read_rows", lacking)
        try:
            built = lesson.build(registry, REPORTS)
        except Exception as error:
            raise AssertionError(f"without {what} of {name}") from error
        check_said(built, name)
        text = read(built.html)
        assert not stray_digits(text), what
        body = next(text.every("section")).text
        assert not re.search(r"\b(nan|None|inf)\b", body), what


def test_a_page_too_large_is_not_written(built, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "LARGEST_BYTES", built.bytes - 1)
    with pytest.raises(ReportError, match=r"has [\d,]+ bytes and may have [\d,]+"):
        lesson.write(built, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(built, tmp_path):
    (tmp_path / "lesson").write_text("a file where the folder should be")
    with pytest.raises(ReportError, match="cannot be written"):
        lesson.write(built, tmp_path)


def test_it_is_stale_until_it_is_written_and_when_data_change(registry, tmp_path):
    reports = partial.linked(tmp_path / "reports")
    assert lesson.is_stale(registry, reports)
    path = lesson.write(lesson.build(registry, reports), reports)
    assert not lesson.is_stale(registry, reports)
    partial.changed(reports, "xor", lambda text: text + "\n")
    assert lesson.is_stale(registry, reports)
    path.write_bytes(b"\xff\xfe no text")
    assert lesson.is_stale(registry, reports)


@pytest.mark.parametrize(
    "payload, text",
    [
        ({"a": 1 / 3}, '{"a":0.3333}'),
        ([123456.7, 2.0, 1e300, -0.0], "[123457,2,1e+300,0]"),
        ([123456789, True, None], "[123456789,true,null]"),
        ([float("nan"), float("inf")], "[null,null]"),
        ({0.1: "</script><!--"}, '{"0.1":"\\u003c/script>\\u003c!--"}'),
        ((1.23456e-7,), "[1.235e-07]"),
    ],
)
def test_payloads_are_small_and_end_no_element(payload, text):
    assert module.compact_json(payload) == text
    json.loads(text)
