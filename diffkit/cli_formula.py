"""``diffkit formula``: the gradient of a user's function, written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import diffkit as dk
from diffkit.cli_run import function_and_arguments
from diffkit.errors import UserInputError


@click.command("formula")
@click.argument("target", metavar="MODULE:FUNCTION")
@click.option(
    "--language",
    default="text",
    show_default=True,
    help="text, latex, mathml, python or c.",
)
@click.option(
    "--argnum", default=0, show_default=True, help="The differentiated argument."
)
@click.option(
    "--written-out", is_flag=True, help="Write every sample of a batch, no columns."
)
@click.option(
    "--operations", default=20_000, show_default=True, help="Refuse a longer formula."
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="File to write. Default: stdout."
)
def formula_command(
    target: str,
    language: str,
    argnum: int,
    written_out: bool,
    operations: int,
    output: Path | None,
) -> None:
    """Write the gradient of your function, one named intermediate a line.

    MODULE and the example arguments are found as by `diffkit check`.

    \b
    Examples:
      diffkit formula mylosses:mean_square
      diffkit formula mylosses:mean_square --language latex --output gradient.tex
      diffkit formula path/to/mylosses.py:mean_square --language c
    """
    function, arguments = function_and_arguments(target)
    # Through the registry, which loads SymPy now, and not for `diffkit --help`.
    symbolic: Any = dk.get_backend(
        "symbolic",
        batch="written_out" if written_out else "auto",
        max_operations=operations,
    )
    written = symbolic.formula(
        function,
        arguments,
        language=language,
        argnums=argnum,
    )
    if output is None:
        click.echo(written, nl=False)
        return
    try:
        output.write_text(written, "utf-8")
    except OSError as error:
        raise UserInputError(
            f"The formula cannot be written to {output}: {error.strerror}."
        ) from error
