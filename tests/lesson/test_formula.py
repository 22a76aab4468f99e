"""The walls of text have the operations that were counted, and are the gradient."""

import ast
import math
import operator
import re
from itertools import pairwise

import numpy as np
import pytest

import diffkit as dk
from diffkit import measure
from diffkit.lesson import data
from diffkit.lesson.sections import formula
from diffkit.lesson.wall import BATCH, wall
from tests.lesson.conftest import REPORTS
from tests.lesson.partial import changed, linked


@pytest.fixture(scope="module")
def view(registry):
    return formula.view(data.Data(REPORTS, registry.found))


def python(text: str) -> ast.expr:
    """A right side as an expression; a sum over samples is a call."""
    text = text.replace("^", "**")
    while "sum over b of " in text:
        text = re.sub(r"sum over b of (\w+\[b\]|\w+)", r"total(\1)", text)
        text = text.replace("sum over b of (", "total(")
    return ast.parse(text, mode="eval").body


def operations(text: str) -> int:
    return sum(
        isinstance(node, ast.BinOp | ast.Call) for node in ast.walk(python(text))
    )


def test_both_forms_have_the_operations_of_the_rows(view):
    assert len(view.facts["walls"]) >= 3
    for one, counts in view.facts["walls"]:
        written = sum(operations(line.split(" = ")[1]) for line in one.written_out)
        assert written == float(counts["nested_tree_operations"])
        shared = [line for line in one.lines if re.match(r"v\d+(\[b\])? = ", line)]
        counted = sum(operations(line.split(" = ")[1]) for line in shared)
        assert counted == float(counts["shared_operations"])


def test_written_out_no_name_is_left_and_the_numbers_are_those_of_reverse_mode():
    depth, width = 2, 2
    problem = measure.Network((width,) * (depth + 1) + (1,), batch=BATCH).problem()
    params, x, y = problem.arguments
    names: dict[str, object] = {"x": x, "y": y}
    for place, layer in enumerate(dense := [p for p in params if p]):
        names[f"W{place + 1}"], names[f"B{place + 1}"] = layer["weight"], layer["bias"]
    assert len(dense) == depth + 1
    value, gradient = dk.value_and_grad(problem.function)(params, x, y)
    for line in wall(depth, width).written_out:
        name, right = line.split(" = ")
        assert not re.search(r"\bv\d", right)
        given = value_of(python(right), names)
        if name == "L":
            assert given == pytest.approx(float(value))
            continue
        kind, layer, index = re.fullmatch(r"dL/d([WB])(\d+)\[(.*)\]", name).groups()
        true = [g for g in gradient if g][int(layer) - 1]
        entry = true["weight" if kind == "W" else "bias"]
        assert given == pytest.approx(entry[tuple(map(int, index.split(",")))])


BINARY = {ast.Add: operator.add, ast.Mult: operator.mul, ast.Pow: operator.pow}


def value_of(node: ast.expr, names):
    """The value of an expression of the walls, which has few kinds of nodes."""
    match node:
        case ast.Constant(value):
            return value
        case ast.UnaryOp(ast.USub(), inner):
            return -value_of(inner, names)
        case ast.BinOp(left, kind, right):
            return BINARY[type(kind)](value_of(left, names), value_of(right, names))
        case ast.Call(ast.Name("tanh"), [inner]):
            return np.tanh(value_of(inner, names))
        case ast.Call(ast.Name("total"), [inner]):
            return np.sum(value_of(inner, names))
        case ast.Subscript(ast.Name(name), ast.Tuple(places)):
            return names[name][tuple(value_of(place, names) for place in places)]
        case ast.Subscript(ast.Name(name), place):
            return names[name][value_of(place, names)]
        case ast.Name("b"):
            return slice(None)
    raise AssertionError(ast.unparse(node))


def test_the_curves_are_of_widths_that_were_counted_at_many_depths(view):
    counts = view.payload["counts"]
    widths = {place.split()[1] for place in counts}
    assert widths == {"1", "2", "4", "8"}
    for width in widths:
        found = {
            int(place.split()[0]): pair
            for place, pair in counts.items()
            if place.endswith(f" {width}")
        }
        slopes = {
            (found[b][1] - found[a][1]) / (b - a) for a, b in pairwise(sorted(found))
        }
        assert len(slopes) == 1  # a straight line
        *_, before, last = sorted(found)
        ratio = (found[last][0] / found[before][0]) ** (1 / (last - before))
        assert math.isclose(ratio, max(1, int(width) ** 2), rel_tol=0.35)


def test_a_width_that_lacks_a_depth_is_a_gap(registry, tmp_path):
    reports = linked(tmp_path)

    def without(text: str) -> str:
        start = "expression_growth,network,4,2,"
        kept = [line for line in text.splitlines() if not line.startswith(start)]
        return "\n".join(kept) + "\n"

    changed(reports, "expression_growth", without)
    with pytest.raises(data.GapError, match="width 4") as caught:
        formula.view(data.Data(reports, registry.found))
    assert caught.value.command.startswith("diffkit run expression_growth --")


def test_ticks_stand_apart_and_none_of_a_dozen_is_lost():
    assert formula._ticks(list(range(1, 13))) == tuple(range(1, 13))
    ticks = formula._ticks([1, 2, 3, 4, 5, 7, 10, 15, 20, 29, 40])
    assert ticks == (1, 5, 10, 15, 20, 29, 40)
