"""Kernels that are written in LLVM's instructions (`emit`): their rows, loops, memory.

Numba types nothing of them, and they become native code once, in the machine that calls
them; a kernel of Numba's is compiled for itself first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types

from diffkit.engine.emit import Number, Operand
from diffkit.engine.jit import intrinsic
from diffkit.engine.kernels.memory import apart, read, written

WHOLE = ir.IntType(64)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that is being written: its instruction's row, and the arena."""

    builder: Any
    arena: Any
    row: Any

    def whole(self, value: int) -> Number:
        """A constant whole number."""
        return Number(self.builder, ir.Constant(WHOLE, value))

    def field(self, place: int) -> Number:
        """A field of the instruction."""
        pointer = self.builder.gep(self.row, [ir.Constant(WHOLE, place)])
        return Number(self.builder, self.builder.load(pointer))

    def load(self, place: Number) -> Number:
        """An element of the arena; see `memory.load`."""
        return Number(self.builder, read(self.builder, self.arena, place.value))

    def store(self, place: Number, value: Operand) -> None:
        """Write an element of the arena; see `memory.store`."""
        number = Number(self.builder, ir.Constant(self.arena.type.pointee, 0.0))
        written(self.builder, self.arena, place.value, number.like(value).value)

    @contextmanager
    def loop(
        self, start: Number | int, stop: Number, step: int = 1
    ) -> Iterator[Number]:
        """A loop over start, start + step, … below stop."""
        with loop(self.builder, stop.like(start).value, stop.value, step) as index:
            yield Number(self.builder, index)

    def any(
        self, start: Number, stop: Number, test: Callable[[Number], Number]
    ) -> Number:
        """Whether a test holds somewhere from start to below stop, which is later."""
        builder = self.builder
        before = builder.block
        body = builder.append_basic_block("any")
        after = builder.append_basic_block("any.done")
        builder.branch(body)
        builder.position_at_end(body)
        index, found = builder.phi(WHOLE), builder.phi(WHOLE)
        index.add_incoming(start.value, before)
        found.add_incoming(ir.Constant(WHOLE, 0), before)
        here = builder.zext(test(Number(builder, index)).value, WHOLE)
        so_far = builder.or_(found, here)
        following = builder.add(index, ir.Constant(WHOLE, 1), flags=("nsw",))
        index.add_incoming(following, body)
        found.add_incoming(so_far, body)
        builder.cbranch(builder.icmp_signed("<", following, stop.value), body, after)
        builder.position_at_end(after)
        return Number(builder, builder.icmp_signed("!=", so_far, found.type(0)))

    def choose(
        self, condition: Number, then: Callable[[], None], otherwise: Callable[[], None]
    ) -> None:
        """Write both, of which one will run."""
        with self.builder.if_else(condition.value) as (first, second):
            with first:
                then()
            with second:
                otherwise()


@contextmanager
def loop(builder: Any, first: Any, stop: Any, step: int = 1) -> Iterator[Any]:
    """A loop over first, first + step, … below stop: LLVM's whole numbers."""
    before = builder.block
    body = builder.append_basic_block("loop")
    after = builder.append_basic_block("loop.done")
    builder.cbranch(builder.icmp_signed("<", first, stop), body, after)
    builder.position_at_end(body)
    index = builder.phi(WHOLE)
    index.add_incoming(first, before)
    yield index
    following = builder.add(index, ir.Constant(WHOLE, step), flags=("nsw",))
    index.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, stop), body, after)
    builder.position_at_end(after)


def kernel(name: str, write: Callable[[Kernel], None]) -> Any:
    """The kernel that `write` writes, as a function that Numba's functions call.

    `name` is its own among the kernels: there is one native function for each.
    """

    @intrinsic
    def run(typingctx, arena, row, lists):
        def codegen(context, builder, signature, arguments):
            module = builder.module
            full_name = f"diffkit.{name}.{arena.dtype}"
            function = module.globals.get(full_name)
            if function is None:
                kinds = [value.type for value in arguments]
                function = declared(module, full_name, kinds)
                _fill(function, write)
            builder.call(function, arguments)
            return context.get_dummy_value()

        return types.void(arena, row, lists), codegen

    return run


def declared(module: Any, name: str, kinds: list[Any]) -> Any:
    """A native function of its own, which gives nothing and has no body yet."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "internal"
    function.attributes.add("nounwind")
    apart(function)
    return function


def _fill(function: Any, write: Callable[[Kernel], None]) -> None:
    arena, row, _ = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    write(Kernel(builder, arena, row))
    builder.ret_void()
