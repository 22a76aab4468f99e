"""Direct calls of random programs: what the way through copies gives, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffkit.backends import Form, OffersDirect, Program, get_backend
from diffkit.graph import trace
from tests.programs import programs

FLOAT64 = np.dtype(np.float64)


@settings(max_examples=40)
@given(programs(), st.data())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_any_choice_of_parameters_goes_in_and_comes_out(dtype, program, data):
    count = len(program.leaves)
    chosen = data.draw(st.permutations(range(count)))
    wrt = tuple(chosen[: data.draw(st.integers(1, count))])
    names = tuple(f"x{p}" for p in range(count))
    compiled = get_backend("autodiff", dtype=dtype).compile(
        Program(program.graph, wrt, names, FLOAT64)
    )
    assert isinstance(compiled, OffersDirect)
    leaves = [np.array(leaf, order="C") for leaf in program.leaves]
    with np.errstate(all="ignore"):
        value, gradients, _ = compiled(leaves)
    rest = [leaves[p] for p in range(count) if p not in wrt]
    theta = np.concatenate([leaves[p].ravel() for p in wrt])
    given_as = {False: leaves, True: [theta, *rest]}
    joined = np.concatenate([gradient.ravel() for gradient in gradients])
    for vector in (False, True):
        for apart in (False, True):
            direct = compiled.direct([FLOAT64] * count, Form(vector, apart))
            assert direct is not None
            results = [
                np.full(shape, 7.0, kind)
                for shape, kind in zip(direct.shapes, direct.dtypes, strict=True)
            ]
            found = direct.call([*given_as[vector], *results])
            np.testing.assert_array_equal(found, value)
            got = np.concatenate([result.ravel() for result in results])
            np.testing.assert_array_equal(got, joined)
            assert got.dtype == joined.dtype == np.dtype(dtype)


def test_only_what_runs_on_the_engine_offers_direct_calls(rng):
    x = rng.normal(size=3)
    graph = trace(lambda x: np.sum(np.sin(x)), x)
    program = Program(graph, (0,), ("x",), FLOAT64)
    on_numpy = get_backend("autodiff", runtime="numpy").compile(program)
    assert isinstance(on_numpy, OffersDirect)
    assert on_numpy.direct([FLOAT64], Form()) is None
    for name in ("forward", "finite_differences", "exact", "null"):
        assert not isinstance(get_backend(name).compile(program), OffersDirect)
