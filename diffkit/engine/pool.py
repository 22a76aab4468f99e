"""The threads that run programs together: started once, and again after a fork."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock


class _Pool:
    """As many threads as the widest call ever had, less the caller's own."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.width = 0
        self.executor: ThreadPoolExecutor | None = None

    def submit(
        self, run: Callable[[int], None], addresses: Sequence[int]
    ) -> list[Future[None]]:
        """Hand all over in one go: the queue keeps those of one call together."""
        with self.lock:
            if self.executor is None or len(addresses) > self.width:
                if self.executor is not None:
                    self.executor.shutdown(wait=True)
                self.width = len(addresses)
                self.executor = ThreadPoolExecutor(self.width, "diffkit-engine")
            return [self.executor.submit(run, address) for address in addresses]


_POOL = _Pool()


def together(run: Callable[[int], None], addresses: Sequence[int]) -> None:
    """Call `run` with every address at the same time, the first in this thread.

    They wait for each other natively, so each must get a thread sooner or later: what
    was handed over first is started first, whole calls before others.
    """
    first, *others = addresses
    waiting = _POOL.submit(run, others)
    run(first)
    for one in waiting:
        one.result()


if hasattr(os, "register_at_fork"):
    # A forked child has no threads but the one that forked.
    os.register_at_fork(after_in_child=_POOL.__init__)
