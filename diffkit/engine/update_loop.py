"""The steps of optimizers as native code: one pass over flat vectors for each rule.

As the interpreter, it is one function for each dtype, told everything by a block of
int64: which rule, how many elements, and the addresses of the vectors.
"""

from __future__ import annotations

from typing import Any, Final

from numba import types

from diffkit.engine.jit import intrinsic, rounding_kernel, rounding_scalar
from diffkit.engine.jump import jump_table
from diffkit.engine.kernels.memory import (
    float32_pointer,
    float64_pointer,
    int64_pointer,
    keep_apart,
    load,
    store,
)
from diffkit.rules import RULES, Rule

RULE: Final = 0
COUNT: Final = 1
# Whether the result is the parameters after the update, or the update itself.
ADDED: Final = 2
PARAMETERS: Final = 3
GRADIENT: Final = 4
RESULT: Final = 5
NUMBERS: Final = 6  # float64, as many as the rule takes
STEP: Final = 7  # the count of steps, int64; 0: there is none
STEP_AFTER: Final = 8
MOMENTS: Final = 9
MOMENTS_AFTER: Final = 11
CONTROL_WIDTH: Final = 13


@intrinsic
def _vector(typingctx, like, address):
    """The vector at an address, of the numbers that `like` points to."""

    def codegen(context, builder, signature, arguments):
        kind = context.get_value_type(signature.return_type)
        return builder.inttoptr(arguments[1], kind)

    return like(like, types.int64), codegen


@intrinsic(prefer_literal=True)
def _numbers(typingctx, like, address, count):
    """The first numbers at an address, rounded to the precision of the vectors."""
    found = types.UniTuple(like.dtype, count.literal_value)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(types.CPointer(types.float64))
        start = builder.inttoptr(arguments[1], kind)
        int64 = context.get_value_type(types.int64)
        places = (builder.gep(start, [int64(k)]) for k in range(found.count))
        values = [
            context.cast(builder, builder.load(place), types.float64, like.dtype)
            for place in places
        ]
        return context.make_tuple(builder, found, values)

    return found(like, types.int64, count), codegen


def _without_moments(rule: Rule) -> Any:
    formula, count = rounding_scalar(rule.formula), rule.numbers

    @rounding_kernel
    def run(like, control, _):
        keep_apart()
        added = control[ADDED]
        w = _vector(like, control[PARAMETERS])
        g = _vector(like, control[GRADIENT])
        result = _vector(like, control[RESULT])
        numbers = _numbers(like, control[NUMBERS], count)
        for i in range(control[COUNT]):
            before = load(w, i)
            (u,) = formula(before, load(g, i), *numbers)
            store(result, i, before + u if added else u)

    return run


def _with_one_moment(rule: Rule) -> Any:
    formula, count = rounding_scalar(rule.formula), rule.numbers

    @rounding_kernel
    def run(like, control, _):
        keep_apart()
        added = control[ADDED]
        w = _vector(like, control[PARAMETERS])
        g = _vector(like, control[GRADIENT])
        m = _vector(like, control[MOMENTS])
        m_after = _vector(like, control[MOMENTS_AFTER])
        result = _vector(like, control[RESULT])
        numbers = _numbers(like, control[NUMBERS], count)
        for i in range(control[COUNT]):
            before = load(w, i)
            u, new = formula(before, load(g, i), load(m, i), *numbers)
            store(m_after, i, new)
            store(result, i, before + u if added else u)

    return run


def _with_two_moments(rule: Rule) -> Any:
    formula, count = rounding_scalar(rule.formula), rule.numbers

    @rounding_kernel
    def run(like, control, _):
        keep_apart()
        added = control[ADDED]
        w = _vector(like, control[PARAMETERS])
        g = _vector(like, control[GRADIENT])
        m = _vector(like, control[MOMENTS])
        v = _vector(like, control[MOMENTS + 1])
        m_after = _vector(like, control[MOMENTS_AFTER])
        v_after = _vector(like, control[MOMENTS_AFTER + 1])
        result = _vector(like, control[RESULT])
        numbers = _numbers(like, control[NUMBERS], count)
        for i in range(control[COUNT]):
            before = load(w, i)
            u, first, second = formula(
                before, load(g, i), load(m, i), load(v, i), *numbers
            )
            store(m_after, i, first)
            store(v_after, i, second)
            store(result, i, before + u if added else u)

    return run


_LOOPS = (_without_moments, _with_one_moment, _with_two_moments)
#: A rule's place in it is its number.
STEPS = {name: _LOOPS[rule.moments](rule) for name, rule in RULES.items()}
_call_rule = jump_table(STEPS)


@rounding_kernel
def _run(like, control):
    _call_rule(control[RULE], like, control, like)
    if control[STEP] != 0:
        int64_pointer(control[STEP_AFTER])[0] = int64_pointer(control[STEP])[0] + 1


# Named so that neither name is a part of the other entry points' (see `cache.py`).
def step_double(address):
    """The step described by the block at `address`, in float64."""
    control = int64_pointer(address)
    _run(float64_pointer(control[RESULT]), control)


def step_single(address):
    """The step described by the block at `address`, in float32."""
    control = int64_pointer(address)
    _run(float32_pointer(control[RESULT]), control)
