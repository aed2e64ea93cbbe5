"""Refusals: exclusions that a message tells rather than asks for, and lists of exclusions.

unwanted("my drummer wants a ufo in it but we are NOT doing the ufo. a horse")  -> ("a horse", ("ufo",))
forbidden_looks("it must not look poor or ruined")                             -> ("poor", "ruined")
spread("no wings, halos, none of that")                                        -> "no wings, no halos"
"""

from __future__ import annotations

import re

from diffagent.agent.asking.cutting import masked, without
from diffagent.agent.asking.exclusions import MOST, SHAPES, listed_names, things

_MUST_NOT = re.compile(
    r"\b(?:it|this|that|they|he|she)\s(?:must|should|shall|can)(?:\snot|n['’]?t)\s(?:look|be|feel|seem)"
    r"(?:\s(?:like|too|so|at all|any|an?|the)){0,2}\s(?P<name>(?!like\b|that\b|this\b)[a-z-]{3,20}"
    r"(?:(?:,\s[a-z-]{3,20}){0,3},?\s(?:or|and|nor)\s[a-z-]{3,20})?)(?=\s*(?:[,.;!?\n]|$))",
    re.I,
)
"""A look that is forbidden."""
_REFUSED = re.compile(
    r"\b(?:my|our|the|his|her)\s\w{2,20}(?:\s\w{2,20})?\s"
    r"(?:wants?|wanted|asked for|suggested|insists on|votes? for)\s"
    r"(?P<name>(?:an?|the|some)\s[^.,;:!?\n]{2,40}?)(?:\s(?:in it|in there|too|also|on it))?,?\s(?:but|and)\s"
    r"(?:i|we|no)\b[^.!?\n]{0,20}\b(?:not|no|never|won['’]?t|don['’]?t|refuse[ds]?)\b[^.!?\n]{0,40}",
    re.I,
)
"""Somebody else's wish that is refused: "my drummer wants a ufo in it but we are NOT doing the ufo"."""
_FAULTY = re.compile(
    r",?\s?\b(?:because\s|since\s)?(?:the\s|an?\s|my\s|our\s)?(?:other|another|last|previous|first|old)\s"
    r"(?:tool|site|bot|app|ai|program|generator|attempt|try|designer|artist|printer|illustrator)s?\s"
    r"(?:it\s|they\s|i\s)?(?:always\s|only\s|just\s)?(?:gave|made|put|showed|drew|added|got|painted)\s"
    r"(?:me\s|us\s)?(?P<name>(?:an?|the|some)\s[^.,;:!?()\n]{2,60}?)"
    r"(?=\s(?:and|but|which)\s(?:it|they|i|we)\b|[.,;:!?()\n]|$)",
    re.I,
)
"""What another maker got wrong: "the other tool gave me a yellow school bus"."""
_KEPT_ADDING = re.compile(
    r"(?:\b(?:i|we) tried (?:it|this) (?:on|with) [^.,;!?\n]{3,30} (?:and|but) )?\b(?:it|they) "
    r"(?:kept|keeps|keep|always) (?:adding|putting(?: in)?|giving me|adds|puts(?: in)?|gives me)\s"
    r"(?P<name>(?:an?|the|some)\s[^.,;:!?()\n]{2,60}?)"
    r"(?=\s(?:and|but|which)\s(?:it|they|i|we)\b|[.,;:!?()\n]|$)"
    r"(?:,? (?:please |pls )?(?:don['’]?t|dont|no))?",
    re.I,
)
"""What another program adds: "it kept adding a hand and sparkles, please don't"."""
_NONE_OF = re.compile(
    r"\b(?P<no>no|without)\s(?P<list>(?:[^,.;:!?\n]{2,30},\s){1,5}[^,.;:!?\n]{2,30}?),?\s(?:and\s)?"
    r"(?:none of (?:that|it|those)|nothing like that|nothing of the (?:kind|sort)|(?:or )?anything like that|"
    r"or any of that)\b(?:\s\w{1,12}){0,2}",
    re.I,
)
"""A list that is excluded as a whole: "no wings, halos, rainbows, none of that"."""
_NO_GROUND = re.compile(
    r"(?<=\w) (no [^\W\d_]{3,20}) "
    r"((?:plain |pure |solid )?(?:white|black|gr[ae]y|plain|transparent) (?:background|bg))\b",
    re.I,
)
"""A ground behind an exclusion without a comma: "no shading white background"."""
_NO_NO = re.compile(r"(?<=\w)(?=(?:\sno\s[^\W\d_]{2,20}){2,6}\s*(?:[,.;:!?\n]|$))", re.I)
"""Exclusions in a row without commas: "outlines only no shading no grey"."""


def unwanted(text: str) -> tuple[str, tuple[str, ...]]:
    """Returns the text without what others want and get refused and what other makers got wrong, and the
    names of that; the text unchanged where nothing else would be left."""
    flat = masked(text)
    hits = [hit for pattern in (_REFUSED, _FAULTY, _KEPT_ADDING) for hit in pattern.finditer(flat)][:MOST]
    rest = without(text, [hit.span() for hit in hits])
    if not hits or not re.search(r"\w", rest):
        return text, ()
    return rest, things(name for hit in hits for name in listed_names(hit["name"]) if len(name.split()) < 5)


def forbidden_looks(text: str) -> tuple[str, ...]:
    """Returns the looks that a text forbids: "it must not look poor or ruined" has two."""
    names = (name for hit in [*_MUST_NOT.finditer(masked(text))][:MOST] for name in listed_names(hit["name"]))
    return things(name for name in names if name.casefold() not in SHAPES)


def spread(text: str) -> str:
    """Returns the text with a "no" and a comma before each member of an excluded list.

    "no wings, halos, none of that" becomes "no wings, no halos", and "outlines only no shading no grey"
    "outlines only, no shading, no grey".
    """
    flat = masked(text)
    if hit := _NONE_OF.search(flat):
        names = re.split(r",\s", text[hit.start("list") : hit.end("list")])
        bare_names = (re.sub(r"^(?:no|or|and)\s", "", name) for name in names)
        members = ", ".join(f"{hit['no']} {name}" for name in bare_names)
        text = text[: hit.start()] + members + text[hit.end() :]
        flat = masked(text)
    if hit := _NO_GROUND.search(flat):
        text = f"{text[: hit.start()]}, {hit[1]}, {hit[2]}{text[hit.end() :]}"
        flat = masked(text)
    if hit := _NO_NO.search(flat):
        end = re.compile(r"(?:\sno\s[^\W\d_]{2,20})+", re.I).match(flat, hit.start())
        assert end
        row = re.sub(r"\s(?=no\s)", ", ", text[hit.start() : end.end()], flags=re.I)
        text = text[: hit.start()] + row + text[end.end() :]
    return text
