"""Conditions that a user writes: one SQL expression over known columns, nothing else.

Every word of the text has to be a column, an operator or a harmless function before
SQLite sees any of it; what passes is run on a connection that cannot write anyway
(`diffkit.measure.store.results`).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from diffkit.errors import UserInputError, nearest

#: Words with a meaning of their own.
OPERATORS = frozenset(
    {"and", "or", "not", "in", "like", "glob", "between", "is", "isnull", "notnull"}
    | {"null", "true", "false", "case", "when", "then", "else", "end", "escape"}
)
#: What may be called: nothing that reads, writes or takes long.
FUNCTIONS = frozenset(
    {"abs", "coalesce", "ifnull", "iif", "nullif", "max", "min", "round", "typeof"}
    | {"instr", "length", "lower", "upper", "substr", "trim", "json_extract"}
    | {"date", "datetime", "julianday", "strftime"}
)
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")*")
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z_]))
    |(?P<word>[^\W\d]\w*)
    |(?P<comment>--|/\*)
    |(?P<sign>->>|->|\|\||<=|>=|<>|!=|==|[-+*/%<>=(),])""",
    re.VERBOSE,
)
_HELP = (
    "A condition is one expression over the columns, such as "
    "\"experiment='cost_vs_depth' and depth >= 4\"; text goes in single quotes"
)


def checked(condition: str, columns: Collection[str]) -> str:
    """The condition with its columns quoted, fit to stand between brackets in SQL.

    Raises `UserInputError` for anything but one expression over ``columns``.

    >>> checked("depth > 3 and commit = 'a'", ["depth", "commit"])
    '"depth" > 3 and "commit" = \\'a\\''
    """
    known = {name.lower(): name for name in columns}
    parts: list[str] = []
    open_brackets = place = 0
    while place < len(condition):
        found = _TOKEN.match(condition, place)
        if found is None:
            raise _refused(condition, f"{condition[place]!r} cannot stand in it")
        kind, text = str(found.lastgroup), found.group()
        place = found.end()
        if kind == "comment":
            raise _refused(condition, "it contains a comment")
        if kind == "word":
            called = condition[place:].lstrip().startswith("(")
            text = _word(condition, text, known, called)
        elif kind == "quoted":
            text = _column(condition, text[1:-1].replace('""', '"'), known)
        open_brackets += (text == "(") - (text == ")")
        if open_brackets < 0:
            raise _refused(condition, "it closes a bracket that it did not open")
        parts.append(text)
    if open_brackets:
        raise _refused(condition, "a bracket is not closed")
    if not condition.strip():
        raise _refused(condition, "it is empty")
    return "".join(parts).strip()


def _word(condition: str, word: str, known: dict[str, str], called: bool) -> str:
    lower = word.lower()
    if lower in OPERATORS:
        return word
    if not called:
        return _column(condition, word, known)
    if lower in FUNCTIONS:
        return word
    close = nearest(lower, FUNCTIONS)
    hint = f" Did you mean {close!r}?" if close else ""
    raise _refused(
        condition,
        f"it calls {word!r}.{hint} Functions: {', '.join(sorted(FUNCTIONS))}",
    )


def _column(condition: str, name: str, known: dict[str, str]) -> str:
    found = known.get(name.lower())
    if found is None:
        close = nearest(name, known.values())
        hint = f" Did you mean {close!r}?" if close else ""
        raise _refused(
            condition,
            f"there is no column named {name!r}.{hint} Columns: "
            f"{', '.join(known.values())}",
        )
    escaped = found.replace('"', '""')
    return f'"{escaped}"'


def _refused(condition: str, why: str) -> UserInputError:
    return UserInputError(f"The condition {condition!r} is refused: {why}. {_HELP}.")
