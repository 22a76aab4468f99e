"""Formulas for people: compiled C and run Python give the gradient; markup is sound."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser

from diffkit import cli
from diffkit.backends.base import Program
from diffkit.backends.symbolic import LANGUAGES, formula
from diffkit.backends.symbolic.formula_lines import identifiers
from diffkit.errors import ExpressionBudgetError, UnknownNameError, UserInputError
from diffkit.graph import reverse
from diffkit.interpret.numpy import evaluate
from diffkit.ops import TABLE
from tests.backends.read_mathml import Reader, text_of
from tests.backends.test_symbolic import BATCH, PROGRAMS, program_of
from tests.cases import mlp

R = np.random.default_rng(3)
W, X = R.normal(size=(3, 4)), R.normal(size=(BATCH, 3))


def elementwise() -> dict[str, tuple[Any, tuple[Any, ...]]]:
    made: dict[str, tuple[Any, tuple[Any, ...]]] = {}
    for op in TABLE.values():
        if op.family != "elementwise":
            continue
        rng = np.random.default_rng(5)
        points = [domain.sample(rng, (BATCH, 2)) for domain in op.domain]
        data = rng.normal(size=(BATCH, 2))

        def f(p: Any, x: Any, op: Any = op) -> Any:
            y = op(x > 0, p[1] * x, p[2] + x)
            return np.sum(y)

        def g(p: Any, x: Any, op: Any = op) -> Any:
            y = op(*[q + 0.0 * x for q in p])
            if op.kind == "boolean":
                return np.sum(np.where(y, 1.0, 0.5) * x)
            return np.sum(y)

        params = [point[0] for point in points]
        made[f"op {op.name}"] = (f if op.name == "where" else g, (params, data))
    return made


ALL = {name: (f, (W, X)) for name, (f, _) in PROGRAMS.items()} | elementwise()
ALL["network"] = mlp([3, 4, 2], batch=6)


def programs() -> dict[str, tuple[Program, list[np.ndarray], list[np.ndarray]]]:
    found = {}
    for name, (f, args) in ALL.items():
        program, leaves = program_of(f, args)
        count = 1 + len(program.wrt)
        truth = evaluate(reverse(program.graph, program.wrt), leaves)[:count]
        found[name] = (program, leaves, truth)
    return found


def agree(found: list[Any], truth: list[np.ndarray], name: str) -> None:
    assert len(found) == len(truth)
    for have, want in zip(found, truth, strict=True):
        scale = max(1.0, float(np.max(np.abs(want), initial=0.0)))
        np.testing.assert_allclose(
            have, want, rtol=1e-10, atol=1e-10 * scale, err_msg=name
        )


@pytest.mark.parametrize("batch", ["auto", "written_out"])
def test_python_source_gives_the_gradient(batch: str) -> None:
    for name, (program, leaves, truth) in programs().items():
        source = formula(program, language="python", batch=batch)
        namespace: dict[str, Any] = {}
        exec(source, namespace)  # noqa: S102
        found = namespace["gradient"](*leaves)
        agree(list(found), truth, name)


SOME = ("network", "net", "max", "cross entropy by index", "op power")
EVERY = pytest.param(tuple(ALL), marks=pytest.mark.slow, id="every program")
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


@needs_gcc
def test_c_source_of_some_programs_gives_the_gradient(tmp_path: Path) -> None:
    made = programs()
    assert_c_gives_the_gradient({n: made[n] for n in SOME}, "auto", tmp_path)


@needs_gcc
@pytest.mark.slow
@pytest.mark.parametrize("batch", ["auto", "written_out"])
def test_c_source_of_every_program_gives_the_gradient(
    batch: str, tmp_path: Path
) -> None:
    assert_c_gives_the_gradient(programs(), batch, tmp_path)


def assert_c_gives_the_gradient(
    made: dict[str, tuple[Program, list[np.ndarray], list[np.ndarray]]],
    batch: str,
    tmp_path: Path,
) -> None:
    """Compiled without a warning, and run against reverse mode on NumPy."""
    files = []
    for place, (program, _, _) in enumerate(made.values()):
        source = formula(program, language="c", batch=batch)
        file = tmp_path / f"f{place}.c"
        file.write_text(source.replace("double gradient(", f"double gradient{place}("))
        files.append(str(file))
    library = tmp_path / "formulas.so"
    command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Wno-unused-parameter"]
    command += ["-Werror", "-O0", "-fPIC", "-shared", "-o", str(library), *files, "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    loaded = ctypes.CDLL(str(library))
    for place, (name, (program, leaves, truth)) in enumerate(made.items()):
        function = getattr(loaded, f"gradient{place}")
        function.restype = ctypes.c_double
        inputs = [np.ascontiguousarray(leaf, np.float64) for leaf in leaves]
        outputs = [np.full(leaves[p].shape, np.nan) for p in program.wrt]
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in inputs + outputs]
        value = function(*pointers)
        agree([value, *outputs], truth, name)


def balanced(text: str) -> bool:
    depth = 0
    for character in re.sub(r"\\[{}]", "", text):
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0


def test_markup_is_well_formed() -> None:
    for name, (program, _, _) in programs().items():
        text = formula(program, language="latex")
        assert text.startswith("\\begin{align*}\n"), name
        assert text.endswith("\\end{align*}\n"), name
        assert balanced(text), name
        assert text.count(r"\left") == text.count(r"\right"), name
        assert text.count(r"\begin") == text.count(r"\end"), name
        for line in text.splitlines()[1:-2]:
            assert line.endswith("\\\\"), name
        root = ET.fromstring(formula(program, language="mathml"))
        (table,) = root
        plain = formula(program, language="text").splitlines()
        assert all(row.tag.endswith("mtr") for row in table)
        if "k0" not in plain[0]:
            assert len(table) == len(plain), name


@pytest.mark.parametrize(
    "batch", ["auto", pytest.param("written_out", marks=pytest.mark.slow)]
)
def test_mathml_means_the_gradient(batch: str) -> None:
    for name, (program, leaves, truth) in programs().items():
        source = formula(program, language="mathml", batch=batch)
        inputs = dict(zip(identifiers(program.names), leaves, strict=True))
        reader = Reader(inputs)
        with np.errstate(all="ignore"):
            found = [reader.run(source)]
        for p in program.wrt:
            entries = reader.derivatives[identifiers(program.names)[p]]
            places = list(np.ndindex(leaves[p].shape))
            assert list(entries) == places, name
            flat = [entries[place] for place in places]
            found.append(np.reshape(flat, leaves[p].shape))
        agree(found, truth, name)


CASES = re.compile(
    r"\\begin{cases} (.*) & \\text{if } (.*) \\\\ (.*) & \\text{otherwise} "
    r"\\end{cases}"
)
LATEX_SYMBOL = re.compile(r"(?<![\\A-Za-z])(?:\\mathrm{([^}]*)}|([A-Za-z]))_{([^{}]*)}")


def latex_symbols(line: str) -> list[tuple[str, str]]:
    line = re.sub(r"\\sum_{b=1}\^{[0-9]+}|\\log_2", "", line)
    line = CASES.sub(r"\1 \2 \3", line)  # as they are read
    found = LATEX_SYMBOL.findall(line.replace("&", ""))
    return [(a.replace(r"\_", "_") or b, index) for a, b, index in found]


def mathml_symbols(row: ET.Element) -> list[tuple[str, str]]:
    return [
        (text_of(node[0]), text_of(node[1]))
        for node in row.iter()
        if node.tag.endswith("}msub")
    ]


@pytest.mark.parametrize("names", [SOME, EVERY])
def test_latex_is_set_line_by_line_and_says_what_mathml_says(
    names: tuple[str, ...],
) -> None:
    """Each line is parsed by mathtext, which refuses what TeX would refuse."""
    parser = MathTextParser("path")
    seen: set[str] = set()  # but for their numbers
    made = programs()
    for name in names:
        program = made[name][0]
        source = formula(program, language="latex")
        lines = [line.removesuffix(r" \\") for line in source.splitlines()[1:-1]]
        (table,) = ET.fromstring(formula(program, language="mathml"))
        assert len(lines) == len(table), name
        for line, row in zip(lines, table, strict=True):
            assert latex_symbols(line) == mathml_symbols(row), (name, line)
            left, right = line.split(" &= ")
            cases = CASES.fullmatch(right)
            for part in [left, *(cases.groups() if cases else [right])]:
                alike = re.sub("[0-9]+", "1", part)
                if alike not in seen:
                    seen.add(alike)
                    parser.parse(f"${part}$")


def test_mathtext_refuses_broken_markup() -> None:
    for broken in (r"\frac{1}", r"\left(x", r"{x", r"x^", r"\operatornam{x}"):
        with pytest.raises(ValueError):  # noqa: PT011
            MathTextParser("path").parse(f"${broken}$")


def test_an_input_is_never_taken_for_an_intermediate() -> None:
    """v_1 of an input named v and line 1 would look alike in LaTeX."""
    source = formula(lambda v: np.sum(np.sin(v) * v), [W[0]], language="mathml")
    (table,) = ET.fromstring(source)
    lefts = [mathml_symbols(row)[:1] for row in table]
    assert [("v", "1")] in lefts
    assert ("v_", "1") in [pair for row in table for pair in mathml_symbols(row)]


def test_one_named_intermediate_a_line() -> None:
    f, args = ALL["network"]
    lines = formula(f, args, language="text").splitlines()
    names = [line.split(" = ")[0] for line in lines]
    assert len(set(names)) == len(names)
    assert lines[0] == "v1[b] = params_0_w[0,0]*x[b,0]"
    assert sum(name.startswith("dL/d") for name in names) == 3 * 4 + 4 + 4 * 2 + 2
    for line in lines:  # one operation: never a product inside a sum
        assert not ("*" in line and " + " in line)


def test_names_in_formulas_are_plain_and_distinct() -> None:
    wild = ['__import__("os")', "for", "exp", "σ", "v3", "x", "x"]
    made = identifiers(wild)
    assert len(set(made)) == len(made)
    assert all(re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) for name in made)
    program, _ = program_of(lambda w, x: np.sum(x @ w), (W, X))
    renamed = Program(program.graph, program.wrt, tuple(wild[:2]), program.dtype)
    for language in LANGUAGES:
        assert '("os")' not in formula(renamed, language=language)


def test_what_cannot_be_written_is_refused() -> None:
    f, args = ALL["network"]
    with pytest.raises(UnknownNameError, match="Did you mean 'latex'"):
        formula(f, args, language="latx")
    with pytest.raises(ExpressionBudgetError, match="not for people") as caught:
        formula(f, args, max_operations=100)
    assert caught.value.limit == 100
    with pytest.raises(UserInputError, match="argnums=3"):
        formula(f, args, argnums=3)
    with pytest.raises(UserInputError, match="scalar"):
        formula(lambda w: w * 2, [W])


USER = """
import numpy as np

def loss(w, x):
    return np.mean(np.tanh(x @ w) ** 2)

loss.example_args = (np.ones((2, 1)), np.ones((3, 2)))
"""


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_command_writes_the_formula_of_a_users_function(
    language: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(USER)
    assert cli.main(["formula", "mine.py:loss", "--language", language]) == 0
    shown = capsys.readouterr().out
    assert {"latex": "w_{0,0}", "mathml": "<math", "text": "dL/dw[1,0]"}.get(
        language, "gradient_w"
    ) in shown
    file = tmp_path / "formula.txt"
    words = ["formula", "mine.py:loss", "--language", language, "--output", str(file)]
    assert cli.main(words) == 0
    assert file.read_text("utf-8") == shown
    words[-1] = str(tmp_path / "no" / "such" / "folder")
    assert cli.main(words) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert cli.main(["formula", "mine.py:loss", "--language", "basic"]) == 2
    assert cli.main(["formula", "mine.py:np"]) == 2
