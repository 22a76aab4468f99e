"""Conformance: what is promised about calls, memory and threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from diffkit.backends import Backend, Compiled, Info
from diffkit.errors import PreparationMismatchError
from diffkit.graph import trees
from diffkit.testing.cases import (
    CASES,
    LAYER,
    MIXTURE,
    W,
    X,
    broken,
    copies,
    frozen,
    prepared,
    require_right,
    same,
)
from diffkit.transform import prepare


def interface(backend: Backend) -> None:
    """Name, capabilities, and what `info` has to say; a value that can be compared."""
    compiled: Compiled = prepared(LAYER, backend).compiled
    info: Any = compiled.info
    if not isinstance(info, Info):
        raise broken(backend, f"`info` is a {type(info).__name__}, not an Info.")
    if info.backend != backend.name:
        raise broken(backend, f"`info.backend` is {info.backend!r}.")
    for field in ("operations", "bytes", "evaluations"):
        number = getattr(info, field)
        if not isinstance(number, int | np.integer) or number < 0:
            raise broken(backend, f"`info.{field}` is {number!r}, not a count.")
    if any(not seconds >= 0 for seconds in info.seconds.values()):
        raise broken(backend, f"`info.seconds` has a time below zero: {info.seconds}.")
    try:
        hash(backend)
    except TypeError:
        raise broken(backend, "it cannot be hashed: make it a frozen value.") from None


def another_point(backend: Backend) -> None:
    """What was prepared at one point holds at another."""
    for case in CASES:
        program = prepared(case, backend)
        program(*case.args)
        require_right(backend, case, case.elsewhere, program(*case.elsewhere))


def twice(backend: Backend) -> None:
    """A second call is the first again, and a call elsewhere leaves nothing behind."""
    for case in CASES:
        program = prepared(case, backend)
        first = copies(program(*case.args))
        if not same(program(*case.args), first):
            raise broken(backend, f"two calls of {case.name} in a row differ.")
        require_right(backend, case, case.elsewhere, program(*case.elsewhere))
        if not same(program(*case.args), first):
            raise broken(
                backend, f"{case.name} answers otherwise after a call elsewhere."
            )


def fresh_results(backend: Backend) -> None:
    """Results belong to the caller: kept, they stay; written to, nothing else changes.

    Auxiliary outputs as well.
    """

    def f(w: Any, x: Any) -> Any:
        return LAYER.f(w, x), w * 2.0

    program = prepare(f, *LAYER.args, backend=backend, has_aux=True)
    first = program(*LAYER.args)
    kept = copies(first)
    program(*LAYER.elsewhere)
    if not same(first, kept):
        raise broken(backend, "a later call wrote into an earlier call's results.")
    for array in trees.leaves(first):
        if isinstance(array, np.ndarray) and array.ndim:
            if not array.flags.writeable:
                raise broken(backend, "a result cannot be written to.")
            array[...] = 99.0
    if not same(program(*LAYER.args), kept):
        raise broken(backend, "writing into a result changes the next one.")


def inputs_kept(backend: Backend) -> None:
    """Inputs are not written to, and need not be writable."""
    for case in CASES:
        args = copies(case.args)
        before = copies(args)
        program = prepared(case, backend)
        program(*args)
        program.value(*args)
        if not same(args, before):
            raise broken(backend, f"it modified its inputs on {case.name}.")
        try:
            program(*frozen(case.args))
        except ValueError as problem:
            raise broken(
                backend, f"read-only inputs are not accepted: {problem}"
            ) from problem


def any_layout(backend: Backend) -> None:
    """Transposed, strided and reversed memory gives the same bits."""
    program = prepared(LAYER, backend)
    expected = copies(program(W, X))
    wide = np.zeros((4, 6))
    wide[:, ::2] = X
    for layout in (np.asfortranarray(X), wide[:, ::2], X[::-1].copy()[::-1]):
        if not same(program(np.asfortranarray(W), layout), expected):
            raise broken(backend, "another memory layout gives another answer.")


def every_form(backend: Backend) -> None:
    """Nested, as one vector and into arrays that are there: the same bits.

    A backend without direct calls has them by copies; one with direct calls may have
    laid them out wrongly.
    """
    for case in CASES:
        program = prepared(case, backend)
        params, *data = case.args
        value, gradients, _ = copies(program.compiled(program.leaves(case.args)))
        theta = program.pack(params)
        vector, room = np.full(theta.shape, 7.0), np.full(theta.shape, 7.0)
        answers = {
            "called": program(*case.args),
            "flat": program.flat(theta, *data),
            "flat with out=": program.flat(theta, *data, out=vector),
            "into": (program.into(program.unpack(room), *case.args), room),
        }
        for form, (found, slopes) in answers.items():
            one_by_one = slopes if form == "called" else program.unpack(slopes)
            if not same((found, one_by_one), (value, gradients)):
                raise broken(backend, f"{case.name} {form} differs from its gradient.")


def mismatch(backend: Backend) -> None:
    """Arguments that were not prepared for are refused, each difference listed."""
    program = prepared(MIXTURE, backend)
    params, x = MIXTURE.args
    wrong: dict[str, tuple[tuple[Any, ...], str]] = {
        "shape": ((params, x[:2]), "x: prepared as float64[4, 3]"),
        "dtype": ((params, x.astype(np.float32)), "given float32[4, 3]"),
        "structure": (({"w": params["w"]}, x), "absent"),
    }
    for what, (args, says) in wrong.items():
        for call in (program, program.value):
            _refused(backend, call, args, what, says)


def _refused(
    backend: Backend, call: Callable[..., Any], args: tuple[Any, ...], *words: str
) -> None:
    what, says = words
    try:
        call(*args)
    except PreparationMismatchError as problem:
        if says not in str(problem):
            raise broken(backend, f"another {what} is not named: {problem}") from None
        return
    raise broken(backend, f"another {what} than prepared was accepted.")
