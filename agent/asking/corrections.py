"""Corrections: second thoughts in a message, applied to the words that they correct.

corrections("a goat in a red scarf. or wait, blue")    -> "a goat in a blue scarf", ["or wait, blue"]
corrections("a deer, asleep. Actually it is not a deer but an elk")  -> "an elk, asleep", the second sentence
corrections("a red kite. no wait, make the kite blue")  -> "a blue kite", ["no wait, make the kite blue"]
corrections("a goat, no wait, a ram, on a hill")       -> "a ram, on a hill", ["a goat, no wait"]
"""

from __future__ import annotations

import re
from collections.abc import Callable

from diffagent.agent.asking.cutting import has_words, masked, without

_COLOR = (
    r"(?:(?:light|dark|pale|bright|deep|navy|sky|forest|royal) )?(?:red|green|blue|yellow|orange|purple|"
    r"violet|pink|"
    r"brown|gr[ea]y|black|white|gold(?:en)?|silver|beige|teal|turquoise|crimson|scarlet|navy|lilac|maroon)"
)
_THOUGHT = (
    r"(?:(?:or|oh|no|ok|okay|hmm?|um+|ah|but)[ \t,.…]{1,4}){0,3}"
    r"(?:wait|actually|sorry|scratch that|on second thoughts?|i mean|i meant|make that)[ \t,.!…]{1,4}"
    r"(?:(?:no|actually|i mean(?:t)?|maybe|rather|make (?:it|that|them|him|her)|let['’]?s (?:say|"
    r"do))[ \t,]{1,3}){0,3}"
)
"""The beginning of a second thought."""
_RECOLORED = re.compile(
    rf"(?:[ \t]?[,;.!…-][ \t,;.!…-]{{0,5}}|[ \t](?=or wait))\b{_THOUGHT}(?P<new>{_COLOR})(?: instead| then|"
    rf" please)?"
    r"(?:[ \t,.!]{1,4}(?:yes|yeah|yep|yup),?[ \t](?P=new))?(?=[ \t]*+(?:[,;.!?\n]|$))",
    re.I,
)
_REMADE = re.compile(
    rf"[ \t]?[,;.!…-][ \t,;.!…-]{{0,5}}\b(?:{_THOUGHT})?"
    rf"(?:{_COLOR} (?:looks?|feels?|is) [^,.;:!?\n]{{2,40}}, )?"
    rf"(?:just |please |pls |so )?make (?:the|her|his|its|their) (?P<noun>[a-z][\w'’-]{{1,20}}) "
    rf"(?:be )?(?P<new>(?:plain |pure )?{_COLOR})"
    rf"(?:,? {_COLOR} (?:is|was|looks?|are|would)\b[^.!?\n]{{0,80}})?(?=[ \t]*+(?:[,;.!?\n]|$))",
    re.I,
)
"""A thing's colour, changed: "one glowing green eye. actually make the eye purple"."""
_RETRACTED = re.compile(
    r"(?:(?<=[.!?\n] )|^)[^.!?\n]{8,220}[.!?,…]{1,3}\s(?:hmm?,? |but |ah,? |no,? |ok,? )?"
    r"(?:just )?(?:forget|scrap|scratch|skip|never ?mind|drop) (?:it|that|this|about (?:it|that))[.!]?"
    r"(?=\s|$)",
    re.I,
)
"""A sentence that ends in its own withdrawal: "I thought of adding the wind, but how, forget it."."""
_THOUGHT_OF = re.compile(
    r"\b(?:i (?:was|thought|had|wanted|considered|first)|maybe|perhaps|was (?:gonna|going)|could|or)\b", re.I
)
_NAMED_ANEW = re.compile(
    r"(?:(?<=[.!?,\n] )|^)(?:or )?(?:maybe )?(?:an? )?[a-z][\w'’-]{2,20}(?: [a-z][\w'’-]{2,20})?\? "
    r"(?:hmm?,? )?(?:nah|no|nope)[,.]? (?:wait,? )?(?P<new>(?:an? )?"
    r"(?!(?:just|not|only|no|it|the|that|i|we|they|he|she|but|so|too|looks?|feels?|sounds?|makes?|boring|lame|cheesy|cheap|tacky)\b)"
    r"[a-z][\w'’-]{2,20}(?: [a-z][\w'’-]{2,20})?)(?=[.!,])",
    re.I,
)
"""A question and its answer: "Unicorn? Nah, pegasus."."""
_AT_FIRST = re.compile(
    r"(?:(?<=[.!?,;\n] )|^)(?:(?:at first|first|originally|initially),? (?:i|we) (?:had |was |were )?"
    r"(?:wanted|wanting|thought|thinking|planned|imagined)|(?:i|we) (?:was|were) wanting)(?: of| about)?\s"
    r"(?P<first>[^.!?\n]{3,70}?),? but\b\s?",
    re.I,
)
"""A first idea that is told of: "at first I wanted a man with headphones but that is old"."""
_EITHER = re.compile(
    r"(?:(?:wait|hmm?|or),? )?(?:(?:would|should|could) (?:it|this) (?:be|look) (?:\w+ )?)?"
    r"(?:better |nicer |cuter )?\b(?:as |in )?(?P<one>[a-z0-9][\w' -]{2,24}?) or "
    r"(?P<two>[a-z0-9][\w' -]{2,24}?)\?[ .…]{0,6}(?:hmm?,? |ok,? |no,? |yeah,? )?"
    r"(?:let['’]?s (?:do|go with|say)|do|go with|go for|make it|take) (?:the )?"
    r"(?P<pick>[a-z0-9]\w{2,20})(?: one)?(?=[.,;!?\n]|$)",
    re.I,
)
"""One of two: "would it be cuter as pixar style or real photo? do pixar"."""
_MADE_ANOTHER = re.compile(
    r"(?P<old>(?:\.\.\.|…)? ?\b[a-z][\w'’-]{2,20})\? (?:no|nah|nope|hmm+)\b[^.!?\n]{0,50}?,? "
    r"make (?:it|that) (?P<new>(?:an? )?[a-z][\w'’-]{2,20})(?=[.,;!?\n]|$)",
    re.I,
)
"""A doubt that is settled: "and… parsnip? No, nobody likes parsnip, make it a radish"."""
_DOUBTED = re.compile(
    rf"[.,;]? (?:or )?maybe (?P<other>{_COLOR})\? (?:hmm+,? |no,? |nah,? |ok,? ){{0,2}}"
    rf"(?P<same>{_COLOR})(?=[.,;!?\n]|$)",
    re.I,
)
"""A doubt that changes nothing: "pink sky. or maybe purple? no pink"."""
_A_COLOR = re.compile(rf"\b{_COLOR}\b", re.I)
_NOUN = r"[a-z][\w'’-]{1,20}(?: (?!(?:but|it|he|she|and|an?)\b)[a-z][\w'’-]{1,20})?"
_RENAMED = re.compile(
    rf"(?:[ \t,;.!…-]{{1,6}}|\n)(?:{_THOUGHT})(?:it|he|she|that|this|they) "
    r"(?:wasn['’]?t|isn['’]?t|was not|is not|weren['’]?t|were not) (?:an?|the) "
    rf"(?P<old>{_NOUN})[,;]? (?:but |(?:it|he|she) (?:was |is )|(?:it|he|she)['’]s ){{1,2}}"
    r"(?P<new>an? [a-z][\w'’-]{1,20})",
    re.I,
)
_REPLACED = re.compile(
    rf"\b(?:an?|the) [a-z][\w'’-]{{1,20}}[ \t]?[,.…-]{{1,4}}[ \t]?\b{_THOUGHT}"
    r"(?P<new>an? [a-z][\w'’-]{1,20})(?=[ \t]*+(?:[,;.!?\n]|$))",
    re.I,
)
"""A thing, and right behind it another in its place."""
_REACH = 200
"""Characters before a second thought in which its correction is looked for."""


