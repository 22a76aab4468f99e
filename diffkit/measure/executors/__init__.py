"""Executors take cells and give how they ended, as they end.

Here, one at a time or several at once (`Local`), or on a Dask cluster (`Cluster`).
Whatever runs them, the sweep alone writes to the store.
"""

from diffkit.measure.executors.cluster import Cluster as Cluster
from diffkit.measure.executors.local import Local as Local
from diffkit.measure.executors.task import (
    Ended as Ended,
)
from diffkit.measure.executors.task import (
    Executor as Executor,
)
from diffkit.measure.executors.task import (
    Task as Task,
)
