"""The form `shared`, counted by the same reverse accumulation that derives it."""

from __future__ import annotations

from collections.abc import Sequence

from diffkit.backends.symbolic.count_families import Table, reaches
from diffkit.backends.symbolic.families import BATCH, NONE, Families, Labels
from diffkit.backends.symbolic.size import Count
from diffkit.backends.symbolic.uniform import Read

# A contribution to a cotangent, how many of it, the labels that it is summed over.
Parts = list[tuple[int, int, Labels]]


def count_shared(read: Read, table: Table, batch: int) -> Count:
    """The size of value and gradient with every intermediate named."""
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


def _reverse(
    families: Families, table: Table, value: int, leaves: set[int], batch: int
) -> dict[int, int]:
    """Rows of ∂value/∂leaf, as `differentiate.reverse` makes them of scalars."""
    reached = reaches(families, leaves)
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
            if not reached[argument]:
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
