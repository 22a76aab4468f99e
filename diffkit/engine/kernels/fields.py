"""Where each field of an instruction lies: one row of int64 in the program's table.

Offsets and strides count elements of the arena. Elementwise, reduction and product
instructions name their fields differently but share the row.
"""

from __future__ import annotations

from typing import Final

WIDTH: Final = 16
OPCODE: Final = 0
OUT: Final = 1
A: Final = 2
B: Final = 3
C: Final = 4

# Elementwise: out is contiguous (outer, inner); inner strides are 0 or 1.
OUTER: Final = 5
INNER: Final = 6
A_OUTER: Final = 7
B_OUTER: Final = 8
C_OUTER: Final = 9
A_INNER: Final = 10
B_INNER: Final = 11
C_INNER: Final = 12

# Reductions: out is contiguous (outer, inner); a has a stride for each loop.
REDUCED: Final = 7
A_STEP_OUTER: Final = 8
A_STEP_REDUCED: Final = 9
A_STEP_INNER: Final = 10
DIVISOR: Final = 11

# Inner products: out = Σ a·b, one stride each.
A_STEP: Final = 6
B_STEP: Final = 7

# Products: out[s] = a[s] @ b[s], (m, k) by (k, n), any strides.
ROWS: Final = 5
COLUMNS: Final = 6
DEPTH: Final = 7
A_ROW: Final = 8
A_COLUMN: Final = 9
B_ROW: Final = 10
B_COLUMN: Final = 11
STACK: Final = 12
A_STACK: Final = 13
B_STACK: Final = 14
# Packed products: elements from one row of out to the next; c is room for the packs.
OUT_ROW: Final = 15

# A group of instructions run block by block: the head says how many follow it, and how
# far they are walked at a time: rows of the outer loop, or elements of the inner one.
MEMBERS: Final = 5
LENGTH: Final = 6
STEP: Final = 7
ALONG_INNER: Final = 8
# Of its members: which of out, a, b and c (bits 0 to 3) lie in room for one block; and
# for a sum over the outer loop, the kernel that goes on with it (0 for all others).
ROOM: Final = 13
GOES_ON: Final = 14

# Copies, and inner products: so many elements. `LIST` is where the dimensions, steps
# or indices start in the index lists.
COUNT: Final = 5
LIST: Final = 6
RANK: Final = 7

# Readings of the clock: the address of the C library's function, where in the index
# lists it writes the time (`LIST`), and which clock it reads.
ADDRESS: Final = 5
WHICH: Final = 7
