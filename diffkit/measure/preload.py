"""What a cell's process finds loaded: everything that is paid once and never measured.

On Linux cells are forked from a server that imported this module and nothing else has
happened in: Python, NumPy, Numba's code, SymPy and scikit-learn are loaded, no gradient
has been taken but the one that warms up. So a cell starts in milliseconds.
"""

from __future__ import annotations

import gc
from contextlib import suppress

from diffkit import optim
from diffkit.measure import networks
from diffkit.measure.executors import task
from diffkit.measure.gradient import warm_up
from diffkit.measure.processes import thread_pools
from diffkit.measure.ways import WAYS
from diffkit.train import data

#: Imported for the time it takes.
LOADED = (networks, data, optim, task)

# A mistake in here must not end the server: each cell warms up too, and says so itself.
with suppress(Exception):
    warm_up()
    for way in WAYS.values():
        way.make()

thread_pools()
# What is loaded stays: cells neither look through it nor copy the pages that it is on.
gc.collect()
gc.freeze()
