"""Gradients that the engine reads from, and writes to, the caller's own arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diffkit.backends.base import Direct, Form
from diffkit.backends.runtime import Runner
from diffkit.engine import Machine, Part
from diffkit.graph.packing import common_dtype


def direct_call(
    run: Runner,
    wrt: tuple[int, ...],
    dtypes: Sequence[np.dtype],
    form: Form,
) -> Direct | None:
    """Native calls of a program with the outputs (value, *gradients, *auxiliary).

    See `OffersDirect`. None where the program runs on NumPy, and for dtypes that native
    code does not convert.
    """
    if not isinstance(run, Machine):
        return None
    inputs = range(len(dtypes))
    if form.vector:
        held = set(wrt)
        theta = common_dtype([dtypes[p] for p in wrt])
        read = [Part(theta, wrt, vector=True)]
        read += [Part(dtypes[p], (p,)) for p in inputs if p not in held]
    else:
        read = [Part(dtypes[p], (p,)) for p in inputs]
    first_auxiliary = 1 + len(wrt)
    gradients = tuple(range(1, first_auxiliary))
    written = (
        [Part(run.dtype, gradients, vector=True)]
        if form.vector
        else [Part(run.dtype, (p,)) for p in gradients]
    )
    slots = run.program.outputs
    for p in range(first_auxiliary, len(slots)):
        dtype = np.dtype(np.bool_) if slots[p].boolean else run.dtype
        written.append(Part(dtype, (p,)))
    transfer = run.transfer(read, written, apart=form.apart, finite=form.finite)
    if transfer is None:
        return None
    return Direct(
        transfer.valued(),
        [part.shape(slots) for part in written],
        [part.dtype for part in written],
    )
