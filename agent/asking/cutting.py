"""Cutting: spans are cut out of a prompt, and the rest stays as it was typed.

In: a text and spans. Out: the text without them; separators, blanks and brackets at the seams are adapted, so
that a sentence stays one.

    without("a beach, no people, dusk", [(9, 18)])    -> "a beach, dusk"
    without("a fox (no text:1.2) in snow", [(7, 18)]) -> "a fox in snow"
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_QUOTED = re.compile(
    r'"[^"\n]{0,400}"|“[^”\n]{0,400}”|«[^»\n]{0,400}»|(?<!\w)\'[^\'\n]{0,400}\'(?!\w)|‘[^’\n]{0,400}’(?!\w)|<[^<>\n]{0,200}>'
)
_JOINTS = ",;:-–—，、；：،؛"
_ENDS = ".!?。！？؟"
_WEIGHT = re.compile(r"[\s,]*+(?::\s?[\d.]{1,8}\s?)?[)\]]")
_WORD = re.compile(r"[^\W_]")


def masked(text: str) -> str:
    """Returns the text, its length unchanged, with quotations and tags replaced by quotation marks: they hold
    no wishes."""
    return _QUOTED.sub(lambda quoted: '"' * len(quoted[0]), text)


def has_words(text: str) -> bool:
    """Whether a text has a letter or a digit: signs alone are nothing to draw."""
    return bool(_WORD.search(text))


def without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Returns the text without the spans; one that begins inside another is skipped."""
    pieces: list[str] = []
    last_end = 0
    for start, end in sorted(spans):
        if start >= last_end:
            pieces.append(text[last_end:start])
            last_end = end
    rest = pieces[0] if pieces else ""
    for piece in (*pieces[1:], text[last_end:]):
        rest = _join(rest, piece)
    return rest if pieces else text


def _join(head: str, tail: str) -> str:
    """The two sides of a cut, joined."""
    while head.endswith(("(", "[")) and (bracket := _WEIGHT.match(tail)):
        head, tail = head[:-1], tail[bracket.end() :]
    head, tail = head.rstrip(" \t"), tail.lstrip(" \t")
    if not head.strip():
        return tail.lstrip(" \t\n" + _JOINTS + _ENDS)
    if not tail.strip(" \t\n" + _JOINTS + _ENDS):
        closing = tail.strip(" \t\n" + _JOINTS + "!！") if head[-1] not in _ENDS else ""
        return head.rstrip(" \t\n" + _JOINTS) + closing
    if head[-1] in _JOINTS and tail[0] in _ENDS:
        head = head.rstrip(" " + _JOINTS)
    elif head[-1] in _JOINTS + _ENDS + "([\n" and tail[0] in _JOINTS + _ENDS:
        tail = tail.lstrip(" " + _JOINTS + _ENDS)
    gap = "" if tail[0] in ",;:.!?)]\n" or head[-1] in "([\n" else " "
    return head + gap + tail
