"""Remembering: paths and nodes by hand, the recorded program, ratios and bytes."""

import pytest

from diffkit import functions
from diffkit.graph import reverse, trace
from diffkit.lesson import data
from diffkit.lesson.sections import remember
from tests.lesson.conftest import REPORTS
from tests.lesson.partial import changed, linked


@pytest.fixture(scope="module")
def view(registry):
    return remember.view(data.Data(REPORTS, registry.found))


def test_paths_multiply_and_nodes_add(view):
    depths = view.payload["depths"]
    for width, found in view.payload["paths"].items():
        for depth, (paths, nodes) in zip(depths, found, strict=True):
            assert paths == width ** (depth - 1)
            assert nodes == width * depth + 1


def test_the_program_is_the_one_that_is_recorded_today(view):
    def loss(w, b, x, target):
        return (functions.relu(x * w + b) - target) ** 2

    forward = trace(loss, 0.8, 0.3, 1.5, 2.0)
    both = reverse(forward, (0, 1)).listing().splitlines()
    first = len(forward.nodes)
    assert view.facts["forward"].splitlines() == both[:first]
    assert view.facts["backward"].splitlines() == both[first:]
    assert float(view.facts["both_nodes"]) == len(both)


def test_operations_stay_between_one_and_four_forward_passes(view):
    assert view.payload["layers"][0] == 1
    for _, operations in view.payload["ratios"]:
        assert 1 < operations < 4


def test_the_claims_are_the_rules_of_the_drawing(view):
    for words, at in remember.CLAIMED.items():
        assert words in view.facts["ratio_drawing"]
        assert at in (1.0, 2.0)


def test_checkpoints_trade_operations_for_bytes(view):
    trade = {name: (size, work) for name, size, work in view.payload["trade"]}
    assert trade["sqrt"][0] < trade["none"][0] / 4
    assert trade["none"][1] < trade["sqrt"][1] < 1.5 * trade["none"][1]
    assert float(view.facts["saved"]) < float(view.facts["all"])


@pytest.mark.parametrize(
    "experiment, old, new, lacks",
    [
        ("backward_trace", "width_4_depth_5_paths", "width_4_depth_5_ways", "depth"),
        ("gradient_cost_ratio", "time_ratio", "other_ratio", "time_ratio"),
        ("memory", "memory,interval,", "memory,other,", "workspace_bytes"),
        ("backward_trace", ",forward_nodes,9,", ",forward_nodes,99,", "no listing"),
    ],
)
def test_what_is_missing_is_a_gap(registry, tmp_path, experiment, old, new, lacks):
    reports = linked(tmp_path)
    changed(reports, experiment, lambda text: text.replace(old, new))
    with pytest.raises(data.GapError, match=lacks) as caught:
        remember.view(data.Data(reports, registry.found))
    assert caught.value.command.startswith(f"diffkit run {experiment} --")
