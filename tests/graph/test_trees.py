"""The quick way through a known structure: the leaves of optree, or a refusal."""

from __future__ import annotations

from collections import OrderedDict, namedtuple

import optree
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffkit.graph import trees

Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - the plain kind, as users write it
leaf = st.integers(0, 9)
nested = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.sampled_from("zyxab"), inner, max_size=3)
    ),
    max_leaves=12,
)


def collect(tree, like):
    out = []
    trees.collector(optree.tree_structure(like))(tree, out)
    return out


@given(st.tuples(nested, nested))
def test_leaves_and_their_order_are_optrees(tree):
    assert collect(tree, tree) == optree.tree_leaves(tree)


@given(st.tuples(nested), st.tuples(nested))
def test_a_difference_is_seen_or_stands_in_a_leaf_s_place(tree, like):
    if optree.tree_structure(tree) == optree.tree_structure(like):
        return
    try:
        found = collect(tree, like)
    except trees.StructureMismatch:
        return
    assert any(isinstance(x, dict | list | tuple) for x in found)


@pytest.mark.parametrize("odd", [Pair(1, 2), OrderedDict(a=1)])
def test_other_containers_are_left_to_optree(odd):
    with pytest.raises(trees.StructureMismatch):
        collect((odd,), (odd,))
