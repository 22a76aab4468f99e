"""Native calls on the caller's arrays: what is read, refused and copied."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffkit.engine import Part, compile_graph, enter, native_arrays
from diffkit.engine.native_arrays import (
    READ_FLAGS,
    WRITE_FLAGS,
    data_address,
    elements,
    headers_are_known,
    is_array,
    list_item,
    list_length,
    rank,
)
from diffkit.graph import trace

FLOAT64, FLOAT32, BOOL = map(np.dtype, (np.float64, np.float32, np.bool_))


@numba.njit("Tuple((int64, int64, int64, int64))(int64, int64)")
def described(address, i):
    """What native code reads of item i of the list at an address."""
    item = list_item(address, i)
    return list_length(address), data_address(item), elements(item), rank(item)


@numba.njit("boolean(int64, int64, int64, int64, int64)")
def recognised(address, i, array_type, dtype, flags):
    return is_array(list_item(address, i), array_type, dtype, flags)


def recognises(item, dtype=FLOAT64, flags=READ_FLAGS):
    items = [None, item]
    return recognised(id(items), 1, id(np.ndarray), id(dtype), flags)


def test_native_code_reads_what_python_says():
    assert headers_are_known()
    whole = np.arange(60.0).reshape(3, 4, 5)
    arrays = [whole, whole[1:], whole[:, ::2], whole.T, np.array(1.5), np.empty((2, 0))]
    for i, array in enumerate(arrays):
        expected = (len(arrays), array.ctypes.data, array.size, array.ndim)
        assert described(id(arrays), i) == expected


def test_only_plain_arrays_of_the_dtype_are_recognised():
    array = np.ones((2, 3))
    assert recognises(array)
    assert recognises(array, flags=WRITE_FLAGS)
    assert recognises(np.ones((1, 3))[:, ::1])
    fixed = array.copy()
    fixed.flags.writeable = False
    assert recognises(fixed)
    assert not recognises(fixed, flags=WRITE_FLAGS)
    unaligned = np.zeros(17, np.uint8)[1:].view(np.float64)
    others = [
        array.T,
        array[:, ::2],
        unaligned,
        array.astype(">f8"),
        array.astype(np.float32),
        array.astype(int),
        array.view(np.recarray),
        np.ma.masked_array(array),
        np.float64(1.0),
        1.0,
        None,
        [1.0],
        "text",
        array.ctypes,
    ]
    for item in others:
        assert not recognises(item)


@pytest.mark.parametrize(
    "field", ["TYPE", "DATA", "RANK", "SHAPE", "STRIDES", "DTYPE", "FLAGS"]
)
def test_another_layout_of_the_header_is_noticed(field, monkeypatch):
    """A field that lies elsewhere: exchanged with the one before it."""
    place = getattr(native_arrays, field)
    monkeypatch.setattr(native_arrays, field, {1: 0}.get(place, place - 1))
    monkeypatch.setattr(native_arrays, "_words", _safely(native_arrays._words))
    assert not all(map(native_arrays._as_expected, native_arrays._samples()))


def _safely(words):
    """Read no memory that is not ours: a wrong address reads as nothing."""

    def read(address, count):
        try:
            return words(address, count) if address > 1 << 16 else [-1] * count
        except ValueError:
            return [-1] * count

    return read


def transfer_of(function, *examples, read, written, **options):
    machine = compile_graph(trace(function, *examples), "float64")
    transfer = machine.transfer(read, written, **options)
    assert transfer is not None
    return transfer


def sums_and_parts(x, y):
    return np.sum(x) + np.sum(y), 2.0 * x, 3.0 * y, x > 0.5


def test_a_plan_is_data(rng):
    """Inputs from one vector and an array of integers; outputs in a vector of two."""
    x, y = rng.normal(size=(2, 3)), np.array([1, 2])
    transfer = transfer_of(
        sums_and_parts,
        x,
        y,
        read=[Part(FLOAT64, (0,), vector=True), Part(np.dtype(np.int64), (1,))],
        written=[
            Part(FLOAT64, (2, 1), vector=True),
            Part(BOOL, (3,)),
            Part(FLOAT64, (0,)),
        ],
    )
    both, large, total = np.zeros(8), np.zeros((2, 3), bool), np.zeros(())
    assert transfer([x.ravel(), y, both, large, total])
    np.testing.assert_array_equal(both, [3.0, 6.0, *(2 * x).ravel()])
    np.testing.assert_array_equal(large, x > 0.5)
    assert total == pytest.approx(x.sum() + 3)
    value = transfer.valued()
    assert value([x.ravel(), y, both, large, total]) == total
    for wrong in (
        [x.ravel(), y, both, large],
        [x.ravel(), y, both, large, total, total],
        [x, y, both, large, total],
        [x.ravel(), y.astype(np.int32), both, large, total],
        [x.ravel(), y, both, large.astype(float), total],
        [x.ravel(), y, both[:7], large, total],
        [],
    ):
        both[:] = -1
        assert not transfer(wrong)
        assert value(wrong) is None
        assert (both == -1).all()


def test_neighbours_are_copied_at_once_and_nothing_is_no_copy():
    parts = [np.zeros(8), np.zeros((0, 2)), np.zeros(16), np.zeros(())]
    machine = compile_graph(trace(lambda *p: tuple(2.0 * x for x in p), *parts))
    everything = (0, 1, 2, 3)
    transfer = machine.transfer(
        [Part(FLOAT64, everything, vector=True)],
        [Part(FLOAT64, everything, vector=True)],
    )
    assert transfer is not None
    _, copies_in, copies_out, _ = transfer._tables
    sizes = copies_out[:, enter.COPY_ELEMENTS]
    assert sizes.tolist() == [25]  # outputs lie packed
    assert copies_in[:, enter.COPY_ELEMENTS].sum() == 25
    assert len(copies_in) <= 3
    out = np.zeros(25)
    assert transfer([np.arange(25.0), out])
    np.testing.assert_array_equal(out, 2 * np.arange(25.0))


@pytest.mark.parametrize("table", [1, 2])
@pytest.mark.parametrize("field", [enter.COPY_OFFSET, enter.COPY_PLACE])
def test_a_planted_wrong_copy_is_found(table, field, rng):
    """What the tests compare does see one copy that is off by one element."""
    x, y = rng.normal(size=(2, 3)), rng.normal(size=4)
    whole = [Part(FLOAT64, (p,)) for p in (0, 1)]
    written = [Part(FLOAT64, (p,)) for p in (1, 2)]
    transfer = transfer_of(sums_and_parts, x, y, read=whole, written=written)
    doubled, tripled = np.zeros((2, 3)), np.zeros(4)

    def right():
        assert transfer([x, y, doubled, tripled])
        return np.array_equal(doubled, 2 * x) and np.array_equal(tripled, 3 * y)

    assert right()
    row = transfer._tables[table][0]
    row[enter.COPY_ELEMENTS] -= 1
    row[field] += 1
    assert not right()


def test_what_is_not_finite_is_no_answer():
    transfer = transfer_of(
        lambda x: (np.sum(np.exp(x)), 1.0 * x),
        np.zeros(2),
        read=[Part(FLOAT64, (0,))],
        written=[Part(FLOAT64, (1,))],
        finite=True,
    ).valued()
    out = np.zeros(2)
    for bad in (np.nan, 1000.0):
        assert transfer([np.array([bad, 0.0]), out]) is None
        np.testing.assert_array_equal(out, 0.0)
    assert transfer([np.zeros(2), out]) == 2.0


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 6)), min_size=2, max_size=24),
    st.data(),
)
def test_shared_memory_is_found_wherever_it_is(stretches, data):
    """Against NumPy's own answer for each pair, for arrays cut from one block."""
    count = len(stretches)
    written = data.draw(st.integers(1, count - 1))
    sizes = [size for _, size in stretches]
    key = (tuple(sizes[: count - written]), tuple(sizes[count - written :]))
    transfer = apart(*key)
    block = np.zeros(70)
    arrays = [block[start : start + size] for start, size in stretches]
    clash = any(
        np.shares_memory(arrays[i], arrays[j])
        for i in range(count)
        for j in range(max(i + 1, count - written), count)
    )
    assert transfer(arrays) == (not clash)


def apart(read_sizes, written_sizes):
    def copies(*inputs):
        ones = [np.ones(size) * inputs[0].sum() for size in written_sizes]
        return tuple(ones)

    examples = [np.zeros(size) for size in read_sizes]
    return transfer_of(
        copies,
        *examples,
        read=[Part(FLOAT64, (p,)) for p in range(len(read_sizes))],
        written=[Part(FLOAT64, (p,)) for p in range(len(written_sizes))],
        apart=True,
    )


def test_what_native_code_does_not_convert_has_no_transfer():
    machine = compile_graph(trace(lambda x: (np.sum(x), x > 0), np.zeros(3)))
    good = Part(FLOAT64, (0,))
    for dtype in (np.int8, np.uint16, np.float16, ">f8", ">i4"):
        assert machine.transfer([Part(np.dtype(dtype), (0,))], [good]) is None
    assert machine.transfer([good], [Part(FLOAT32, (0,))]) is None
    assert machine.transfer([good], [Part(FLOAT64, (1,))]) is None
    assert machine.transfer([good], [Part(FLOAT64, (0, 1), vector=True)]) is None
    assert machine.transfer([good], [good, Part(BOOL, (1,))]) is not None
