"""A drawn network: nodes with a value and a cotangent, edges with a weight.

Every text that a step of a player makes known carries the place of that step
(``data-at``), so that the script can show what is known so far; without script all of
it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

#: Half the width and half the height of a node.
HALF_WIDTH, HALF_HEIGHT = 52, 34


@dataclass(frozen=True, slots=True)
class Said:
    """A text, and the place of the step from which on it is known."""

    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Node:
    """A box around (x, y): its name, its value, and the cotangent that arrives."""

    name: str
    x: float
    y: float
    value: Said
    cotangent: Said | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """A line between two points, and a label at a share of the way.

    ``key`` is what the script calls it; an edge without one cannot be picked. ``lift``
    moves the label up, in pixels.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    key: str = ""
    name: str = ""
    weight: str = ""
    cotangent: Said | None = None
    share: float = 0.5
    lift: float = 0.0


def draw(
    name: str,
    title: str,
    nodes: Sequence[Node],
    edges: Sequence[Edge],
    *,
    width: int,
    height: int,
) -> Markup:
    """The network as an ``<svg>`` called ``name`` whose title says what to see."""
    parts = [
        *(_line(edge) for edge in edges),
        *(_label(edge) for edge in edges if edge.weight),
        *(_node(node) for node in nodes),
    ]
    return Markup(
        f'<svg class="network" id="{name}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="{name}-title"><title id="{name}-title">{escape(title)}'
        f"</title>{''.join(parts)}</svg>"
    )


def _line(edge: Edge) -> str:
    (x, y), (u, v) = edge.start, edge.end
    path = f"M{x:g} {y:g}L{u:g} {v:g}"
    if not edge.key:
        return f'<path class="wire" d="{path}"/>'
    # The wide line is what a mouse can hit.
    return (
        f'<g class="pick" data-edge="{edge.key}"><path class="hit" d="{path}"/>'
        f'<path class="wire" d="{path}"/></g>'
    )


def _label(edge: Edge) -> str:
    (x, y), (u, v) = edge.start, edge.end
    at = x + edge.share * (u - x)
    up = y + edge.share * (v - y) - edge.lift
    return (
        f'<g class="pick" data-edge="{edge.key}">'
        f"{_text('weight', at, up, f'{edge.name} = {edge.weight}')}"
        f"{_known('back', at, up + 15, edge.cotangent, '∂ ')}</g>"
    )


def _node(node: Node) -> str:
    left, top = node.x - HALF_WIDTH, node.y - HALF_HEIGHT
    return (
        f'<g class="node"><rect x="{left:g}" y="{top:g}" width="{2 * HALF_WIDTH}" '
        f'height="{2 * HALF_HEIGHT}" rx="8"/>'
        f"{_text('name', node.x, node.y - 14, node.name)}"
        f"{_known('forth', node.x, node.y + 6, node.value, '')}"
        f"{_known('back', node.x, node.y + 25, node.cotangent, '← ')}</g>"
    )


def _text(kind: str, x: float, y: float, text: str, more: str = "") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}"{more}>{escape(text)}</text>'


def _known(kind: str, x: float, y: float, said: Said | None, mark: str) -> str:
    if said is None:
        return ""
    return _text(kind, x, y, mark + said.text, f' data-at="{said.at}"')
