"""Numba's decorators with the engine's options, each said once.

Everywhere NaN and infinities keep their meaning: products and sums may contract into
fused multiply-adds, and in `summing` code sums may be taken in several partial sums,
which is what vector code does; nothing assumes finite numbers. Division by zero gives
an infinity, as in NumPy. They are typed `Any` because Numba's decorators hide what
they return from a type checker.
"""

from __future__ import annotations

from typing import Any

import numba
from numba import extending
from numba.core import config

CONTRACT = {"contract"}
SUMMING = {"contract", "reassoc"}

# Written in LLVM's own instructions.
intrinsic: Any = extending.intrinsic
# Functions of numbers, copied into the loop that calls them so that it vectorises.
scalar: Any = numba.njit(fastmath=CONTRACT, error_model="numpy", forceinline=True)
# The same, rounded after every operation: as if each were an instruction of its own.
# Said in so many words: a function that leaves it open is given its caller's mode.
rounding_scalar: Any = numba.njit(fastmath=False, error_model="numpy", forceinline=True)
summing_scalar: Any = numba.njit(
    fastmath=SUMMING, error_model="numpy", forceinline=True
)
# Loops over memory: called, not copied, so that the machine compiles in seconds.
kernel: Any = numba.njit(fastmath=CONTRACT, error_model="numpy")
rounding_kernel: Any = numba.njit(fastmath=False, error_model="numpy")
summing_kernel: Any = numba.njit(fastmath=SUMMING, error_model="numpy")
# Put into the entry point before anything is compiled: what is a function of its own
# there is optimised with all that it calls, and then again in its caller.
inlined: Any = numba.njit(error_model="numpy", inline="always")
# The entry points: no strict typing of their decorator either.
compile_native: Any = numba.njit
# Numba's settings, which its stubs do not declare.
settings: Any = config
