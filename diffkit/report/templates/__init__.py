"""The words around the numbers: Jinja templates of pages, and the style of the file."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


@cache
def _environment() -> Environment:
    # A fact that is missing is an error; HTML is escaped, Markdown is not.
    return Environment(
        loader=PackageLoader("diffkit.report", "templates"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def template(name: str) -> Template:
    """The template in a file of this folder."""
    return _environment().get_template(name)


def source(name: str) -> str:
    """The text of a file of this folder, as it stands."""
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
