"""The kernels by name; a kernel's opcode is its place in `KERNELS`."""

from __future__ import annotations

from diffkit.engine.kernels import (
    clock,
    elementwise,
    meeting,
    packed,
    product,
    reduce,
    shape,
)

# Element j of out from element j of each operand.
ELEMENTWISE = elementwise.KERNELS
KERNELS = {
    **ELEMENTWISE,
    "sum": reduce.total,
    "add_rows": reduce.add_rows,
    "inner_product": reduce.inner_product,
    "mean": reduce.mean,
    "prod": reduce.product,
    "max": reduce.largest,
    "min": reduce.smallest,
    "logsumexp": reduce.logsumexp,
    "cumsum": reduce.cumulative_sum,
    "product_small": product.small,
    "product_blas": product.blas,
    "product_packed": packed.packed,
    "copy": shape.copy,
    "accumulate": shape.accumulate,
    "fill_zero": shape.fill_zero,
    "gather": shape.gather,
    "scatter": shape.scatter,
    "prefetch": shape.prefetch,
    "clock": clock.clock,
    "barrier": meeting.barrier,
}
OPCODES = {name: opcode for opcode, name in enumerate(KERNELS)}
# Not a kernel: the head of a group of instructions that are run block by block.
BLOCKS = len(KERNELS)
