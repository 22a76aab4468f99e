"""Load code that a user names: an experiment's file, or ``module:function``.

The one place outside the backend registry that loads code while it runs.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from diffkit.errors import ExperimentError, UserInputError, unknown_name


def load_file(path: Path) -> ModuleType:
    """Run a Python file as a module named after it, outside of any package.

    Raises `ExperimentError` naming the file and line when it cannot be run.
    """
    path = path.resolve()
    name = f"_diffkit_file_{path.stem}"
    if (found := sys.modules.get(name)) is not None and found.__file__ == str(path):
        return found
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ExperimentError(f"{path} is not a Python file that can be loaded.")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look their module up while it is being made.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        line = _line_in(error, path)
        raise ExperimentError(
            f"{path}{line} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    return module


def load_attribute(target: str) -> tuple[ModuleType, Any]:
    """Module and attribute behind ``module:attribute``, looked up from the cwd too.

    >>> module, function = load_attribute("math:hypot")
    >>> function(3, 4)
    5.0

    Raises `UserInputError` for anything that is not such a name, and
    `UnknownNameError` with the nearest name for a missing attribute.
    """
    module_name, colon, attribute = target.partition(":")
    if not (module_name and colon and attribute):
        raise UserInputError(
            f"{target!r} does not name a function: write module:function, "
            "for instance losses:mean_square, or path/to/file.py:function."
        )
    if module_name.endswith(".py"):
        path = Path(module_name)
        if not path.is_file():
            raise UserInputError(f"There is no file {module_name!r}.")
        try:
            module = load_file(path)
        except ExperimentError as error:
            raise UserInputError(str(error)) from error
    else:
        module = _import(module_name)
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            names = [name for name in dir(value) if not name.startswith("_")]
            raise unknown_name(f"attribute of {module_name!r}", part, names)
        value = getattr(value, part)
    return module, value


def _import(name: str) -> ModuleType:
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(missing + "."):
            raise UserInputError(
                f"There is no module named {name!r}, neither installed nor in {here}."
            ) from error
        raise UserInputError(f"Importing {name!r} failed: {error}") from error
    except Exception as error:
        raise UserInputError(
            f"Importing {name!r} failed: {type(error).__name__}: {error}"
        ) from error
    finally:
        if added:
            sys.path.remove(here)


def _line_in(error: BaseException, path: Path) -> str:
    line = ""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = f":{trace.tb_lineno}"
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.lineno:
        line = f":{error.lineno}"
    return line
