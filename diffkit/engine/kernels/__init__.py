"""The kernels by name; a kernel's opcode is its place in `KERNELS`."""

from __future__ import annotations

from diffkit.engine.kernels import clock, elementwise, product, reduce, shape

KERNELS = {
    **elementwise.KERNELS,
    "sum": reduce.total,
    "inner_product": reduce.inner_product,
    "mean": reduce.mean,
    "prod": reduce.product,
    "max": reduce.largest,
    "min": reduce.smallest,
    "logsumexp": reduce.logsumexp,
    "cumsum": reduce.cumulative_sum,
    "product_small": product.small,
    "product_blas": product.blas,
    "copy": shape.copy,
    "accumulate": shape.accumulate,
    "fill_zero": shape.fill_zero,
    "gather": shape.gather,
    "scatter": shape.scatter,
    "prefetch": shape.prefetch,
    "clock": clock.clock,
}
OPCODES = {name: opcode for opcode, name in enumerate(KERNELS)}
