"""The surface: sliders' points have their own losses and gradients, by every way."""

import re

import numpy as np
import pytest

from diffkit.lesson import heat
from diffkit.lesson.data import Data
from diffkit.lesson.sections import surface
from tests.lesson.conftest import REPORTS


@pytest.fixture(scope="module")
def view(registry):
    return surface.view(Data(REPORTS, registry.found))


def test_each_place_of_the_sliders_has_its_loss_and_its_slopes(view):
    legacy = np.random.RandomState(42)
    x = legacy.randn(100)
    y = 2 * x + 0.5 + 0.1 * legacy.randn(100)
    payload = view.payload
    assert len(payload["ways"]) == 5
    places = [(w, b) for w in payload["w"] for b in payload["b"]]
    assert len(places) == 169
    off = [w * x + b - y for w, b in places]
    np.testing.assert_allclose(payload["loss"], [np.mean(e**2) for e in off], rtol=1e-6)
    for along_w, along_b, apart in payload["ways"]:
        np.testing.assert_allclose(
            along_w, [2 * np.mean(e * x) for e in off], rtol=1e-5, atol=1e-7
        )
        np.testing.assert_allclose(
            along_b, [2 * np.mean(e) for e in off], rtol=1e-5, atol=1e-7
        )
        assert max(apart) < 1e-7


def test_the_optimum_and_the_origin_are_those_of_the_claims(view):
    facts = view.facts
    assert (facts["w"].text, facts["b"].text) == ("1.986", "0.501")
    assert facts["origin"].text == "3.3151"
    start = [
        view.payload[name][at] for name, at in zip("wb", facts["start"], strict=True)
    ]
    assert start == [0.0, 0.0]


def test_the_still_drawing_has_arrows_of_every_way_on_one_another(view):
    drawn = re.findall(
        r'<path class="arrow look(\d) wide\d" d="([^"]+)"', view.facts["drawing"]
    )
    assert [look for look, _ in drawn] == list("12345")
    assert len({path for _, path in drawn}) == 1
    assert drawn[0][1].count("M") == 2 * 16


@pytest.mark.parametrize(
    "tip, size", [((100, 0), 9.0), ((6, 0), 3.0), ((0.5, 0.5), None)]
)
def test_heads_are_no_longer_than_arrows(tip, size):
    drawn = surface.arrow((0, 0), tip)
    if size is None:
        assert drawn == ""
    else:
        assert f"M{tip[0] - size:g} " in drawn


def test_bands_rise_with_the_height_and_cover_the_grid():
    values = [float(i * i + j) for i in range(5) for j in range(4)]
    heights = heat.Heights(range(5), range(4), values)
    edges = [heights.edge(band) for band in range(10)]
    assert edges == sorted(edges)
    assert edges[0] == min(values)
    for band, edge in enumerate(edges):
        assert heights.band(edge * (1 + 1e-9) + 1e-12) == band
    assert {heights.band(v) for v in values} <= set(range(10))
    assert heights.thinned(2).values == [0, 2, 4, 6, 16, 18]
    flat = heat.Heights([0, 1], [0, 1], [2.0] * 4)
    assert flat.band(2.0) == 0
