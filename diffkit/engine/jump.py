"""One jump to the native function of a number: how the entry points reach kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llvmlite import ir
from numba.core.imputils import impl_ret_untracked

from diffkit.engine.jit import intrinsic


def jump_table(table: Mapping[str, Any]) -> Any:
    """The native call of the k-th function of the table, each taking three operands.

    The table is read when the caller is compiled; other numbers call nothing.
    """

    @intrinsic
    def call(typingctx, place, first, second, third):
        operands = (first, second, third)
        kernels: list[Any] = [typingctx.resolve_value_type(f) for f in table.values()]
        signatures = [k.get_call_type(typingctx, operands, {}) for k in kernels]

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            chosen, *given = arguments
            after = builder.append_basic_block("kernel.done")
            choice = builder.switch(chosen, after)
            pairs = zip(kernels, signatures, strict=True)
            for number, (function, kind) in enumerate(pairs):
                block = builder.append_basic_block(f"kernel.{number}")
                choice.add_case(ir.Constant(chosen.type, number), block)
                builder.position_at_end(block)
                context.get_function(function, kind)(builder, given)
                builder.branch(after)
            builder.position_at_end(after)
            return impl_ret_untracked(
                context, builder, signature.return_type, context.get_dummy_value()
            )

        return signatures[0].return_type(place, *operands), codegen

    return call
