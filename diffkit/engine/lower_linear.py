"""Lowering of matrix products: stacks, transposed operands, and who multiplies."""

from __future__ import annotations

from diffkit.engine.instructions import Assembly
from diffkit.engine.kernels.packed import scratch_elements
from diffkit.engine.kernels.product import multiplier
from diffkit.engine.kernels.tile import VECTOR_BYTES
from diffkit.engine.views import View, broadcast, merged
from diffkit.graph import Node


def lower_matmul(assembly: Assembly, node: Node, operands: list[View]) -> View:
    """One instruction for a product or a stack of them, after the copies it needs."""
    a, b = operands
    out = assembly.new(node.shape)
    if out.elements == 0:
        return out
    depth = a.shape[-1]
    if depth == 0:
        assembly.fill_zero(out)
        return out
    stack = node.shape[:-2]
    rows, columns = node.shape[-2:]
    a = broadcast(a, (*stack, rows, depth))
    b = broadcast(b, (*stack, depth, columns))
    count, a_stack, b_stack = 1, 0, 0
    loops = merged(stack, (a.strides[:-2], b.strides[:-2]))
    if len(loops) > 1:
        a, b = assembly.dense(a), assembly.dense(b)
        loops = merged(stack, (a.strides[:-2], b.strides[:-2]))
    if loops:
        ((count, a_stack, b_stack),) = loops
    a_row, a_column = a.strides[-2:]
    if count > 1 and b_stack == 0 and (rows == 1 or a_stack == rows * a_row):
        # One matrix for the whole stack: the stack is more rows of a.
        a_row = a_row if rows > 1 else a_stack
        rows, count, a_stack = rows * count, 1, 0
    a = View(a.buffer, a.offset, (count, rows, depth), (a_stack, a_row, a_column))
    b = View(b.buffer, b.offset, (count, depth, columns), (b_stack, *b.strides[-2:]))
    _MULTIPLIERS[multiplier(rows, depth, columns)](assembly, out, a, b)
    return out


def _small(assembly: Assembly, out: View, a: View, b: View) -> None:
    rows, columns = a.shape[1], b.shape[2]
    lanes = VECTOR_BYTES // assembly.dtype.itemsize
    if columns == 1 and a.strides[1] == 1 and rows >= lanes:
        # A turned matrix times a vector is the vector's row times the matrix.
        a, b = _turned(b), _turned(a)
    elif columns >= 2 and b.strides[2] != 1:
        b = assembly.copied(b)
    a, b = _with_unit_strides(a), _with_unit_strides(b)
    _emit(assembly, "product_small", out, a, b)


def _packed(assembly: Assembly, out: View, a: View, b: View) -> None:
    _, rows, depth = a.shape
    room = scratch_elements(rows, depth, assembly.dtype.itemsize)
    packs = assembly.new((room * assembly.threads,))
    _emit(assembly, "product_packed", out, a, b, packs)


def _blas(assembly: Assembly, out: View, a: View, b: View) -> None:
    _emit(
        assembly,
        "product_blas",
        out,
        _blas_operand(assembly, a),
        _blas_operand(assembly, b),
    )


_MULTIPLIERS = {
    "product_small": _small,
    "product_packed": _packed,
    "product_blas": _blas,
}


def _blas_operand(assembly: Assembly, view: View) -> View:
    """The view with one stride of 1 and a leading stride that BLAS accepts."""
    view = _with_unit_strides(view)
    _, rows, columns = view.shape
    _, row, column = view.strides
    if (column == 1 and row >= columns) or (row == 1 and column >= rows):
        return view
    return _with_unit_strides(assembly.copied(view))


def _with_unit_strides(view: View) -> View:
    """Strides of axes of length one, which are free, chosen as if in a dense matrix."""
    _, rows, columns = view.shape
    stack, row, column = view.strides
    if columns == 1 and rows == 1:
        row, column = 1, 1
    elif columns == 1:
        # A column: dense when its rows follow each other, else rows `row` apart.
        column = 1
    elif rows == 1:
        row = columns if column == 1 else 1
    return View(view.buffer, view.offset, view.shape, (stack, row, column))


def _turned(view: View) -> View:
    count, rows, columns = view.shape
    stack, row, column = view.strides
    return View(view.buffer, view.offset, (count, columns, rows), (stack, column, row))


def _emit(
    assembly: Assembly, kernel: str, out: View, a: View, b: View, *room: View
) -> None:
    count, rows, depth = a.shape
    columns = b.shape[2]
    a_stack, a_row, a_column = a.strides
    b_stack, b_row, b_column = b.strides
    fields = (rows, columns, depth, a_row, a_column, b_row, b_column)
    fields = (*fields, count, a_stack, b_stack, columns)
    assembly.emit(kernel, fields, out, a, b, *room)
