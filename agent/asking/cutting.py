"""Cutting: words leave a prompt, and the rest stays as it was typed.

In: a text and the spans that go. Out: the text without them; only separators, blanks and brackets at the
seams are put right, so that a sentence stays one.

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


def masked(text: str) -> str:
    """The text, as long as it was, with quotation marks alone for quotations and tags: those say no wish."""
    return _QUOTED.sub(lambda quoted: '"' * len(quoted[0]), text)


def without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text without the spans, of which those that begin inside another are left unread."""
    pieces: list[str] = []
    reached = 0
    for start, end in sorted(spans):
        if start >= reached:
            pieces.append(text[reached:start])
            reached = end
    rest = pieces[0] if pieces else ""
    for piece in (*pieces[1:], text[reached:]):
        rest = _joined(rest, piece)
    return rest if pieces else text


def _joined(left: str, right: str) -> str:
    """Two sides of a cut."""
    while left.endswith(("(", "[")) and (bracket := _WEIGHT.match(right)):
        left, right = left[:-1], right[bracket.end() :]
    left, right = left.rstrip(" \t"), right.lstrip(" \t")
    if not left.strip():
        return right.lstrip(" \t\n" + _JOINTS + _ENDS)
    if not right.strip(" \t\n" + _JOINTS + _ENDS):
        closing = right.strip(" \t\n" + _JOINTS + "!！") if left[-1] not in _ENDS else ""
        return left.rstrip(" \t\n" + _JOINTS) + closing
    if left[-1] in _JOINTS and right[0] in _ENDS:
        left = left.rstrip(" " + _JOINTS)
    elif left[-1] in _JOINTS + _ENDS + "([\n" and right[0] in _JOINTS + _ENDS:
        right = right.lstrip(" " + _JOINTS + _ENDS)
    gap = "" if right[0] in ",;:.!?)]\n" or left[-1] in "([\n" else " "
    return left + gap + right
