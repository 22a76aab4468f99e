"""The arena plan: buffers that are alive together never overlap."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from diffkit.engine.arena import Demand, plan_arena


@st.composite
def demands(draw):
    """Instructions that each create a buffer from earlier ones; some are pinned."""
    inputs = draw(st.integers(1, 3))
    count = draw(st.integers(1, 25))
    sizes = draw(
        st.lists(st.integers(0, 40), min_size=inputs + count, max_size=inputs + count)
    )
    uses, in_place = [], []
    for k in range(count):
        operands = draw(
            st.lists(st.integers(0, inputs + k - 1), min_size=1, max_size=3)
        )
        uses.append((inputs + k, *operands))
        in_place.append({inputs + k: tuple(operands)} if draw(st.booleans()) else {})
    outputs = draw(st.sets(st.integers(inputs, inputs + count - 1), max_size=3))
    return Demand(sizes, uses, in_place, range(inputs), (), sorted(outputs))


@given(demands(), st.sampled_from([4, 8]))
def test_buffers_alive_together_do_not_overlap(demand, item_bytes):
    plan = plan_arena(demand, item_bytes)
    # Simulate: each element of the arena names the buffer that was written there last.
    owner = np.full(plan.elements + 64, -1)

    def stretch(b):
        return slice(plan.offsets[b], plan.offsets[b] + demand.sizes[b])

    for b in demand.inputs:
        owner[stretch(b)] = b
    for out, *operands in demand.uses:
        for b in operands:
            assert (owner[stretch(b)] == b).all()
        assert plan.offsets[out] + demand.sizes[out] <= plan.elements
        overlapped = set(owner[stretch(out)].tolist()) & set(operands)
        assert all(plan.offsets[b] == plan.offsets[out] for b in overlapped)
        owner[stretch(out)] = out
    for b in (*demand.inputs, *demand.outputs):
        assert (owner[stretch(b)] == b).all()


@given(demands())
def test_outputs_lie_packed_at_the_end(demand):
    plan = plan_arena(demand, 8)
    place = plan.output_start
    for b in demand.outputs:
        assert plan.offsets[b] == place
        place += demand.sizes[b]
    assert place == plan.elements


def test_dead_buffers_are_reused():
    uses = [(k + 1, k) for k in range(50)]
    demand = Demand([100] * 51, uses, [{}] * 50, [0], (), [50])
    plan = plan_arena(demand, 8)
    assert plan.output_start - plan.workspace_start == 2 * 104
    in_place = Demand(
        [100] * 51, uses, [{k + 1: (k,)} for k in range(50)], [0], (), [50]
    )
    plan = plan_arena(in_place, 8)
    assert plan.output_start - plan.workspace_start == 104
