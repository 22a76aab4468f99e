"""The recorded network of two ReLU units A and B: its names, numbers and drawing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from markupsafe import Markup, escape

from diffkit.lesson.data import Measured, Number, short
from diffkit.lesson.network import HALF_HEIGHT, HALF_WIDTH, Edge, Node, Said, draw

UNITS = "AB"
#: An entry of the parameters -> its symbol here and what it joins.
ENTRIES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "W1_0": ("w_1^A", "from the first input to unit A"),
        "W1_2": ("w_2^A", "from the second input to unit A"),
        "W1_1": ("w_1^B", "from the first input to unit B"),
        "W1_3": ("w_2^B", "from the second input to unit B"),
        "b1_0": ("b_1^A", "the bias of unit A"),
        "b1_1": ("b_1^B", "the bias of unit B"),
        "W2_0": ("v^A", "from unit A to the output"),
        "W2_1": ("v^B", "from unit B to the output"),
        "b2_0": ("b_2", "the bias of the output"),
    }
)
#: What the steps of the player make known, in order: values, then derivatives.
FORTH = ("x", "z1A", "z1B", "a1A", "a1B", "z2", "yhat", "L")
BACK = ("L", "yhat", "z2", "2", "a1A", "a1B", "z1A", "z1B", "1A", "1B")
#: Columns and rows of the drawing.
_COLUMNS = {"x": 58, "z1": 296, "a1": 430, "z2": 626, "yhat": 760, "L": 894}
_ROWS, _MIDDLE, _WIDTH, _HEIGHT = (105, 315), 210, 952, 420
_LEFT = {name: x - HALF_WIDTH for name, x in _COLUMNS.items()}
_RIGHT = {name: x + HALF_WIDTH for name, x in _COLUMNS.items()}
#: How far from the middle of a node its bias stands.
_STUB = HALF_HEIGHT + 30


class Trace:
    """Values and derivatives of `backward_trace`, as reverse mode recorded them."""

    def __init__(self, rows: Measured) -> None:
        self._rows = rows

    def value(self, name: str, place: int = 0) -> Number:
        """An entry of a stage or of a parameter."""
        return self._one(f"{name}_value", place)

    def back(self, name: str, place: int = 0) -> Number:
        """The loss's derivative by it."""
        return self._one(f"{name}_cotangent_value", place)

    def local(self, name: str, place: int = 0) -> Number:
        """An entry of the derivative of a stage by the stage before, row by row."""
        return self._one(f"{name}_local_value", place)

    def label(self) -> Number:
        """What the output should be."""
        return self._rows.number("y_value", "autodiff", words=short, part="trace")

    def _one(self, metric: str, place: int) -> Number:
        return self._rows.number(
            metric, "autodiff", sample=place, words=short, part="trace"
        )


def symbol(text: str) -> Markup:
    """A name such as ``z_1^A`` or ``b_2`` in mathematics.

    >>> print(symbol("v^A"))
    <math><msup><mi>v</mi><mi>A</mi></msup></math>
    """
    rest, _, unit = text.partition("^")
    base, _, low = rest.partition("_")
    inner = f"<mi>{escape(base)}</mi>"
    inner += f"<mn>{escape(low)}</mn>" if low else ""
    inner += f"<mi>{escape(unit)}</mi>" if unit else ""
    if low or unit:
        kind = "m" + ("sub" if low else "") + ("sup" if unit else "")
        inner = f"<{kind}>{inner}</{kind}>"
    return Markup(f"<math>{inner}</math>")


def plain(text: str) -> str:
    """The same name in characters, for the drawing.

    >>> plain("w_1^A"), plain("v^B")
    ('w₁ᴬ', 'vᴮ')
    """
    small = str.maketrans({"_": "", "^": "", "1": "₁", "2": "₂", "A": "ᴬ", "B": "ᴮ"})
    return text.translate(small)


def drawing(trace: Trace) -> Markup:
    """The network with every value and, below it, the loss's derivative by it."""
    nodes = [_node(trace, f"x_{i + 1}", "x", i) for i in range(len(_ROWS))]
    nodes += [
        _node(trace, f"{stage[0]}_1^{letter}", stage, unit, letter)
        for stage in ("z1", "a1")
        for unit, letter in enumerate(UNITS)
    ]
    nodes += [
        _node(trace, name, stage, None)
        for name, stage in (("z_2", "z2"), ("ŷ", "yhat"), ("loss L", "L"))
    ]
    return draw(
        "backward-network",
        "The network with its values and, below them, the derivative of the loss by "
        "each of them",
        nodes,
        list(_edges(trace)),
        width=_WIDTH,
        height=_HEIGHT,
    )


def _node(
    trace: Trace, name: str, stage: str, row: int | None, letter: str = ""
) -> Node:
    place = row or 0
    step = f"{stage}{letter}"
    value = Said(str(trace.value(stage, place)), FORTH.index(step))
    back = None
    if step in BACK:
        back = Said(str(trace.back(stage, place)), _known(step))
    y = _MIDDLE if row is None else _ROWS[row]
    return Node(plain(name), _COLUMNS[stage], y, value, back)


def _known(step: str) -> int:
    """The place of the step at which a derivative becomes known."""
    return len(FORTH) + BACK.index(step)


def _edges(trace: Trace) -> Iterator[Edge]:
    for unit, (letter, y) in enumerate(zip(UNITS, _ROWS, strict=True)):
        down = 1 if unit else -1
        for place, from_y in enumerate(_ROWS):
            # Labels of crossing edges stand before the crossing.
            share, lift = (0.5, -20 * down - 4) if place == unit else (0.24, 4)
            start, end = (_RIGHT["x"], from_y), (_LEFT["z1"], y)
            key = f"W1_{2 * place + unit}"
            yield _weighted(trace, key, start, end, f"1{letter}", share, lift)
        at = _COLUMNS["z1"]
        start, end = (at, y + down * _STUB), (at, y)
        yield _weighted(trace, f"b1_{unit}", start, end, f"1{letter}", 0, 3 - 15 * down)
        yield Edge((_RIGHT["z1"], y), (_LEFT["a1"], y))
        start, end = (_RIGHT["a1"], y), (_LEFT["z2"], _MIDDLE)
        yield _weighted(trace, f"W2_{unit}", start, end, "2", 0.5, -35 * down)
    at = _COLUMNS["z2"]
    start, end = (at, _MIDDLE - _STUB), (at, _MIDDLE)
    yield _weighted(trace, "b2_0", start, end, "2", 0, 18)
    yield Edge((_RIGHT["z2"], _MIDDLE), (_LEFT["yhat"], _MIDDLE))
    yield Edge((_RIGHT["yhat"], _MIDDLE), (_LEFT["L"], _MIDDLE))


def _weighted(
    trace: Trace,
    key: str,
    start: tuple[float, float],
    end: tuple[float, float],
    step: str,
    share: float,
    lift: float,
) -> Edge:
    name, _, entry = key.partition("_")
    place = int(entry)
    return Edge(
        start,
        end,
        key,
        plain(ENTRIES[key][0]),
        str(trace.value(name, place)),
        Said(str(trace.back(name, place)), _known(step)),
        share,
        lift,
    )
