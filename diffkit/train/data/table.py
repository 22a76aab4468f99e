"""CSV files as tables of text, checked line by line before anything is believed.

pandas fills short lines with NaN, renames doubled columns and takes a surplus column
for an index, all without a word. Here each is an error that names the line.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from diffkit.errors import UserInputError, nearest

#: What counts as a missing value, after stripping blanks.
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text, and the line of the file that each row began on."""

    path: str
    frame: Any = field(repr=False)  # a DataFrame; pandas has no types to speak of
    lines: np.ndarray = field(repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names in the header, in order."""
        return tuple(self.frame.columns)

    def require(self, name: str, what: str = "target column") -> None:
        """Raise UserInputError, with the nearest name, for a column not there."""
        if name in self.columns:
            return
        close = nearest(name, self.columns)
        hint = f" Did you mean {close!r}?" if close else ""
        raise UserInputError(
            f"{self.path} has no {what} {name!r}.{hint} Columns: "
            f"{', '.join(self.columns)}."
        )

    def numbers(self, name: str) -> np.ndarray:
        """A column as float64, NaN where it is missing, or is no number at all."""
        text: Any = self.frame[name].mask(self.missing(name))
        numbers: Any = pd.to_numeric(text, errors="coerce")
        return numbers.to_numpy(np.float64)

    def missing(self, name: str) -> np.ndarray:
        """Which rows of a column are missing: empty, NA, NaN, null, none or ?."""
        return self.frame[name].str.lower().isin(MISSING).to_numpy(bool)

    def only(self, rows: np.ndarray) -> Table:
        """The rows picked by a mask."""
        frame = self.frame[rows].reset_index(drop=True)
        return Table(self.path, frame, self.lines[rows])


def read_table(path: str | Path, separator: str = ",") -> Table:
    """Read a CSV file with a header into text cells, blanks around them stripped.

    Raises UserInputError, naming file and line, for a file that is missing, a folder,
    empty, not UTF-8 text, without rows, with a header that is doubled, empty or made of
    numbers, and for lines with more or fewer fields than the header.
    """
    path = Path(path)
    if len(separator) != 1:
        raise UserInputError(f"The separator must be one character, not {separator!r}.")
    # Universal newlines, then one reader for header and rows.
    reader = csv.reader(
        io.StringIO(_text(path), newline=""), delimiter=separator, strict=True
    )
    rows: list[list[str]] = []
    lines: list[int] = []
    began = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row) or len(row) > 1:
                rows.append([cell.strip() for cell in row])
                lines.append(began)
            began = reader.line_num + 1
    except csv.Error as error:
        raise UserInputError(
            f"{path}, line {reader.line_num}: {error}. Quotes must be closed, and "
            'doubled ("") inside quoted text.'
        ) from None
    if not rows:
        raise UserInputError(f"{path} is empty: there is no header and no row.")
    header = rows[0]
    _check_header(path, header, separator)
    _check_lengths(path, rows, lines)
    if len(rows) == 1:
        raise UserInputError(f"{path} has a header and no rows: nothing to learn from.")
    frame = pd.DataFrame(rows[1:], columns=pd.Index(header), dtype=str)
    return Table(str(path), frame, np.array(lines[1:]))


def _text(path: Path) -> str:
    if not path.exists():
        folder = path.parent if path.parent.is_dir() else None
        files = [file.name for file in folder.glob("*.csv")] if folder else []
        close = nearest(path.name, files)
        where = "" if folder else f" There is no folder {path.parent} either."
        hint = f" Did you mean {path.with_name(close)}?" if close else where
        raise UserInputError(f"There is no file {path}.{hint}")
    if path.is_dir():
        raise UserInputError(f"{path} is a folder. Name the CSV file in it.")
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserInputError(
            f"{path} is not UTF-8 text (byte {error.start}): it may be a spreadsheet, "
            "or in another encoding. Save it as CSV in UTF-8."
        ) from None
    except OSError as error:
        raise UserInputError(f"{path} cannot be read: {error.strerror}.") from error


def _check_header(path: Path, header: list[str], separator: str) -> None:
    other = next((c for c in ";\t|," if c != separator and c in header[0]), None)
    if len(header) == 1 and other is not None:
        raise UserInputError(
            f"{path} has one column, {header[0]!r}: it seems to be separated by "
            f"{other!r}. Give that as the separator."
        )
    if all(_is_number(name) for name in header):
        raise UserInputError(
            f"The first line of {path} holds numbers only, {', '.join(header[:4])} …: "
            "it needs a header with a name for each column."
        )
    if "" in header:
        raise UserInputError(
            f"Column {header.index('') + 1} of {path} has no name in the header. Give "
            "each column one."
        )
    doubled = [name for name, count in Counter(header).items() if count > 1]
    if doubled:
        raise UserInputError(
            f"The header of {path} names {', '.join(map(repr, doubled))} more than "
            "once. Each column needs a name of its own."
        )


def _check_lengths(path: Path, rows: list[list[str]], lines: list[int]) -> None:
    width = len(rows[0])
    wrong = [i for i, row in enumerate(rows) if len(row) != width]
    if wrong:
        first = wrong[0]
        raise UserInputError(
            f"{path}, line {lines[first]} has {len(rows[first])} fields and the header "
            f"has {width} ({len(wrong)} of {len(rows) - 1} rows differ). Quote text "
            "that holds the separator."
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
