"""Flags: MidJourney's options behind a prompt.

    flags("a copper robot --v 5 --ar 2:3 --no people, text")
      -> ("a copper robot", ("--v 5", "--ar 2:3"), ("people", "text"))

Shape and seed are read where all settings are (:mod:`diffagent.agent.asking.wishes`); the others mean nothing
to a call. MidJourney's documentation lists the names.
"""

from __future__ import annotations

import re

from diffagent.agent.asking.cutting import has_words, masked, without

_DASHES = r"(?<!\S)(?:--|[—–])"
_VALUE = (
    r"(?:[\s=]{1,2}(?:\d[\d.:x]{0,11}|raw|cute|scenic|expressive|original|random|default|\d[a-z]|"
    r"https?://\S{1,300})(?!\S))?"
)
_FLAG = re.compile(
    _DASHES + r"(?:version|v|quality|q|stylize|style|s|chaos|c|aspect|ar|niji|iw|weird|w|sref|cref|oref|sw|"
    r"cw|ow|stop|tile|raw|hd|uplight|upbeta|upanime|testp|test|creative|fast|relax|turbo|repeat|r|sameseed|"
    r"seed|steps|cfg|profile|p|video|draft|exp|width|height|h)\b" + _VALUE + r"(?=\s|[,.;]|$|--)",
    re.I,
)
_NO = re.compile(_DASHES + r"no[\s:]{1,2}(?P<names>[^\n]{1,400}?)[\s,.]*(?=\s(?:--|[—–])[a-z]|\n|$)", re.I)


def flags(text: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Returns the text without its flags, the flags but ``--no``, and the names behind ``--no``; the text
    unchanged where nothing else would be left."""
    flat = masked(text)
    avoided = list(_NO.finditer(flat))
    others = list(_FLAG.finditer(flat))
    if not avoided and not others:
        return text, (), ()
    rest = without(text, [hit.span() for hit in (*avoided, *others)])
    if not has_words(rest):
        return text, (), ()
    names = [name.strip(" .,") for hit in avoided for name in hit["names"].split(",")]
    return rest, tuple(hit[0] for hit in others), tuple(dict.fromkeys(filter(None, names)))
