"""The written-out derivative, counted by the textbook's rules, nested, as they stand.

Before any simplification (SymPy's pulls numbers together and distributes them over
sums: a few operations at the loss):

    D(sum) = Σ D(term),   D(f(x₁, ...)) = Σ ∂f/∂xᵢ · D(xᵢ),   D(p) = 1, 1·a = a

With T(v) = operations in D(v) + 1 this is linear: T(v) = Σ (cost of the slope + T(x)).
So what stands above a layer is counted once and composed with what is below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

from diffkit.backends.symbolic.count_families import Table, reaches
from diffkit.backends.symbolic.families import BATCH, NONE, Families, Labels
from diffkit.backends.symbolic.size import Count
from diffkit.backends.symbolic.uniform import NotUniformError, Read


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


def count_expanded(read: Read, table: Table) -> Count:
    """The size of value and gradient written out parameter by parameter.

    The shared counts are those of the same formula with equal parts written once.
    """
    families, value = read.families, read.outputs[0]
    reached = reaches(families, set(read.leaves))
    users: dict[int, list[int]] = {}
    last = len(families.heads)
    for row in range(last):
        if reached[row]:
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
        if not reached[row]:
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
    return Count(operations, nodes, shared + merged, distinct + entries, height)


def _walk(
    table: Table,
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
    table: Table, states: Mapping[int, _Derivative], slopes: set[int], row: int
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
