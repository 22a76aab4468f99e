"""What can be traced, and what the errors say about what cannot."""

from __future__ import annotations

import numpy as np
import pytest

from diffkit import errors
from diffkit.graph import trace
from diffkit.interpret.numpy import evaluate

X = np.arange(6.0).reshape(2, 3)


def test_python_loops_unroll():
    def f(x):
        for _ in range(3):
            x = x * x
        return x

    graph = trace(f, 2.0)
    assert len(graph.nodes) == 4
    assert evaluate(graph, [2.0])[0] == 256.0


def test_equal_nodes_are_made_once():
    graph = trace(lambda x: np.tanh(x) + np.tanh(x) * np.tanh(x), X)
    assert [n.op.name for n in graph.nodes].count("tanh") == 1


def test_nested_arguments_are_named_as_python_names_them():
    graph = trace(
        lambda p, *rest: p["w"][0] + p["b"] + rest[0] + rest[1],
        {"w": [X], "b": X},
        X,
        X,
    )
    assert graph.input_names == ("p['b']", "p['w'][0]", "rest[0]", "rest[1]")


def test_inputs_are_not_modified():
    x = X.copy()
    x.flags.writeable = False
    trace(lambda x: np.sum(x * 2), x)
    np.testing.assert_array_equal(x, X)


def test_listing_names_every_node():
    text = trace(lambda w: np.sum(w * 2.0), X).listing()
    assert text.count("\n") == 3
    assert "sum(%2" in text
    assert text.endswith("-> output")


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x if x[0, 0] > 0 else -x,
        lambda x: x if x.sum() else -x,
        lambda x: x * float(x[0, 0]),
        lambda x: x * int(x[0, 0]),
        lambda x: sum(range(x[0, 0])),
        lambda x: x[0, 0].item(),
        lambda x: [1, 2][x[0, 0]],
        lambda x: complex(x[0, 0]),
    ],
)
def test_control_flow_on_values_points_at_where(f):
    with pytest.raises(errors.TraceControlFlowError, match=r"np\.where"):
        trace(f, X)


def assign(x):
    x[0] = 1.0
    return x


def assign_into_array(x):
    out = np.zeros(3)
    out[0] = x[0, 0]
    return out


def add_in_place(x):
    out = np.zeros((2, 3))
    out += x
    return out


def write_out(x):
    out = np.zeros((2, 3))
    return np.exp(x, out=out)


@pytest.mark.parametrize(
    "f",
    [
        assign,
        assign_into_array,
        add_in_place,
        write_out,
        lambda x: np.array([x[0], x[1]]),
        lambda x: np.sum(x, axis=0, out=np.zeros(3)),
    ],
)
def test_mutation_points_at_stack_and_concatenate(f):
    with pytest.raises(errors.TraceMutationError, match=r"np\.(stack|concat)|returned"):
        trace(f, X)