def corrections(text: str) -> tuple[str, list[str]]:
    """Returns the text with its second thoughts in place of the first, and their words; the text unchanged
    where it has none."""
    phrases: list[str] = []
    for correct in _CORRECTIONS:
        if correction := correct(text, masked(text)):
            text, phrase = correction
            phrases.append(phrase.strip(" ,;.!…-\n"))
    return text, phrases


_Correction = tuple[str, str]
"""A corrected text, and the words of the second thought."""


def _retracted(text: str, flat: str) -> _Correction | None:
    hit = _RETRACTED.search(flat)
    if hit is None or not _THOUGHT_OF.search(hit[0]) or not has_words(text[: hit.start()]):
        return None
    return without(text, [hit.span()]), text[hit.start() : hit.end()]


def _not_as_at_first(text: str, flat: str) -> _Correction | None:
    hit = _AT_FIRST.search(flat)
    if hit is None or not has_words(text[: hit.start()]):
        return None
    return text[: hit.start()] + text[hit.end() :], hit[0]


def _one_of_two(text: str, flat: str) -> _Correction | None:
    hit = _EITHER.search(flat)
    names = [hit[name] for name in ("one", "two")] if hit else []
    picks = [name for name in names if hit and hit["pick"].casefold() in name.casefold()]
    if hit is None or len(picks) != 1:
        return None
    return text[: hit.start()] + picks[0] + text[hit.end() :], text[hit.start() : hit.end()]


