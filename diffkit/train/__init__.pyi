from . import data as data
from . import metrics as metrics
from .batches import (
    Batches as Batches,
)
from .history import (
    History as History,
)
from .loop import (
    fit as fit,
)
