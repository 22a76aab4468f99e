"""Random programs for property tests, picked by hypothesis.

What they are made of is in `diffkit.measure.programs`, which the fuzzing experiment
grows with a seeded generator instead.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from diffkit.measure.programs import (
    SHAPES,
    Pick,
    RandomProgram,
    grown,
    random_leaves,
)


def picking(draw: st.DrawFn) -> Pick:
    """Choices that hypothesis makes, and shrinks towards the first of each list."""
    return lambda items: draw(st.sampled_from(list(items)))


@st.composite
def programs(draw: st.DrawFn, most_steps: int = 8) -> RandomProgram:
    """A random scalar program over one to three inputs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    leaves = random_leaves(rng, shapes)
    return grown(leaves, draw(st.integers(1, most_steps)), picking(draw))
