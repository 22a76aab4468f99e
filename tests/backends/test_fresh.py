"""Memory of results is used again, and never while anybody has it."""

from __future__ import annotations

from threading import Thread

import numpy as np

from diffkit.backends.fresh import LARGE_BYTES, fresh_arrays

LARGE = (LARGE_BYTES // 8,)
SHAPES = [(3,), LARGE, (2, 2), LARGE]
DTYPES = [np.dtype(np.float64)] * 4


def addresses(arrays):
    return [array.ctypes.data for array in arrays]


def test_shapes_and_dtypes_are_those_asked_for():
    give = fresh_arrays(
        [LARGE, (), (5,)], [np.dtype(k) for k in ("float32", "bool", "f8")]
    )
    for _ in range(4):
        arrays = give()
        assert [(a.shape, a.dtype.char) for a in arrays] == [
            (LARGE, "f"),
            ((), "?"),
            ((5,), "d"),
        ]
        assert all(a.flags.owndata for a in arrays)


def test_a_set_that_was_left_is_given_again():
    give = fresh_arrays(SHAPES, DTYPES)
    first = give()
    places = addresses(first)
    del first
    again = give()
    assert addresses(again)[1::2] == places[1::2]


def test_what_somebody_has_is_not_given_again():
    give = fresh_arrays(SHAPES, DTYPES)
    held = [give() for _ in range(5)]
    views = [arrays[1][5:7] for arrays in held]
    for number, arrays in enumerate(held):
        arrays[1][:] = number
    seen = {address for arrays in held for address in addresses(arrays)[1::2]}
    assert len(seen) == 10
    del arrays
    held.clear()  # now only the views remain, of one large array of each set
    for _ in range(6):
        for array in give()[1::2]:
            array[:] = -1.0
    assert [view.tolist() for view in views] == [[n, n] for n in range(5)]


def test_a_loop_that_holds_its_last_result_needs_two_sets():
    give = fresh_arrays(SHAPES, DTYPES)
    seen = set()
    result = give()
    for _ in range(10):
        result = give()
        seen.add(result[1].ctypes.data)
    assert len(seen) == 2


def test_threads_are_never_given_one_set():
    give = fresh_arrays(SHAPES, DTYPES)
    clashes = []

    def work(number):
        for _ in range(200):
            arrays = give()
            for array in arrays[1::2]:
                array[::1000] = number
            clashes.extend(a for a in arrays[1::2] if (a[::1000] != number).any())

    threads = [Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clashes == []
