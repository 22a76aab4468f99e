from .backend import Symbolic as Symbolic
from .count import count_forms as count_forms
from .evaluate import EngineCompiled as EngineCompiled
from .evaluate import SourceCompiled as SourceCompiled
from .size import Count as Count
from .write import LANGUAGES as LANGUAGES
from .write import formula as formula
