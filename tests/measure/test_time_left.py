"""The estimate of what is left, from cells whose seconds are known."""

from diffkit.measure.rows import case
from diffkit.measure.time_left import TimeLeft


def cases(name, count, timed):
    return [case(name, "null", timed=timed, place=i) for i in range(count)]


def test_cells_of_one_kind_are_taken_to_be_alike():
    slow, fast = cases("a", 3, True), cases("b", 8, False)
    left = TimeLeft([*slow, *fast], workers=2)
    assert left.seconds is None
    left.did(slow[0], 10.0, reused=False)
    assert left.seconds == 2 * 10.0 + 8 * 10.0 / 2  # nothing is known of b yet
    left.did(fast[0], 1.0, reused=False)
    left.did(fast[1], 3.0, reused=False)
    assert left.seconds == 2 * 10.0 + 6 * 2.0 / 2


def test_what_a_cell_took_before_is_believed_whatever_the_others_take():
    timed, counted = cases("a", 3, True), cases("b", 4, False)
    known = {timed[0]: 80.0, timed[1]: 2.0, counted[0]: 6.0}
    left = TimeLeft([*timed, *counted], 2, known)
    assert left.seconds is None
    left.did(timed[0], 100.0, reused=False)
    assert left.seconds == 2.0 + 100.0 + 6.0 / 2 + 3 * 100.0 / 2
    left.did(counted[1], 1.0, reused=False)
    assert left.seconds == 2.0 + 100.0 + 6.0 / 2 + 2 * 1.0 / 2


def test_cells_from_the_store_are_done_and_teach_nothing():
    all_of_them = cases("a", 3, True)
    left = TimeLeft(all_of_them)
    left.did(all_of_them[0], 100.0, reused=True)
    assert left.seconds is None
    left.did(all_of_them[1], 2.0, reused=False)
    assert left.seconds == 2.0
    left.did(all_of_them[2], 2.0, reused=False)
    assert left.seconds == 0.0
