from . import checkpoint as checkpoint
from . import data as data
from . import metrics as metrics
from .batches import (
    Batches as Batches,
)
from .callbacks import (
    EpochReport as EpochReport,
)
from .checkpoint import (
    Checkpoint as Checkpoint,
)
from .history import (
    History as History,
)
from .loop import (
    fit as fit,
)
from .stepper import (
    Stepper as Stepper,
)
from .stopping import (
    EarlyStopping as EarlyStopping,
)
