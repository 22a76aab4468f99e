"""JAX and PyTorch beside diffkit, interleaved in one process; results checked first.

The printed ratio is how many times longer the peer takes. No time is ever asserted: a
busy machine must not fail a build.
"""

import importlib

import numpy as np
import optree
import pytest

import diffkit as dk
from diffkit import measure
from diffkit.errors import MissingDependencyError
from tests.benchmarks.conftest import NETWORKS, network

pytestmark = [
    pytest.mark.peers,
    # What a peer warns about on its own import or first call is not ours to judge.
    pytest.mark.filterwarnings("default"),
]


def layers(arguments):
    """Weights and biases in order, whatever the nesting."""
    leaves = optree.tree_leaves(arguments[0])
    matrices = [leaf for leaf in leaves if leaf.ndim == 2]
    vectors = [leaf for leaf in leaves if leaf.ndim == 1]
    return list(zip(matrices, vectors, strict=True))


def ordered(gradient):
    """Gradients as `layers` orders the parameters."""
    return [part for pair in layers((gradient,)) for part in pair]


def peer(name):
    """An optional peer; without it the comparison says what to install."""
    try:
        return importlib.import_module(name)
    except ImportError:
        pytest.skip(str(MissingDependencyError(name, "This comparison", name)))


def jax_gradient(arguments):
    jax = peer("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    _, x, y = arguments
    x, y = jnp.asarray(x), jnp.asarray(y)

    def loss(params, x, y):
        for w, b in params[:-1]:
            x = jnp.tanh(x @ w + b)
        w, b = params[-1]
        return jnp.mean((x @ w + b - y) ** 2)

    gradient = jax.jit(jax.value_and_grad(loss))
    params = [(jnp.asarray(w), jnp.asarray(b)) for w, b in layers(arguments)]

    def call():
        return jax.block_until_ready(gradient(params, x, y))

    def result():
        value, parts = call()
        return float(value), [np.asarray(part) for pair in parts for part in pair]

    return call, result


def torch_gradient(arguments):
    torch = peer("torch")
    torch.set_num_threads(1)
    _, x, y = arguments
    x, y = torch.tensor(x), torch.tensor(y)
    params = [
        tuple(torch.tensor(part, requires_grad=True) for part in pair)
        for pair in layers(arguments)
    ]
    flat = [part for pair in params for part in pair]

    def call():
        h = x
        for w, b in params[:-1]:
            h = torch.tanh(h @ w + b)
        w, b = params[-1]
        value = torch.mean((h @ w + b - y) ** 2)
        return value, torch.autograd.grad(value, flat)

    def result():
        value, parts = call()
        return float(value.detach()), [part.numpy() for part in parts]

    return call, result


PEERS = {"jax": jax_gradient, "torch": torch_gradient}


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_value_and_gradient_beside_a_peer(record_ratio, peer, name):
    function, arguments = network(*NETWORKS[name])
    call, result = PEERS[peer](arguments)
    prepared = dk.prepare(function, *arguments)
    value, gradient = prepared(*arguments)
    peer_value, peer_gradient = result()
    assert value == pytest.approx(peer_value, rel=1e-10)
    scale = max(np.max(np.abs(part)) for part in peer_gradient)
    for mine, theirs in zip(ordered(gradient), peer_gradient, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-8, abs=1e-10 * scale)
    timings = measure.interleaved(
        {"diffkit": lambda: prepared(*arguments), peer: call},
        samples=31,
        budget_seconds=2.0,
    )
    record_ratio(f"value and gradient, {name}", timings, peer)


@pytest.mark.parametrize("options", [{}, {"order": 8}, {"method": "ridders"}], ids=str)
def test_differences_beside_numdifftools(record_ratio, options):
    """2-8-1 at batch 4; both errors are in the title, against reverse mode."""
    peer("numdifftools")
    function, arguments = network(*NETWORKS["2-8-1 @4"])
    exact = ordered(dk.prepare(function, *arguments)(*arguments)[1])
    calls, errors = {}, {}
    for name, backend in (
        ("diffkit", dk.get_backend("finite_differences", **options)),
        ("numdifftools", dk.get_backend("numdifftools")),
    ):
        prepared = dk.prepare(function, *arguments, backend=backend)
        calls[name] = lambda prepared=prepared: prepared(*arguments)
        found = ordered(calls[name]()[1])
        worst = [np.max(np.abs(a - b)) for a, b in zip(found, exact, strict=True)]
        errors[name] = max(worst) / max(np.max(np.abs(part)) for part in exact)
    if options:
        assert errors["diffkit"] <= errors["numdifftools"]
    timings = measure.interleaved(calls, samples=9, budget_seconds=3.0)
    shown = ", ".join(f"{name} errs {error:.1e}" for name, error in errors.items())
    title = f"differences {options or 'central'}, 2-8-1 @4, {shown}"
    record_ratio(title, timings, "numdifftools")


@pytest.mark.slow
def test_first_gradient_of_a_thousand_layers_beside_jax(record_ratio):
    """From a function to its first gradient, in a process where all is loaded."""
    function, arguments = network((4,) * 1001, 8)
    small, few = network((4, 4, 4), 8)
    dk.prepare(small, *few)(*few)
    jax_gradient(few)[0]()
    first = {
        "diffkit": lambda: dk.prepare(function, *arguments)(*arguments),
        "jax": lambda: jax_gradient(arguments)[0](),
    }
    timings = {
        name: measure.Timing((measure.time_once(call),), 1)
        for name, call in first.items()
    }
    record_ratio("first gradient of 1,000 layers", timings, "jax")
