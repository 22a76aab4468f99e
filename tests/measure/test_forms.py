"""The three symbolic forms side by side; what explodes is stopped from outside."""

from __future__ import annotations

import time

from diffkit import measure
from diffkit.measure.limits import Limits

SMALL = measure.Network((2, 2, 2, 1), batch=4)
DEEP = measure.Network((4, 4, 4, 4, 4, 4, 4, 4, 1), batch=4)
UNBOUNDED = {"max_operations": 10**30, "max_bytes": 10**30, "max_seconds": 1e9}


def test_three_forms_side_by_side():
    forms = measure.symbolic_forms(SMALL, Limits(seconds=60))
    assert [form.form for form in forms] == ["expanded", "cse", "shared"]
    for form in forms:
        assert (form.status, form.message, form.counted) == ("ok", "", "derived")
        assert form.height > 5
        assert form.tree_operations > form.shared_operations > 10
        assert form.tree_nodes > form.shared_nodes > 10
        assert form.sharing_ratio == form.tree_nodes / form.shared_nodes
        assert form.source_bytes > 100
        assert {"derive", "print", "compile"} <= set(form.seconds)
    expanded, cse, shared = forms
    assert expanded.tree_operations == cse.tree_operations
    assert expanded.shared_operations > cse.shared_operations
    assert expanded.source_bytes > shared.source_bytes


def test_sympys_own_diff_is_stopped_in_time_and_the_shared_form_goes_on():
    start = time.perf_counter()
    options = {**UNBOUNDED, "differ": "sympy"}
    forms = measure.symbolic_forms(
        DEEP, Limits(seconds=4), forms=("expanded", "shared"), options=options
    )
    assert [form.status for form in forms] == ["timeout", "ok"]
    assert forms[0].message == "stopped after 4 seconds"
    # Stopped, and its size is known all the same.
    assert [form.counted for form in forms] == ["by layers", "derived"]
    assert forms[0].tree_operations > 10**7
    assert forms[0].seconds == {}
    assert forms[1].tree_operations > 10**7
    assert time.perf_counter() - start < 120


def test_a_form_that_outgrows_its_memory_is_stopped():
    (form,) = measure.symbolic_forms(
        DEEP, Limits(seconds=60, bytes=48 << 20), forms=("expanded",), options=UNBOUNDED
    )
    assert form.status == "out_of_memory"
    assert "48 MiB" in form.message


def test_a_budget_that_is_exceeded_is_a_status_with_the_exact_count():
    (form,) = measure.symbolic_forms(DEEP, Limits(seconds=60), forms=("expanded",))
    assert form.status == "too_large"
    assert form.needed > 1_000_000
    assert form.tree_operations > form.needed / 2
    assert "the budget is 1.00e6" in form.message
