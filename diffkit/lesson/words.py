"""Short texts with `code` and **stress** as HTML."""

from __future__ import annotations

import re

from markupsafe import Markup

_TAGS = {"`": "code", "**": "strong"}


def words(text: str) -> Markup:
    """A text as HTML; what stands between backticks is code, between ** strong.

    >>> print(words("`w = 1` < **it**"))
    <code>w = 1</code> &lt; <strong>it</strong>
    """
    parts = re.split(r"(`[^`]*`|\*\*[^*]*\*\*)", text)
    return Markup("").join(_set(part) for part in parts)


def _set(part: str) -> Markup:
    for mark, tag in _TAGS.items():
        if len(part) > len(mark) and part.startswith(mark):
            inner = part.removeprefix(mark).removesuffix(mark)
            return Markup("<{0}>{1}</{0}>").format(tag, inner)
    return Markup("{}").format(part)
