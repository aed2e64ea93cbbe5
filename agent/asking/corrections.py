"""Corrections: second thoughts in a message, applied to the words that they correct.

corrections("a goat in a red scarf. or wait, blue")    -> "a goat in a blue scarf", ["or wait, blue"]
corrections("a deer, asleep. Actually it is not a deer but an elk")  -> "an elk, asleep", the second sentence
corrections("a red kite. no wait, make the kite blue")  -> "a blue kite", ["no wait, make the kite blue"]
corrections("a goat, no wait, a ram, on a hill")       -> "a ram, on a hill", ["a goat, no wait"]
"""

from __future__ import annotations

import re

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
    flat = masked(text)
    if (hit := _RETRACTED.search(flat)) and _THOUGHT_OF.search(hit[0]) and has_words(text[: hit.start()]):
        phrases.append(text[hit.start() : hit.end()])
        text = without(text, [hit.span()])
        flat = masked(text)
    if (hit := _AT_FIRST.search(flat)) and has_words(text[: hit.start()]):
        phrases.append(hit[0])
        text = text[: hit.start()] + text[hit.end() :]
        flat = masked(text)
    if hit := _EITHER.search(flat):
        picks = [hit[name] for name in ("one", "two") if hit["pick"].casefold() in hit[name].casefold()]
        if len(picks) == 1:
            phrases.append(text[hit.start() : hit.end()])
            text = text[: hit.start()] + picks[0] + text[hit.end() :]
            flat = masked(text)
    if hit := _MADE_ANOTHER.search(flat):
        phrases.append(text[hit.start() : hit.start("new")])
        text = text[: hit.start()].rstrip(" .…") + " " + text[hit.start("new") :]
        flat = masked(text)
    if (hit := _DOUBTED.search(flat)) and hit["same"].casefold() in flat[: hit.start()].casefold():
        phrases.append(hit[0])
        text = without(text, [hit.span()])
        flat = masked(text)
    if hit := _NAMED_ANEW.search(flat):
        phrases.append(text[hit.start() : hit.start("new")])
        text = text[: hit.start()] + text[hit.start("new") :]
        flat = masked(text)
    if hit := _REPLACED.search(flat):
        start = hit.start("new")
        phrases.append(text[hit.start() : start])
        text = text[: hit.start()] + text[start:]
        flat = masked(text)
    if hit := _RECOLORED.search(flat):
        low = max(0, hit.start() - _REACH)
        colors = [*_A_COLOR.finditer(flat, low, hit.start())][-1:]
        if colors and colors[0][0].casefold() != hit["new"].casefold():
            phrases.append(hit[0])
            rest = without(text, [hit.span()])
            text = rest[: colors[0].start()] + hit["new"] + rest[colors[0].end() :]
            flat = masked(text)
    if hit := _REMADE.search(flat):
        low = max(0, hit.start() - _REACH)
        noun = re.escape(hit["noun"])
        colored = re.compile(rf"\b(?P<old>{_COLOR})(?=(?: [\w'’-]{{1,20}}){{0,3}} {noun}\b)", re.I)
        colors = [*colored.finditer(flat, low, hit.start())][-1:]
        if colors and colors[0]["old"].casefold() != hit["new"].casefold():
            phrases.append(hit[0])
            rest = without(text, [hit.span()])
            text = rest[: colors[0].start()] + hit["new"] + rest[colors[0].end() :]
            flat = masked(text)
    if hit := _RENAMED.search(flat):
        old_name = re.compile(rf"\b(an?|the) {re.escape(hit['old'])}\b", re.I)
        before, behind = text[: hit.start()], text[hit.end() :]
        if old_name.search(before):
            phrases.append(hit[0])
            before = old_name.sub(lambda old: _like_case(old[0], hit["new"]), before)
            text = without(f"{before}\0{behind}", [(len(before), len(before) + 1)])
    return text, [phrase.strip(" ,;.!…-\n") for phrase in phrases]


def _like_case(old: str, new: str) -> str:
    """The new name, with a capital where the old one has one."""
    return new[0].upper() + new[1:] if old[0].isupper() else new[0].lower() + new[1:]
