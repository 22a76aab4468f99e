"""Every promise that a backend makes, kept by other libraries as well."""

from __future__ import annotations

import pytest

import diffkit as dk
from diffkit.backends.registry import PEERS, backend_availability
from diffkit.testing.conformance import CHECKS

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", PEERS)
def test_promise(name, check):
    entry = backend_availability()[name]
    if not entry.available:
        pytest.skip(entry.reason)
    CHECKS[check](dk.get_backend(name))
