import numpy as np
import optree
import pytest

from diffkit import nn
from diffkit.errors import ShapeError, UnknownNameError


def network():
    return nn.Sequential(
        nn.Linear(2, 3),
        nn.Tanh(),
        nn.Residual(nn.Sequential(nn.Linear(3, 3, bias=False), nn.LayerNorm(3))),
        nn.Linear(3, 1),
    )


def test_names_are_paths_and_the_arrays_are_those_given(rng):
    net = network()
    params = net.init(rng)
    named = net.named_parameters(params)
    assert {name: array.shape for name, array in named.items()} == {
        "0.weight": (2, 3),
        "0.bias": (3,),
        "2.0.weight": (3, 3),
        "2.1.weight": (3,),
        "2.1.bias": (3,),
        "3.weight": (3, 1),
        "3.bias": (1,),
    }
    assert named["2.0.weight"] is params[2][0]["weight"]
    assert sum(array.size for array in named.values()) == net.parameter_count


def test_replacing_by_name_leaves_the_rest_and_the_original(rng):
    net = network()
    params = net.init(rng, np.float32)
    before = optree.tree_map(np.copy, params)
    after = net.replace_parameters(params, {"2.0.weight": np.eye(3)})
    np.testing.assert_array_equal(after[2][0]["weight"], np.eye(3))
    assert after[2][0]["weight"].dtype == np.float32
    assert after[0]["weight"] is params[0]["weight"]
    for old, kept in zip(
        optree.tree_leaves(before), optree.tree_leaves(params), strict=True
    ):
        np.testing.assert_array_equal(old, kept)
    whole = net.named_parameters(net.init(np.random.default_rng(9)))
    again = net.replace_parameters(params, whole)
    np.testing.assert_array_equal(again[3]["weight"], whole["3.weight"].astype("f4"))


@pytest.mark.parametrize(
    "change, error, said",
    [
        (lambda n, p: n.check_parameters(p[:3]), ShapeError, "lack '3.bias'"),
        (
            lambda n, p: n.check_parameters(nn.mlp((2, 3, 1)).init(rng_of())),
            UnknownNameError,
            "no parameter '2.bias'",
        ),
        (
            lambda n, p: n.named_parameters((*p[:3], {"wieght": 1.0, "bias": 1.0})),
            UnknownNameError,
            "Did you mean '3.weight'",
        ),
        (
            lambda n, p: n.replace_parameters(p, {"0.wieght": np.ones((2, 3))}),
            UnknownNameError,
            "Did you mean '0.weight'",
        ),
        (
            lambda n, p: n.replace_parameters(p, {"0.weight": np.ones((3, 2))}),
            ShapeError,
            r"'0.weight' has shape \(3, 2\); the network needs \(2, 3\)",
        ),
    ],
)
def test_parameters_that_do_not_fit_are_named(change, error, said):
    net = network()
    with pytest.raises(error, match=said):
        change(net, net.init(rng_of()))


def rng_of():
    return np.random.default_rng(0)
