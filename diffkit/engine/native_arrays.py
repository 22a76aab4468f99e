"""NumPy's arrays as native code finds them: by their addresses, in a Python list.

A list of arrays is handed to native code as one number, `id(arrays)`; what stands at
the address is fixed by the binary interfaces of CPython and NumPy. The caller's list
holds a reference to every array for as long as the call lasts, so they can be read
without Python's lock. `headers_are_known` says once whether the interfaces are those
of this file; where they are not, callers must go through Python.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from diffkit.engine.jit import intrinsic, scalar
from diffkit.engine.kernels.memory import int64_pointer

# Fields of CPython's object and list, and of NumPy's array, in words of 8 bytes.
TYPE: Final = 1
LIST_LENGTH: Final = 2
LIST_ITEMS: Final = 3
DATA: Final = 2
RANK: Final = 3  # an int: the lower half of the word
SHAPE: Final = 4
STRIDES: Final = 5
DTYPE: Final = 7
FLAGS: Final = 8  # an int, too
HALF_WORD: Final = 0xFFFFFFFF
WORD_BYTES: Final = 8
HEADER_WORDS: Final = 9

# NumPy's flags of an array: C order, aligned, and that it may be written to.
CONTIGUOUS: Final = 0x0001
ALIGNED: Final = 0x0100
WRITEABLE: Final = 0x0400
READ_FLAGS: Final = CONTIGUOUS | ALIGNED
WRITE_FLAGS: Final = READ_FLAGS | WRITEABLE


@scalar
def list_length(address):
    """How many items the list at an address has."""
    return int64_pointer(address)[LIST_LENGTH]


@scalar
def list_item(address, i):
    """The address of item i of the list at an address."""
    return int64_pointer(int64_pointer(address)[LIST_ITEMS])[i]


@scalar
def data_address(array):
    """Where the first element of the array at an address lies."""
    return int64_pointer(array)[DATA]


@scalar
def rank(array):
    """How many axes the array at an address has."""
    return int64_pointer(array)[RANK] & HALF_WORD


@scalar
def elements(array):
    """How many elements the array at an address has."""
    shape = int64_pointer(int64_pointer(array)[SHAPE])
    count = 1
    for axis in range(rank(array)):
        count *= shape[axis]
    return count


@scalar
def is_array(item, array_type, dtype, flags):
    """Whether an item of a list is an array of this very dtype and with these flags.

    `array_type` is `id(np.ndarray)` and `dtype` the `id` of a built-in dtype, of which
    there is one object each: a subclass, and an equal dtype that is another object, are
    not. Nothing else of an item may be read before this holds.
    """
    header = int64_pointer(item)
    return (
        header[TYPE] == array_type
        and header[DTYPE] == dtype
        and header[FLAGS] & flags == flags
    )


@intrinsic
def copy_bytes(typingctx, target, source, count):
    """Copy so many bytes from one address to another; they do not overlap."""

    def codegen(context, builder, signature, arguments):
        to, origin, size = arguments
        cgutils.raw_memcpy(
            builder,
            builder.inttoptr(to, cgutils.voidptr_t),
            builder.inttoptr(origin, cgutils.voidptr_t),
            size,
            1,
        )
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def call_native(typingctx, function, argument):
    """Call the native function of one int64 that lies at an address."""

    def codegen(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)])
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), [arguments[1]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@cache
def headers_are_known() -> bool:
    """Whether lists and arrays begin with the fields that this file reads.

    False on other interpreters, on builds without Python's lock (there the object at an
    address may change while it is read), on other word sizes, and for a NumPy whose
    arrays are laid out differently.
    """
    plain = (
        sys.implementation.name == "cpython"
        and sys.byteorder == "little"
        and object.__basicsize__ == 2 * WORD_BYTES
        and list.__basicsize__ >= (LIST_ITEMS + 1) * WORD_BYTES
        and np.ndarray.__basicsize__ >= HEADER_WORDS * WORD_BYTES
    )
    return plain and _list_as_expected() and all(map(_as_expected, _samples()))


def _samples() -> list[np.ndarray]:
    whole = np.zeros((2, 3, 5))
    fixed = np.zeros(7, np.float32)
    fixed.flags.writeable = False
    packed = np.zeros(2, np.dtype([("a", np.int8), ("b", np.float64)]))
    return [
        whole,
        whole[::-1, 1:, ::2],
        whole.T,
        fixed,
        packed["b"],
        np.zeros((), np.bool_),
        np.zeros((3, 0), np.int64),
    ]


def _words(address: int, count: int) -> list[int]:
    return list((ctypes.c_int64 * count).from_address(address))


def _list_as_expected() -> bool:
    items = [object(), object(), object()]
    words = _words(id(items), LIST_ITEMS + 1)
    return (
        words[TYPE] == id(list)
        and words[LIST_LENGTH] == len(items)
        and _words(words[LIST_ITEMS], len(items)) == [id(item) for item in items]
    )


def _as_expected(array: np.ndarray) -> bool:
    """Every field of an array's header is what Python says of the array."""
    words = _words(id(array), HEADER_WORDS)
    if words[RANK] & HALF_WORD != array.ndim:
        return False
    flags = {
        CONTIGUOUS: array.flags.c_contiguous,
        ALIGNED: array.flags.aligned,
        WRITEABLE: array.flags.writeable,
    }
    return (
        words[TYPE] == id(np.ndarray)
        and words[DATA] == array.ctypes.data
        and words[DTYPE] == id(array.dtype)
        and _words(words[SHAPE], array.ndim) == list(array.shape)
        and _words(words[STRIDES], array.ndim) == list(array.strides)
        and all(bool(words[FLAGS] & flag) == is_set for flag, is_set in flags.items())
    )
