"""The table while it grows: buffers, instructions and index lists."""

from __future__ import annotations

import numpy as np

from diffkit.engine.kernels import OPCODES
from diffkit.engine.kernels.fields import COUNT, LIST, RANK, WIDTH
from diffkit.engine.views import (
    Shape,
    Strides,
    View,
    contiguous,
    merged,
)

NONE = -1
# Elements of what is moved for little: copied once for all its readers, and computed
# where it is wanted rather than copied there. Larger arrays keep memory for shorter.
SMALL = 1024


class Assembly:
    """Grows a program instruction by instruction; offsets are relative to buffers.

    The only mutable thing of the lowering. `buffers[i]` are the buffers of
    instruction i's out, a, b and c; `in_place[i]` those its output may lie on.
    """

    def __init__(self, dtype: np.dtype, threads: int = 1) -> None:
        self.dtype = dtype
        self.threads = threads
        self.sizes: list[int] = []
        self.rows: list[list[int]] = []
        self.buffers: list[tuple[int, int, int, int]] = []
        self.in_place: list[tuple[int, ...]] = []
        # The graph's node that is being lowered, and the one of each instruction.
        self.node = NONE
        self.nodes: list[int] = []
        self.constants: list[tuple[int, np.ndarray]] = []
        self.pinned: set[int] = set()
        # A buffer that is a part of another one, and where in it it begins.
        self.inside: dict[int, tuple[int, int]] = {}
        self._copies: dict[View, View] = {}
        self._lists: list[np.ndarray] = []
        self._list_length = 0
        self._known_lists: dict[tuple[int, ...], int] = {}
        self._known_scalars: dict[bytes, View] = {}

    # ---- buffers --------------------------------------------------------------

    def new(self, shape: Shape) -> View:
        """A fresh contiguous buffer."""
        strides = contiguous(shape)
        size = 1
        for n in shape:
            size *= n
        self.sizes.append(size)
        return View(len(self.sizes) - 1, 0, shape, strides)

    def input(self, shape: Shape) -> View:
        """A buffer that the caller fills before every run."""
        view = self.new(shape)
        self.pinned.add(view.buffer)
        return view

    def constant(self, array: np.ndarray) -> View:
        """A buffer filled once; a scalar, or many times the same one, is kept once."""
        values = np.ascontiguousarray(array, dtype=self.dtype).ravel()
        uniform = values.size > 0 and bool(np.all(values == values[0]))
        if uniform and not np.any(np.signbit(values) != np.signbit(values[0])):
            key = values[:1].tobytes()
            known = self._known_scalars.get(key)
            if known is None:
                known = self._known_scalars[key] = self._filled(values[:1], ())
            shape = array.shape
            return View(known.buffer, 0, shape, (0,) * len(shape))
        return self._filled(values, array.shape)

    def cell(self) -> View:
        """A cache line of zeros, for a counter: a constant that is its owner's."""
        return self._filled(np.zeros(64 // self.dtype.itemsize, self.dtype), (1,))

    def _filled(self, values: np.ndarray, shape: Shape) -> View:
        view = self.new(shape)
        self.pinned.add(view.buffer)
        self.constants.append((view.buffer, values))
        return view

    # ---- instructions -----------------------------------------------------------

    def emit(
        self,
        kernel: str,
        fields: tuple[int, ...],
        out: View,
        *operands: View,
        in_place: tuple[int, ...] = (),
    ) -> None:
        """Append one instruction; `fields` follow opcode, out, a, b and c."""
        offsets = [view.offset for view in operands]
        places = [view.buffer for view in operands]
        missing = 3 - len(operands)
        row = [OPCODES[kernel], out.offset, *offsets, *([0] * missing), *fields]
        row += [0] * (WIDTH - len(row))
        self.rows.append(row)
        a, b, c = (*places, *([NONE] * missing))
        self.buffers.append((out.buffer, a, b, c))
        self.in_place.append(in_place)
        self.nodes.append(self.node)

    def list_of(self, values: tuple[int, ...]) -> int:
        """Where a short list begins in the program's index lists; equal ones once."""
        known = self._known_lists.get(values)
        if known is None:
            known = self._known_lists[values] = self.add_list(
                np.array(values, np.int64)
            )
        return known

    def add_list(self, values: np.ndarray) -> int:
        """Append an index list and say where it begins."""
        start = self._list_length
        self._lists.append(values)
        self._list_length += values.size
        return start

    def list_array(self) -> np.ndarray:
        """All lists, one after the other; never empty, so that it has an address."""
        return np.concatenate([*self._lists, np.zeros(1, np.int64)])

    # ---- moving elements ----------------------------------------------------------

    def move(self, kernel: str, source: View, target: View) -> None:
        """Copy (or accumulate) a view into another of its shape, any strides."""
        if source.elements == 0:
            return
        loops = merged(source.shape, (source.strides, target.strides))
        loops = [(1, 0, 0)] * (2 - len(loops)) + loops
        rank = len(loops)
        blocks = 1
        for n, *_ in loops[:-2]:
            blocks *= n
        start = self.list_of(tuple(loop[part] for part in range(3) for loop in loops))
        fields = (blocks, start, rank)
        assert (COUNT, LIST, RANK) == (5, 6, 7)
        self.emit(kernel, fields, target, source)

    def copied(self, view: View) -> View:
        """A contiguous copy."""
        out = self.new(view.shape)
        self.move("copy", view, out)
        return out

    def copied_once(self, view: View) -> View:
        """A contiguous copy; a small one is kept for whoever else asks for it."""
        if view.elements > SMALL:
            return self.copied(view)
        copy = self._copies.get(view)
        if copy is None:
            copy = self._copies[view] = self.copied(view)
        return copy

    def put(self, view: View, target: View) -> None:
        """Bring a view into a part of another buffer, copied only if it must be.

        A small array in a whole buffer of its own is computed at its target.
        """
        buffer = view.buffer
        if (
            0 < view.elements <= SMALL
            and view.elements == self.sizes[buffer]
            and view.offset == 0
            and view.is_contiguous
            and target.is_contiguous
            and buffer not in self.pinned
            and buffer not in self.inside
        ):
            self.inside[buffer] = (target.buffer, target.offset)
        else:
            self.move("copy", view, target)

    def dense(self, view: View) -> View:
        """The view itself if it is contiguous, else a copy that is."""
        return view if view.is_contiguous else self.copied(view)

    def fill_zero(self, out: View) -> None:
        """Zeros in a whole contiguous view."""
        if out.elements:
            self.emit("fill_zero", (out.elements,), out)


def same_place(first: View, second: View) -> bool:
    """Whether two views show the same elements in the same order."""
    return first == second


def with_layout(view: View, shape: Shape, strides: Strides) -> View:
    """The same buffer and offset, walked otherwise."""
    return View(view.buffer, view.offset, shape, strides)
