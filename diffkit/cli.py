"""The command line: thin. Each command hands over to the rooms and shows the result.

Exit codes: 0 done; 1 a check failed, a cell of an experiment raised, counts of two runs
differ or training diverged; 2 bad usage or bad input; 3 the disk is full; 130
interrupted, with everything finished kept.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import diffkit as dk
from diffkit import (
    cli_bench,
    cli_compare,
    cli_exercise,
    cli_formula,
    cli_lesson,
    cli_profile,
    cli_report,
    cli_results,
    cli_run,
    cli_train,
    measure,
)
from diffkit.cli_doctor import describe
from diffkit.cli_show import error, note, table
from diffkit.errors import (
    CheckpointError,
    DiffkitError,
    GradientMismatchError,
    MissingDependencyError,
    ReportError,
    StoreError,
    TraceError,
    UserInputError,
    nearest,
)

DONE, FAILED, USAGE, FULL, INTERRUPTED = 0, 1, 2, 3, 130
#: What the user handed in, or a folder or package of the user's, is the reason.
_BAD_INPUT = (
    UserInputError,
    TraceError,
    MissingDependencyError,
    ReportError,
    StoreError,
    CheckpointError,
)


class _Suggesting(click.Group):
    """A group that suggests the nearest command for one that it does not have."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            close = nearest(name, self.commands)
            hint = f" Did you mean '{close}'?" if close else ""
            raise click.UsageError(
                f"There is no command '{name}'.{hint} "
                f"Commands: {', '.join(sorted(self.commands))}."
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Suggesting,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
@click.version_option(dk.__version__)
@click.option(
    "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
)
def cli() -> None:
    """Trace a program once, differentiate it three ways, measure what each costs.

    \b
    Examples:
      diffkit list
      diffkit run cost_vs_depth --quick
      diffkit results --experiment cost_vs_depth
      diffkit report --check
      diffkit lesson open
      diffkit exercise list
      diffkit bench gate --base origin/main
      diffkit compare --sizes 10,64,32,1 --batch 32
      diffkit check losses.py:mean_square
      diffkit profile --sizes 10,64,32,1 --batch 32
      diffkit train iris
      diffkit predict runs/iris
      diffkit doctor

    \b
    Exit codes: 0 done; 1 a check failed, an experiment raised, counts differ or
    training diverged; 2 bad usage or input; 3 disk full; 130 interrupted
    (finished cells and checkpoints are kept).
    """


@cli.command("list")
def list_experiments() -> None:
    """List the experiments of this project.

    \b
    Example:
      diffkit list
    """
    registry = measure.discover()
    reports = registry.root / "reports"
    table(
        ["name", "question", "claims", "cells quick/full", "report"],
        [
            [
                name,
                registry[name].experiment.question,
                " ".join(registry[name].experiment.claims),
                "/".join(
                    str(len(registry[name].experiment.cases(mode)))
                    for mode in measure.MODES
                ),
                "yes" if (reports / name / "README.md").exists() else "not yet",
            ]
            for name in registry
        ],
        numbers_from=3,
    )


@cli.command()
@click.argument("name")
@cli_run.options
def run(name: str, **how: Any) -> int:
    """Run the experiment NAME, or 'all', and write its report.

    Finished cells are kept in .diffkit/results.sqlite: stop it with Ctrl-C and run it
    again to go on.
    Timed cells run alone, whatever the number of workers; counted ones side by side.

    \b
    On a Dask cluster, workers for timed cells are started so, one a machine:
      dask worker ADDRESS --nthreads 1 --resources timed=1
    others, for counted cells, without --resources.

    \b
    Examples:
      diffkit run cost_vs_depth --quick
      diffkit run all --full --workers 2
      diffkit run all --dask tcp://10.0.0.1:8786
      diffkit run cost_vs_depth --output /tmp/reports
    """
    root = measure.project_root()
    paths = measure.experiment_paths(root)
    names = [path.stem for path in paths] if name == "all" else [name]
    if cli_run.nothing_to_do(root, names, **how):
        return DONE
    registry = measure.discover(root)
    found = [registry[n] for n in names]
    return DONE if cli_run.run_experiments(registry, found, **how) else FAILED


cli.add_command(cli_compare.compare)
cli.add_command(cli_bench.bench_group)
cli.add_command(cli_results.results)
cli.add_command(cli_results.compare_runs)
cli.add_command(cli_report.report_command)
cli.add_command(cli_lesson.lesson_group)
cli.add_command(cli_exercise.exercise_group)
cli.add_command(cli_train.train_command)
cli.add_command(cli_train.predict_command)
cli.add_command(cli_formula.formula_command)
cli.add_command(cli_profile.profile_command)


@cli.command()
@click.argument("target", metavar="MODULE:FUNCTION")
@click.option("--backend", default="autodiff", help="Backend to check.")
@click.option(
    "--against", default="exact", help="'exact' (proved digits) or another backend."
)
@click.option("--argnums", default="0", help="Differentiated arguments: 0 or 0,1.")
@click.option("--tolerance", type=float, help="Relative tolerance of each entry.")
def check(
    target: str, backend: str, against: str, argnums: str, tolerance: float | None
) -> None:
    """Check the gradient of your function, entry by entry, against proved digits.

    MODULE is importable from here, or a path to a .py file. The arguments to check at
    come from `FUNCTION.example_args`, or else from `EXAMPLE_ARGS` of the module: a
    tuple of arguments, a function that returns one, or (EXAMPLE_ARGS only) a dict of
    such by function name.

    \b
    Examples:
      diffkit check mylosses:mean_square
      diffkit check path/to/mylosses.py:mean_square --backend symbolic
      diffkit check mylosses:mean_square --against finite_differences
    """
    positions = cli_run.argument_numbers(argnums)
    note(cli_run.check_function(target, backend, against, positions, tolerance))


@cli.command()
def doctor() -> None:
    """Describe this machine: versions, BLAS, threads, and the state of the caches.

    \b
    Example:
      diffkit doctor
    """
    table(["what", "found"], describe(), numbers_from=9)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code. Errors take one line on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        return cli.main(words, prog_name="diffkit", standalone_mode=False) or DONE
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as problem:
        return _explain(problem.format_message(), USAGE, debug)
    except measure.SweepInterruptedError as problem:
        return _explain(str(problem), INTERRUPTED, debug)
    except (KeyboardInterrupt, click.Abort):
        return _explain("Interrupted.", INTERRUPTED, debug)
    except _BAD_INPUT as problem:
        code = FULL if _is_disk_full(problem) else USAGE
        return _explain(str(problem), code, debug)
    except GradientMismatchError as problem:
        return _explain(str(problem), FAILED, debug)
    except DiffkitError as problem:
        return _explain(str(problem), FAILED, debug)
    except BrokenPipeError:
        return FAILED
    except Exception as problem:
        text = (
            f"Unexpected {type(problem).__name__}: {problem}. This is a mistake in "
            "diffkit, or in code of yours that it ran; --debug shows where."
        )
        return _explain(text, FAILED, debug)


def run_file(path: str, arguments: Sequence[str] | None = None) -> int:
    """Run the experiment in a file by itself: ``python experiments/NAME.py``."""
    file = Path(path).resolve()
    words = list(sys.argv[1:] if arguments is None else arguments)

    @click.command(file.stem, help=f"Run the experiment {file.stem} alone.")
    @cli_run.options
    def alone(**how: Any) -> int:
        registry = measure.discover(file.parent.parent)
        found = [registry[file.stem]]
        return DONE if cli_run.run_experiments(registry, found, **how) else FAILED

    cli.add_command(alone, "__alone__")
    return main(["__alone__", *words])


def _is_disk_full(problem: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, is of a disk without space."""
    while problem is not None:
        if getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        problem = problem.__cause__
    return False


def _explain(text: str, code: int, debug: bool) -> int:
    if debug and code != INTERRUPTED:
        traceback.print_exc()
    error(" ".join(text.split()))
    return code


if __name__ == "__main__":
    sys.exit(main())