def _made_another(text: str, flat: str) -> _Correction | None:
    hit = _MADE_ANOTHER.search(flat)
    if hit is None:
        return None
    start = hit.start("new")
    return text[: hit.start()].rstrip(" .…") + " " + text[start:], text[hit.start() : start]


def _doubted(text: str, flat: str) -> _Correction | None:
    hit = _DOUBTED.search(flat)
    if hit is None or hit["same"].casefold() not in flat[: hit.start()].casefold():
        return None
    return without(text, [hit.span()]), hit[0]


def _named_anew(text: str, flat: str) -> _Correction | None:
    return _cut_before_new(text, _NAMED_ANEW.search(flat))


def _replaced(text: str, flat: str) -> _Correction | None:
    return _cut_before_new(text, _REPLACED.search(flat))


def _cut_before_new(text: str, hit: re.Match[str] | None) -> _Correction | None:
    if hit is None:
        return None
    start = hit.start("new")
    return text[: hit.start()] + text[start:], text[hit.start() : start]


def _recolored(text: str, flat: str) -> _Correction | None:
    return _with_colour(text, flat, _RECOLORED.search(flat), _A_COLOR)


def _remade(text: str, flat: str) -> _Correction | None:
    hit = _REMADE.search(flat)
    noun = re.escape(hit["noun"]) if hit else ""
    of_noun = re.compile(rf"\b{_COLOR}(?=(?: [\w'’-]{{1,20}}){{0,3}} {noun}\b)", re.I)
    return _with_colour(text, flat, hit, of_noun)


def _with_colour(
    text: str, flat: str, hit: re.Match[str] | None, colour: re.Pattern[str]
) -> _Correction | None:
    """The text with the new colour in place of the last one that ``colour`` finds before the hit."""
    colours = [*colour.finditer(flat, max(0, hit.start() - _REACH), hit.start())] if hit else []
    if hit is None or not colours or colours[-1][0].casefold() == hit["new"].casefold():
        return None
    rest = without(text, [hit.span()])
    return rest[: colours[-1].start()] + hit["new"] + rest[colours[-1].end() :], hit[0]


def _renamed(text: str, flat: str) -> _Correction | None:
    hit = _RENAMED.search(flat)
    if hit is None:
        return None
    old_name = re.compile(rf"\b(an?|the) {re.escape(hit['old'])}\b", re.I)
    before, behind = text[: hit.start()], text[hit.end() :]
    if not old_name.search(before):
        return None
    before = old_name.sub(lambda old: _like_case(old[0], hit["new"]), before)
    return without(f"{before}\0{behind}", [(len(before), len(before) + 1)]), hit[0]


_CORRECTIONS: tuple[Callable[[str, str], _Correction | None], ...] = (
    _retracted,
    _not_as_at_first,
    _one_of_two,
    _made_another,
    _doubted,
    _named_anew,
    _replaced,
    _recolored,
    _remade,
    _renamed,
)
"""In order; each takes the text and that masked."""


def _like_case(old: str, new: str) -> str:
    """The new name, with a capital where the old one has one."""
    return new[0].upper() + new[1:] if old[0].isupper() else new[0].lower() + new[1:]
