"""Everything in one file that opens without a network: HTML, figures and style inside.

The file asks nobody for anything, and says so: its content security policy allows the
images and the one style sheet that it carries, and nothing else.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from struct import unpack
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from diffkit.report.chapters import Chapter
from diffkit.report.templates import source, template

#: A drawing of more bytes is carried as a bitmap, where that one is smaller.
LARGEST_DRAWING = 250_000

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def one_file(
    chapters: Sequence[Chapter],
    figures: Mapping[str, Mapping[str, bytes]],
    *,
    claims: str = "",
    errata: str = "",
) -> str:
    """``report.html``; ``figures`` are each chapter's files, the texts are Markdown."""
    style = source("report.css")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return template("report.html.j2").render(
        style=Markup(style),  # Ours, and it contains no tag.
        style_hash=digest,
        chapters=[chapter for chapter in chapters if chapter.page is not None],
        broken=[chapter for chapter in chapters if chapter.page is None],
        figure={
            name: _image(files) for name, files in figures.items() if _image(files)
        },
        claims=claims,
        errata=errata,
        html=html_of,
        line=line_of,
        plain=plain,
    )


def html_of(text: str, name: str = "", level: int = 0, label: str = "") -> Markup:
    """Markdown as HTML, safe to stand in the file.

    Headings go ``level`` steps down; links to files point into the folder ``name``;
    each table stands in a box of its own that scrolls, called ``label``.

    >>> print(html_of("# A *b*", level=1))
    <h2>A <em>b</em></h2>
    >>> print(html_of("[rows](data.csv) of <b>", name="fuzz"))
    <p><a href="fuzz/data.csv">rows</a> of &lt;b&gt;</p>
    """
    text = re.sub(r"\A\s*<!--.*?-->", "", text, flags=re.DOTALL)
    tokens = _changed(_MARKDOWN.parse(text), name, level)
    html = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    label = str(Markup.escape(label or "Table"))
    box = f'<div class="wide" role="region" tabindex="0" aria-label="{label}"><table>'
    html = html.replace("<table>", box).replace("</table>", "</table></div>")
    return Markup(html.strip())


def line_of(text: str, name: str = "") -> Markup:
    """One line of Markdown as HTML, without a paragraph about it."""
    (inline,) = _changed(_MARKDOWN.parseInline(text), name, 0)
    return Markup(_MARKDOWN.renderer.render([inline], _MARKDOWN.options, {}))


def plain(text: str) -> str:
    """Markdown without its marks: for alternative texts.

    >>> plain("Of `tanh`, **one** in [ten](a.md).")
    'Of tanh, one in ten.'
    """
    (inline,) = _MARKDOWN.parseInline(text)
    shown = [
        " " if token.type == "softbreak" else token.content
        for token in inline.children or ()
        if token.type in ("text", "code_inline", "softbreak")
    ]
    return "".join(shown)


def _changed(tokens: Sequence[Token], name: str, level: int) -> list[Token]:
    """Tokens of Markdown as the file wants them; see `html_of`."""
    kept = []
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + level, 6)}"
        elif token.type in ("th_open", "td_open") and "style" in token.attrs:
            # Styles beside the sheet are what the policy forbids.
            token.attrs = {"class": "number"}
        elif token.type == "link_open":
            token.attrs["href"] = _address(str(token.attrs["href"]), name)
        elif token.type == "image":
            # Figures stand beside their tables already; only their words are kept.
            token = Token("text", "", 0, content=token.content)
        if token.children:
            token.children = _changed(token.children, name, level)
        kept.append(token)
    return kept


def _address(href: str, name: str) -> str:
    """Where a link of a chapter's page leads to from the one file.

    >>> _address("../fuzz/README.md", "cost"), _address("data.csv", "cost")
    ('#fuzz', 'cost/data.csv')
    """
    if re.match(r"[a-z][a-z0-9+.-]*:|#", href):
        return href
    other = re.fullmatch(r"(?:\.\./)?(\w+)/(?:README\.md)?", href)
    if other:
        return f"#{other[1]}"
    if href.startswith("../"):
        return href.removeprefix("../")
    return f"{name}/{href}" if name else href


def _image(files: Mapping[str, bytes]) -> dict[str, Any] | None:
    """Address and size of a figure: its drawing, or a bitmap where that is smaller."""
    drawing, bitmap = files.get("figure.svg"), files.get("figure.png")
    if not drawing or not bitmap:
        return None
    width, height = unpack(">II", bitmap[16:24])
    kind, data = "svg+xml", drawing
    if len(drawing) > max(LARGEST_DRAWING, len(bitmap)):
        kind, data = "png", bitmap
    address = f"data:image/{kind};base64,{b64encode(data).decode()}"
    return {"src": address, "width": width // 2, "height": height // 2}
