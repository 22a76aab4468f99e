"""The rooms of the design, held by reading every import in the package.

A room may import rooms of earlier rows only; rooms in one row are siblings and never
import each other. Imports stand at the top of a file, never inside a function.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "diffkit"

# Lower rows import from the rows above them.
ROWS = (
    ("errors", "files"),
    ("ops", "rules"),
    ("graph",),
    ("interpret", "engine", "functions"),
    ("backends",),
    ("tracing",),
    ("prepared",),
    ("transform",),
    ("checks", "nn", "losses", "optim", "train"),
    ("testing",),
    ("measure",),
    ("report",),
    ("lesson",),
    ("cli",),
)
RANK = {room: rank for rank, row in enumerate(ROWS) for room in row}

# Three files load code by name while they run. The registry loads a backend when it is
# asked for, so that `import diffkit` stays light; peers load their library when they
# are used, so that they can be described without it; the third loads what users name.
LOADS_BY_NAME = {
    "diffkit.backends.peers.library",
    "diffkit.backends.registry",
    "diffkit.measure.user_code",
}
# Generated source is compiled in one file only.
COMPILES_SOURCE = {"diffkit.backends.symbolic.source"}
# The command line speaks to the package as its users do.
USES_THE_PACKAGE_ITSELF = "cli"
LOADERS = {"import_module", "__import__", "exec_module"}
PICKLES = {"pickle", "dill", "cloudpickle", "marshal", "shelve"}
HEAVY = ("numba", "sympy", "pandas", "matplotlib", "scipy")

Sources = dict[str, str]


def package_sources() -> Sources:
    """Source text of every module of the package, by dotted name."""
    sources = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        sources[name + (".__init__" if is_package else "")] = path.read_text("utf-8")
    return sources


def module_name(key: str) -> str:
    return key.removesuffix(".__init__")


def room_of(name: str) -> str:
    """The room of a dotted module name: its second part."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def imported(key: str, tree: ast.Module, known: set[str]) -> Iterator[tuple[str, int]]:
    """Names under ``diffkit`` that a module imports, resolved, with their lines."""
    package = key.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "diffkit":
                    yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                origin = ".".join([*base, *([node.module] if node.module else [])])
            else:
                origin = node.module or ""
            if origin.split(".")[0] != "diffkit":
                continue
            for alias in node.names:
                below = f"{origin}.{alias.name}"
                is_room = origin == "diffkit" and alias.name in RANK
                yield (below if below in known or is_room else origin), node.lineno


