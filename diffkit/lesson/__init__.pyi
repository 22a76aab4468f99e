from . import exercises as exercises
from .build import Built as Built
from .build import build as build
from .build import is_stale as is_stale
from .build import page_path as page_path
from .build import write as write