@pytest.mark.parametrize(
    "f, says",
    [
        (lambda x: np.linalg.inv(x[:, :2]), "np.linalg.inv"),
        (lambda x: np.sort(x), "np.sort"),
        (lambda x: np.fmax(x, 1.0), "np.maximum"),
        (lambda x: x // 2.0, "floor_divide"),
        (lambda x: x % 2.0, "remainder"),
        (lambda x: np.where(x > 0), "np.where(condition, x, y)"),
        (lambda x: np.einsum("...i->...", x), "ellipses"),
        (lambda x: np.linalg.norm(x, "nuc"), "nuc"),
        (lambda x: np.add.accumulate(x), "add.accumulate"),
        (lambda x: np.exp(x, where=x > 0), "where"),
        (lambda x: np.sum(x, initial=3.0), "np.sum"),
        (lambda x: x & x, "booleans"),
        (lambda x: (x > 0) - (x > 1), "logical_xor"),
        (lambda x: x[x[0, 0] > 0], "known while"),
        (lambda x: np.reshape(x, (3, 2), order="F"), "order"),
    ],
)
def test_unsupported_functions_are_named_with_a_way_out(f, says):
    with pytest.raises(errors.UnsupportedFunctionError) as caught:
        trace(f, X)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "f, says",
    [
        (lambda x: x @ x, "inner sizes"),
        (lambda x: x + np.ones(4), "add cannot take the shapes"),
        (lambda x: x[5], "out of bounds"),
        (lambda x: x[0, 0, 0], "3 indices"),
        (lambda x: x[1.5], "must be an integer"),
        (lambda x: x[..., ...], "one ellipsis"),
        (lambda x: np.sum(x, axis=4), "axis 4"),
        (lambda x: x.reshape(4, 4), "number of elements"),
        (lambda x: np.concatenate([x, x[0]]), "number of axes"),
        (lambda x: np.concatenate([x, x[:, :1]]), "differ"),
        (lambda x: np.stack([x, x[0]]), "equal shapes"),
        (lambda x: np.max(x[:0]), "no elements"),
        (lambda x: np.einsum("ij->k", x), "in no operand"),
        (lambda x: np.einsum("i->", x), "names 1 axes"),
        (lambda x: np.einsum("ij,jk->ik", x), "2 operands"),
        (lambda x: np.einsum("ij,ij->", x, x.T), "lengths"),
        (lambda x: np.squeeze(x, 0), "not length 1"),
        (lambda x: np.transpose(x, (0, 0)), "not an order"),
        (lambda x: np.split(x[0], 2), "not even"),
    ],
)
def test_shape_errors_name_the_shapes(f, says):
    with pytest.raises(errors.ShapeError) as caught:
        trace(f, X)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "argument, says",
    [
        ([[1.0, 2.0], [3.0]], None),
        (np.array([[1.0], [2.0, 3.0]], dtype=object), "ragged"),
        ("text", "text"),
        (1j, "real programs"),
        (np.float16(1.0), "float16"),
        (np.array("2020-01-01", dtype="M8[D]"), "not numeric"),
    ],
)
def test_arguments_that_are_no_arrays_of_numbers(argument, says):
    if says is None:
        # A ragged list is a tree of scalars: its arithmetic fails, not its shape.
        with pytest.raises(TypeError):
            trace(lambda x: np.sum(x * 2.0), argument)
        return
    with pytest.raises(errors.DtypeError, match=says):
        trace(lambda x: x * 2.0, argument)


def test_a_table_says_how_to_get_its_numbers():
    class Frame:
        def to_numpy(self):
            raise AssertionError

    with pytest.raises(errors.DtypeError, match="to_numpy"):
        trace(lambda table: table, Frame())


def test_nothing_returned():
    with pytest.raises(errors.TraceError, match="returned nothing"):
        trace(lambda x: None, X)


def test_a_value_of_another_trace_is_refused():
    leaked = []
    trace(lambda x: leaked.append(x) or x, X)
    with pytest.raises(errors.TraceError, match="another"):
        trace(lambda x: x + leaked[0], X)


def test_a_cast_to_integers_is_refused():
    with pytest.raises(errors.DtypeError, match="int64"):
        trace(lambda x: x.astype(int), X)


def test_a_constant_of_objects_is_refused():
    with pytest.raises(errors.DtypeError, match="real numbers"):
        trace(lambda x: x + np.array(["a", "b", "c"]), X)


def test_integers_enter_as_reals_and_booleans_stay():
    graph = trace(lambda k, m: np.where(m, k, 0), np.arange(3), np.ones(3, bool))
    kinds = [graph.nodes[i].kind for i in graph.inputs]
    assert kinds == ["real", "boolean"]
    out = evaluate(graph, [np.arange(3), np.array([True, False, True])])[0]
    assert out.tolist() == [0.0, 0.0, 2.0]


def test_traced_values_describe_themselves():
    seen = []
    trace(lambda x: seen.append((repr(x), x.dtype, (x > 0).dtype, x.size)) or x, X)
    assert seen == [("Traced(input, shape=(2, 3))", np.float64, np.bool_, 6)]
