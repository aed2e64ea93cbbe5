"""Uploaders' texts as plain text on one line.

plain_text("<p>A <b>style</b> of ink</p>see https://…")  -> "A style of ink. see."
"""

from __future__ import annotations

import html
import re
import unicodedata

from diffagent.data.catalog.filters import Item

_BREAK = re.compile(r"</?(?:br|p|li|ul|ol|h[1-6]|div|tr)\b[^<>]*>", re.IGNORECASE)
_MARKUP = re.compile(r"<[^<>]*>")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|(?<!\S)[^\s@]++@\S+\.\w+")


def clean(text: object) -> str:
    """Returns a text on one line: no control or invisible characters, single spaces, any script."""
    characters = (" " if c.isspace() else c for c in str(text or "") if c.isspace() or _is_visible(c))
    return " ".join("".join(characters).split())


def about_text(item: Item, version_id: int | None) -> str:
    """The uploader's text on the model, then that on the version."""
    versions = [v for v in item.get("modelVersions") or () if v.get("id") == version_id]
    texts = (plain_text(part.get("description")) for part in (item, *versions))
    return " ".join(text for text in texts if text)


def plain_text(markup: object) -> str:
    """Returns HTML as plain text on one line, without addresses; the end of a block ends a sentence."""
    blocks = _BREAK.sub("\n", str(markup or "")).split("\n")
    texts = (clean(_ADDRESS.sub("", html.unescape(_MARKUP.sub("", block)))) for block in blocks)
    return " ".join(text if text[-1] in ".!?:;," else text + "." for text in texts if text)


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
