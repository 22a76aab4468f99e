"""Sizes of the three forms without making them: exact for networks of any size.

Counts are those of families (`families`), one step for a whole layer. The form
`shared` is counted by the same reverse accumulation that derives it, to the operation.
The written-out derivative is counted by the textbook's rules as they stand, nested,
before any simplification (SymPy's pulls numbers together and distributes them over
sums: a few operations at the loss):

    D(sum) = Σ D(term),   D(f(x₁, ...)) = Σ ∂f/∂xᵢ · D(xᵢ),   D(p) = 1, 1·a = a

With T(v) = operations in D(v) + 1 this is linear: T(v) = Σ (cost of the slope + T(x)).
So what stands above a layer is counted once and composed with what is below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from diffkit.backends.base import Program
from diffkit.backends.symbolic.differentiate import slope_template
from diffkit.backends.symbolic.families import BATCH, NONE, Families, Labels
from diffkit.backends.symbolic.read import batch_sizes
from diffkit.backends.symbolic.rows import Template
from diffkit.backends.symbolic.size import own_operations
from diffkit.backends.symbolic.uniform import NotUniformError, Read, read_uniform
from diffkit.errors import UserInputError
from diffkit.graph import simplify


@dataclass(frozen=True, slots=True)
class Count:
    """The mathematical size of value and gradient in one form (integers, any size)."""

    tree_operations: int
    tree_nodes: int
    shared_operations: int
    shared_nodes: int
    height: int

    @property
    def sharing_ratio(self) -> float:
        """Tree nodes per shared node; infinite past the range of a float."""
        try:
            return self.tree_nodes / max(self.shared_nodes, 1)
        except OverflowError:
            return float("inf")


def count_forms(program: Program) -> dict[str, Count]:
    """Sizes of the forms `expanded`, `cse` and `shared` of a uniform program.

    Uniform: all elements of an array are written alike, as in dense networks of any
    width and depth with a summed or averaged loss. `cse` is the textbook's formula
    with equal parts written once, so its tree is that of `expanded`.

    Raises UserInputError for other programs, naming what is not uniform: derive those
    within a budget, and read `info.details`.
    """
    graph = simplify(program.graph)
    sizes: list[int | None] = [*batch_sizes(graph, program.wrt)]
    reasons: list[str] = []
    for batch in [*sizes, None]:
        try:
            read = read_uniform(graph, program.wrt, batch)
            table = _Table(read.families)
            # The written-out form first: it reads the table of the value alone.
            tree, merged = _written_out(read, table)
            shared = _shared(read, table, batch or 1)
        except NotUniformError as error:
            reasons.append(str(error))
        else:
            return {"expanded": tree, "cse": merged, "shared": shared}
    raise UserInputError(
        "The sizes of this program cannot be counted layer by layer: "
        f"{'; '.join(dict.fromkeys(reasons))}. Derive it with the backend 'symbolic' "
        "within a budget, and read the sizes from info.details."
    )


class _Table:
    """Tree sizes of families as they are appended."""

    def __init__(self, families: Families) -> None:
        self.families = families
        self.operations: list[int] = []
        self.nodes: list[int] = []
        self.heights: list[int] = []
        self._slopes: dict[object, Template] = {}

    def measure(self) -> None:
        """Count the rows that were appended since."""
        families = self.families
        for row in range(len(self.nodes), len(families.heads)):
            operations, nodes, height = self.own(row), 1, 0
            for i, many in families.arguments[row]:
                operations += many * self.operations[i]
                nodes += many * self.nodes[i]
                height = max(height, self.heights[i] + 1)
            self.operations.append(operations)
            self.nodes.append(nodes)
            self.heights.append(height)

    def own(self, row: int) -> int:
        """Operations of one member, not counting those of its arguments."""
        arity = sum(many for _, many in self.families.arguments[row])
        return own_operations(self.families.heads[row], arity)

    def slope(self, row: int, position: int) -> int:
        """The row of ∂row/∂(argument number `position`)."""
        families = self.families
        head, arguments = families.heads[row], families.arguments[row]
        if any(many > 1 for _, many in arguments):
            raise NotUniformError(f"{head} of several members of a family")
        exponent = families.payloads[arguments[1][0]] if head == "power" else None
        key = (head, len(arguments), position, exponent)
        template = self._slopes.get(key)
        if template is None:
            template = slope_template(head, len(arguments), position, exponent)
            self._slopes[key] = template
        return families.replay(template, [i for i, _ in arguments])

    def shared(self, outputs: Sequence[int]) -> tuple[int, int]:
        """Operations and nodes of the rows that the outputs need, all members."""
        families = self.families
        needed = bytearray(max(outputs) + 1)
        for row in outputs:
            needed[row] = 1
        operations = nodes = 0
        for row in range(max(outputs), -1, -1):
            if needed[row]:
                members = families.count(families.labels[row])
                operations += members * self.own(row)
                nodes += members
                for i, _ in families.arguments[row]:
                    needed[i] = 1
        return operations, nodes


# A contribution to a cotangent, how many of it, the labels that it is summed over.
Parts = list[tuple[int, int, Labels]]

# ---- sharing kept throughout --------------------------------------------------------


def _shared(read: Read, table: _Table, batch: int) -> Count:
    families, value = read.families, read.outputs[0]
    gradients = _reverse(families, table, value, set(read.leaves), batch)
    table.measure()
    outputs = [*zip(read.outputs, read.counts, strict=True)]
    for leaf in read.leaves:
        found = gradients.get(leaf)
        row = families.number(0) if found is None else found
        outputs.append((row, families.count(families.labels[leaf])))
    table.measure()
    rows = [row for row, _ in outputs]
    operations, nodes = table.shared(rows)
    return Count(
        tree_operations=sum(table.operations[row] * many for row, many in outputs),
        tree_nodes=sum(table.nodes[row] * many for row, many in outputs),
        shared_operations=operations,
        shared_nodes=nodes,
        height=max(table.heights[row] for row in rows),
    )


def _reaches(families: Families, leaves: set[int]) -> list[bool]:
    reaches = [False] * len(families.heads)
    for row, arguments in enumerate(families.arguments):
        reaches[row] = row in leaves or any(reaches[i] for i, _ in arguments)
    return reaches


def _reverse(
    families: Families, table: _Table, value: int, leaves: set[int], batch: int
) -> dict[int, int]:
    """Rows of ∂value/∂leaf, as `differentiate.reverse` makes them of scalars."""
    reaches = _reaches(families, leaves)
    # row -> contributions from rows of its own kind, and from per-sample rows
    waiting: dict[int, tuple[Parts, Parts]] = {
        value: ([(families.number(1), 1, NONE)], [])
    }
    gradients: dict[int, int] = {}
    for row in range(value, -1, -1):
        contributions = waiting.pop(row, None)
        if contributions is None:
            continue
        direct, summed = contributions
        if summed:
            inside = _join(families, summed)
            over = families.make("batch_sum", [inside, families.number(batch)])
            direct.append((over, 1, NONE))
        cotangent = _join(families, direct)
        if row in leaves:
            gradients[row] = cotangent
            continue
        head, contracted = families.heads[row], families.contracted[row]
        frame = families.labels[row] | contracted
        for position, (argument, many) in enumerate(families.arguments[row]):
            if not reaches[argument]:
                continue
            if head in {"add", "batch_sum"}:
                part = cotangent
            else:
                slope = table.slope(row, position)
                part = families.make("multiply", [cotangent, slope])
            if families.heads[part] == "number" and families.payloads[part] == 0:
                continue
            own = families.labels[argument]
            copies = many // families.count(contracted & own) if many > 1 else 1
            if many > 1 and contracted - own:
                copies = many // families.count(contracted)
            uses = copies * families.count(frame - own)
            parts = waiting.setdefault(argument, ([], []))
            over_batch = BATCH in families.labels[row] and BATCH not in own
            parts[over_batch].append((part, uses, frame - own - {BATCH}))
    return gradients


def _join(families: Families, parts: Sequence[tuple[int, int, Labels]]) -> int:
    over = NONE.union(*(labels for _, _, labels in parts))
    return families.add([(row, many) for row, many, _ in parts], over)


# ---- written out, parameter by parameter ------------------------------------------


@dataclass(slots=True)
class _Derivative:
    """D(v) as a function of D at the start: sizes, for each member that depends on it.

    operations + 1 = a·(operations at the start + 1) + b, and so for nodes; the height
    is the larger of `shift` + the height at the start and `floor`. `pattern` are the
    labels at which only one member depends on the start; `one` says that D(v) is 1.
    `labels` tell the distinct D(v) apart, those of the parameter made negative once
    they are summed over; `merged` counts the operations, and `entries` the nodes, of
    all distinct ones.
    """

    a: int
    b: int
    node_b: int
    shift: int
    floor: int
    pattern: Labels
    one: bool
    labels: Labels
    merged: int = 0
    entries: int = 0


def _written_out(read: Read, table: _Table) -> tuple[Count, Count]:
    families, value = read.families, read.outputs[0]
    reaches = _reaches(families, set(read.leaves))
    users: dict[int, list[int]] = {}
    last = len(families.heads)
    for row in range(last):
        if reaches[row]:
            for i in dict.fromkeys(i for i, _ in families.arguments[row]):
                users.setdefault(i, []).append(row)
    table.measure()
    above: dict[int, _Derivative] = {}
    slopes: set[int] = set()
    outputs = [*zip(read.outputs, read.counts, strict=True)]
    operations = sum(table.operations[row] * many for row, many in outputs)
    nodes = sum(table.nodes[row] * many for row, many in outputs)
    height = max(table.heights[row] for row in read.outputs)
    merged = entries = 0
    for row in range(value, -1, -1):
        if not reaches[row]:
            continue
        leaf = row in read.leaves
        found = _walk(table, users, above, slopes, row, value, leaf)
        if found is None:  # of use to no output that is differentiated
            continue
        if not leaf:
            above[row] = found
            continue
        members = families.count(families.labels[row])
        operations += members * (found.a + found.b - 1)
        nodes += members * (found.a + found.node_b)
        merged += found.merged
        entries += found.entries
        height = max(height, found.shift, found.floor)
    table.measure()
    shared, distinct = table.shared([*read.outputs, *slopes])
    tree = Count(operations, nodes, shared + merged, distinct + entries, height)
    return tree, tree


def _walk(
    table: _Table,
    users: Mapping[int, list[int]],
    above: Mapping[int, _Derivative],
    slopes: set[int],
    start: int,
    value: int,
    leaf: bool,
) -> _Derivative | None:
    """D(value) as a function of D(start), through what is known further above."""
    families = table.families
    own = families.labels[start] - {BATCH}
    pattern, labels = (own, NONE) if leaf else (NONE, own)
    states = {start: _Derivative(1, 0, 0, 0, 0, pattern, leaf, labels)}
    if start == value:
        return states[start]
    merged = entries = 0
    queue: list[int] = []
    pushed: set[int] = set()

    def push(row: int) -> None:
        for user in users.get(row, ()):
            if user <= value and user not in pushed:
                pushed.add(user)
                heappush(queue, user)

    push(start)
    while queue:
        row = heappop(queue)
        state = _derive(table, states, slopes, row)
        merged += state.merged
        entries += state.entries
        states[row] = state
        if row == value:
            state.merged, state.entries = merged, entries
            return state
        known = above.get(row)
        own = families.labels[row] - {BATCH}
        plain = known is not None and not state.pattern and not state.one
        if not queue and known is not None and plain and own <= state.labels:
            times = _members(families, state.labels - own)  # parameters told apart
            return _Derivative(
                a=known.a * state.a,
                b=known.a * state.b + known.b,
                node_b=known.a * state.node_b + known.node_b,
                shift=known.shift + state.shift,
                floor=max(known.floor, known.shift + state.floor),
                pattern=NONE,
                one=False,
                labels=state.labels,
                merged=merged + times * known.merged,
                entries=entries + times * known.entries,
            )
        push(row)
    return None


def _derive(
    table: _Table, states: Mapping[int, _Derivative], slopes: set[int], row: int
) -> _Derivative:
    """D(row) from D of its arguments."""
    families = table.families
    head, contracted = families.heads[row], families.contracted[row]
    joins = head == "add"
    a = b = node_b = many_terms = merged = entries = 0
    shift, floor = 0, 0
    patterns: set[Labels] = set()
    labels: Labels = NONE
    one = False
    for position, (argument, many) in enumerate(families.arguments[row]):
        below = states.get(argument)
        if below is None:
            continue
        terms = many // families.count(contracted & below.pattern)
        varies = below.labels
        cost = slope_nodes = step = slope_height = 0
        if head == "batch_sum":
            cost, slope_nodes, step = 1, 2, 1  # the sum, and the number of samples
            if below.one:
                raise NotUniformError("a derivative that is a plain number")
            copies = _members(families, varies)
            merged, entries = merged + copies, entries + copies
        elif not joins:
            slope = table.slope(row, position)
            table.measure()
            slopes.add(slope)
            if families.heads[slope] == "number" and families.payloads[slope] == 0:
                continue
            slope_height = table.heights[slope]
            varies = varies | (families.labels[slope] - {BATCH})
            cost = table.operations[slope]
            slope_nodes = table.nodes[slope]
            if below.one:
                slope_nodes -= 1  # 1·a = a: no product, and no 1
            else:
                cost, slope_nodes, step = cost + 1, slope_nodes + 1, 1
                copies = _members(families, varies)
                merged, entries = merged + copies, entries + copies
        held = varies & contracted & below.pattern
        labels |= (varies - contracted) | {-label for label in held}
        a += terms * below.a
        b += terms * (below.b + cost)
        node_b += terms * (below.node_b + slope_nodes)
        many_terms += terms
        shift = max(shift, below.shift + step)
        floor = max(floor, below.floor + step, slope_height + step)
        patterns.add(below.pattern - contracted)
        one = joins and below.one and terms == 1
    if len(patterns) > 1:
        raise NotUniformError(f"{head} meets a parameter twice, in different members")
    if not patterns:
        raise NotUniformError(f"{head} has slope 0")
    if many_terms > 1:
        below = [states[i] for i, _ in families.arguments[row] if i in states]
        if joins and any(state.one for state in below):
            raise NotUniformError("a derivative that is a plain number")
        one = False
        node_b, shift, floor = node_b + 1, shift + 1, floor + 1
        copies = _members(families, labels)
        merged, entries = merged + copies * (many_terms - 1), entries + copies
    (pattern,) = patterns
    return _Derivative(
        a, b, node_b, shift, floor, pattern, one, labels, merged, entries
    )


def _members(families: Families, labels: Labels) -> int:
    return families.count(abs(label) for label in labels)