def calls(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Functions called: bare names, and the loaders of importlib as attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id, node.lineno
            elif isinstance(node.func, ast.Attribute) and node.func.attr in LOADERS:
                yield node.func.attr, node.lineno


def imports_inside_functions(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    yield inner.lineno


def cycles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Every cycle found by a depth-first walk, iteratively."""
    found: list[list[str]] = []
    done: set[str] = set()
    for start in sorted(edges):
        path: list[str] = []
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                path.pop()
                done.add(name)
            elif name in path:
                found.append([*path[path.index(name) :], name])
            elif name not in done:
                path.append(name)
                stack.append((name, True))
                stack.extend((below, False) for below in sorted(edges.get(name, ())))
    return found


def violations(sources: Sources) -> list[str]:
    """Everything in ``sources`` that the design forbids, one sentence each."""
    wrong: list[str] = []
    known = {module_name(key) for key in sources}
    edges: dict[str, set[str]] = {}
    for key, text in sources.items():
        name, tree = module_name(key), ast.parse(text)
        room = room_of(name)
        if room and room not in RANK and not room.startswith("cli_"):
            wrong.append(f"{name}: '{room}' is not a room of the design")
            continue
        room = "cli" if room.startswith("cli_") else room
        for target, line in imported(key, tree, known):
            where, other = f"{name}:{line}", room_of(target)
            other = "cli" if other.startswith("cli_") else other
            if target in known and target != name:
                edges.setdefault(name, set()).add(target)
            if not room:
                continue
            if not other:
                if room != USES_THE_PACKAGE_ITSELF:
                    wrong.append(f"{where} imports the package itself: name the room")
            elif other != room and RANK.get(other, 99) >= RANK[room]:
                relation = "sibling" if RANK.get(other) == RANK[room] else "later room"
                wrong.append(f"{where} imports '{other}', a {relation} of '{room}'")
        wrong.extend(
            f"{name}:{line} imports inside a function"
            for line in imports_inside_functions(tree)
        )
        for function, line in calls(tree):
            if function == "eval":
                wrong.append(f"{name}:{line} calls eval")
            elif function == "exec" and name not in COMPILES_SOURCE:
                wrong.append(f"{name}:{line} calls exec")
            elif function in LOADERS and name not in LOADS_BY_NAME:
                wrong.append(f"{name}:{line} loads code by name")
        wrong.extend(
            f"{name}:{node.lineno} uses pickle"
            for node in ast.walk(tree)
            if (isinstance(node, ast.Import) and {a.name for a in node.names} & PICKLES)
            or (isinstance(node, ast.ImportFrom) and node.module in PICKLES)
        )
    wrong.extend("cycle: " + " → ".join(cycle) for cycle in cycles(edges))
    return wrong


def test_the_package_keeps_the_order_of_its_rooms():
    assert violations(package_sources()) == []


@pytest.mark.parametrize(
    "key, source, said",
    [
        ("diffkit.ops.op", "from diffkit.graph import node", "a later room of 'ops'"),
        ("diffkit.ops.op", "from ..graph.node import Node", "a later room of 'ops'"),
        ("diffkit.ops.op", "from diffkit import engine", "a later room of 'ops'"),
        ("diffkit.nn.a", "import diffkit.optim.adam", "a sibling of 'nn'"),
        ("diffkit.interpret.a", "import diffkit.engine.b", "a sibling of 'interpret'"),
        ("diffkit.nn.a", "import diffkit as dk", "imports the package itself"),
        ("diffkit.shed.a", "x = 1", "'shed' is not a room"),
        ("diffkit.ops.a", "def f():\n    import os", "imports inside a function"),
        ("diffkit.ops.a", "y = eval('1')", "calls eval"),
        ("diffkit.ops.a", "exec('y = 1')", "calls exec"),
        ("diffkit.ops.a", "import pickle", "uses pickle"),
        ("diffkit.ops.a", "from pickle import loads", "uses pickle"),
        ("diffkit.ops.a", "import importlib\nimportlib.import_module('os')", "by name"),
    ],
)
def test_the_reader_catches_a_planted_violation(key, source, said):
    found = violations({key: source})
    assert len(found) == 1
    assert said in found[0]


def test_the_reader_catches_a_planted_cycle():
    found = violations(
        {
            "diffkit.ops.a": "from diffkit.ops import b",
            "diffkit.ops.b": "from .c import x",
            "diffkit.ops.c": "import diffkit.ops.a",
        }
    )
    assert found == [
        "cycle: diffkit.ops.a → diffkit.ops.b → diffkit.ops.c → diffkit.ops.a"
    ]


@pytest.mark.parametrize(
    "key, source",
    [
        ("diffkit.graph.a", "from diffkit.ops import TABLE"),
        ("diffkit.cli", "import diffkit as dk\nfrom diffkit import report"),
        ("diffkit.backends.registry", "import importlib\nimportlib.import_module('a')"),
        ("diffkit.backends.symbolic.source", "exec(compile('', '', 'exec'))"),
        ("diffkit.engine.a", "machine.eval(x)"),
    ],
)
def test_the_reader_lets_pass_what_is_allowed(key, source):
    assert violations({key: source}) == []


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, diffkit; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "EAGER_IMPORT": ""},
    )
    assert done.stdout.strip() == "[]"
