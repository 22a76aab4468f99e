"""The quick way through a known structure: its leaves, or a refusal."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple

import optree
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffkit.graph import trees

Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - the plain kind, as users write it
Containers = dict | list | tuple | None
leaf = st.integers(0, 9)
nested = st.recursive(
    leaf | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.sampled_from("zyxab"), inner, max_size=3)
    ),
    max_leaves=12,
)


def collect(tree, like):
    return trees.collector(optree.tree_structure(like))(tree)


@given(st.tuples(nested, nested))
def test_leaves_and_their_order_are_optrees(tree):
    assert collect(tree, tree) == optree.tree_leaves(tree)


@given(st.tuples(nested), st.tuples(nested))
def test_a_difference_is_seen_or_stands_in_a_leaf_s_place(tree, like):
    if optree.tree_structure(tree) == optree.tree_structure(like):
        return
    try:
        found = collect(tree, like)
    except ValueError:
        return
    assert any(isinstance(x, Containers) for x in found)


@pytest.mark.parametrize("odd", [Pair(1, 2), OrderedDict(b=1, a=2)])
def test_other_containers_are_taken_apart_too(odd):
    assert collect((odd, 3), (odd, 3)) == optree.tree_leaves((odd, 3))


def test_dicts_of_all_kinds_go_by_their_keys():
    for kind in (OrderedDict(b=1, a=2), defaultdict(int, b=1, a=2)):
        assert collect((kind, 3), ({"a": 0, "b": 0}, 0)) == [2, 1, 3]


@pytest.mark.parametrize(
    "given, like",
    [
        ((1,), ({"a": 1},)),
        (({"a": 1, "b": 2},), ({"a": 1, "c": 2},)),
        (([1],), ((1,),)),
        ((Pair(1, 2),), ((1, 2),)),
        ((1, 2), (1, 2, 3)),
        (({"a": [1]},), ({"a": []},)),
        ((0,), (None,)),
    ],
)
def test_another_structure_is_refused(given, like):
    with pytest.raises(ValueError, match=r"Expected|expected"):
        collect(given, like)


@given(nested)
def test_nesting_undoes_collecting(tree):
    leaves, spec = trees.flatten(tree)
    assert trees.nester(spec)(leaves) == tree


def test_a_tuple_of_structures_is_the_structure_of_the_tuple():
    parts = ({"a": [1]}, 2, None)
    specs = [trees.structure(part) for part in parts]
    assert trees.tuple_of(specs) == trees.structure(parts)
