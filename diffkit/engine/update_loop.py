"""The steps of optimizers as native code: one pass over flat vectors for each rule.

As the interpreter, it is one function for each dtype, told everything by a block of
int64: which rule, how many elements, and the addresses of the vectors.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import types

from diffkit.engine.emit import DOUBLE
from diffkit.engine.jit import intrinsic, rounding_kernel
from diffkit.engine.jump import jump_table
from diffkit.engine.kernels.memory import (
    float32_pointer,
    float64_pointer,
    int64_pointer,
)
from diffkit.engine.kernels.tile import VECTOR_BYTES, bytes_of
from diffkit.engine.kernels.written import WHOLE, declared, loop
from diffkit.engine.rounded import Elements, chosen, spread
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


def _pass(rule: Rule) -> Any:
    """The pass of one rule, as a function that Numba's functions call."""

    @intrinsic
    def run(typingctx, like, control, _):
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            module, name = builder.module, f"diffkit.step.{rule.name}.{like.dtype}"
            function = module.globals.get(name)
            if function is None:
                function = declared(module, name, [arguments[1].type])
                _Pass(function, rule, context.get_value_type(like.dtype)).write()
            builder.call(function, [arguments[1]])
            return context.get_dummy_value()

        return types.void(like, control, _), codegen

    return run


class _Pass:
    """A pass that is being written: whole registers of elements, then one by one.

    All of an element is read before anything of it is written, so a result may lie on
    top of what it is made from.
    """

    def __init__(self, function: Any, rule: Rule, element: Any) -> None:
        self._rule, self._element = rule, element
        self._control = function.args[0]
        self._builder: Any = ir.IRBuilder(function.append_basic_block("entry"))

    def write(self) -> None:
        """All of it."""
        rule, count = self._rule, self._field(COUNT)
        read = [PARAMETERS, GRADIENT, *range(MOMENTS, MOMENTS + rule.moments)]
        written = [RESULT, *range(MOMENTS_AFTER, MOMENTS_AFTER + rule.moments)]
        vectors = [self._pointer(place, self._element) for place in read]
        results = [self._pointer(place, self._element) for place in written]
        start = self._pointer(NUMBERS, DOUBLE)
        numbers = [self._number(start, k) for k in range(rule.numbers)]
        added = self._builder.icmp_signed("!=", self._field(ADDED), _whole(0))
        lanes = VECTOR_BYTES // bytes_of(self._element)
        whole = self._builder.and_(count, _whole(-lanes))
        for first, stop, some in ((_whole(0), whole, lanes), (whole, count, 1)):
            spread_out = [spread(self._builder, number, some) for number in numbers]
            with loop(self._builder, first, stop, some) as i:
                given = [self._load(vector, i, some) for vector in vectors]
                u, *after = rule.formula(*given, *spread_out)
                u = chosen(added, given[0] + u, u)
                for to, value in zip(results, (u, *after), strict=True):
                    self._store(to, i, value)
        self._builder.ret_void()

    def _field(self, place: int) -> Any:
        return self._builder.load(self._builder.gep(self._control, [_whole(place)]))

    def _pointer(self, place: int, element: Any) -> Any:
        return self._builder.inttoptr(self._field(place), element.as_pointer())

    def _number(self, start: Any, k: int) -> Any:
        """A number of the step, rounded to the precision of the vectors."""
        found = self._builder.load(self._builder.gep(start, [_whole(k)]))
        if self._element == found.type:
            return found
        return self._builder.fptrunc(found, self._element)

    def _load(self, vector: Any, i: Any, lanes: int) -> Elements:
        place = self._place(vector, i, lanes)
        return Elements(
            self._builder, self._builder.load(place, align=bytes_of(self._element))
        )

    def _store(self, vector: Any, i: Any, value: Elements) -> None:
        kind = value.value.type
        lanes = kind.count if isinstance(kind, ir.VectorType) else 1
        place = self._place(vector, i, lanes)
        self._builder.store(value.value, place, align=bytes_of(self._element))

    def _place(self, vector: Any, i: Any, lanes: int) -> Any:
        place = self._builder.gep(vector, [i])
        if lanes == 1:
            return place
        kind = ir.VectorType(self._element, lanes)
        return self._builder.bitcast(place, kind.as_pointer())


def _whole(value: int) -> Any:
    return ir.Constant(WHOLE, value)


#: A rule's place in it is its number.
STEPS = {name: _pass(rule) for name, rule in RULES.items()}
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
