"""Requests for base models in a prompt: by an unambiguous name, or by a plain word in a fixed phrase.

    base_model_requests("a castle, flux dev")                  "flux dev", "Flux.1 D"
    base_model_requests("use pony and draw a castle")          "use pony and draw", "Pony"
    base_model_requests("illustrios: a castle")                "illustrios", "illustrious"
    base_model_requests("a pony in a field")                   nothing

In: a prompt. Out: the base models it asks for, with the places of the words, which can then be cut from the
prompt. The names are those of :mod:`diffagent.data.base_model_rows`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

from diffagent.data.base_model_facts import BaseModelFacts, Family
from diffagent.data.base_model_rows import FAMILIES, JOINED, LEADING, ORDINARY, TABLE
from diffagent.data.near_spellings import MendedPrompt, NameWords, mend

_PLEA = r"(?:(?:please|pls|plz|just)\s)?"
_USING = (
    rf"(?:(?:can|could|would|will)\s(?:you|ya|u)\s|i(?:\swant|['’]d\slike|\swould\slike)\sto\s)?"
    rf"{_PLEA}(?:use|using|try)\s(?:the\s)?"
)
_MADE = (
    r"(?:i(?:['’]d|\swould)?\s(?:like|want|prefer)\s(?:it|this|that)\s(?:to\sbe\s)?)?"
    r"(?:done|made|drawn|rendered|generated|created|painted)\s(?:with|by|in|on|using|via)\s(?:the\s)?"
)
_WITH = r"(?:with|on|via|trained\son|in)\s(?:the\s)?"
_LABEL = r"(?:(?:base\s?model|model|checkpoint|ckpt)\s?[:=]\s?|(?:checkpoint|ckpt)\s)"
_DRAWING = r"(?:make|draw|paint|create|generate|render|do)(?:\s(?:me|us))?"
_BEGUN = rf"(?:\s(?:and|to)\s{_PLEA}{_DRAWING}\b|\sfor\s(?=(?:an?|my|our|this|that|these|the)\s\w))"
"""What "use NAME" goes on with before it says what to draw."""
_REASON = r"(?:\s(?:as|because|since|bc|cause)\s(?:it|that|this|they)\b[^.!?\n]{0,80})"
_KIND = r"(?:\s(?:model|checkpoint|style|version)s?\b(?!\s(?:of|sheet)\b))"
_IMAGE = r"(?:image|picture|pic|render|generation)s?"
_LORA_FOR = r"(?:with|using|use)\san?\s{name}\slora(?:\s(?:for|of|in)\s[^,.;:!?\n]{{1,30}}(?=[,.;!?\n]|$))?"
_PERHAPS = (
    r"\s(?:or (?:any(?: [\w.-]+){0,2} (?:mix|merge|model|checkpoint|fine-?tune)|similar|"
    r"something (?:similar|like)|whatever (?:you|u|is))|"
    r"if (?:possible|available|(?:you|u) (?:have|can|got)|there is one))\b"
)
_CLOSED = (
    rf"(?={_PERHAPS}|\s(?:model|checkpoint|lora|please|pls|plz|instead|if|for|thanks|thx|mostly|mainly|usually)\b|"
    r"[ \t]{0,3}(?:[,:;!?)\n]|\.(?!\w)|$))"
)
_ENDING = (
    r"(?:\s(?:please|pls|plz|thanks|thx|ty|model|lora|style))?(?:(?=[\s.!?)\]]{0,4}\Z)|(?=" + _PERHAPS + "))"
)


class _RequestPattern(NamedTuple):
    """A base model or family and the ``pattern`` of its requests. A prompt that matches has one of ``hints``
    (empty: unknown); it does not count where it matches ``unless``, or does not match ``only``."""

    name: str
    pattern: str
    hints: frozenset[str] = frozenset()
    unless: str | None = None
    only: str | None = None

    def matches(self, prompt: str, folded: str) -> Iterator[re.Match[str]]:
        if self.hints and not any(hint in folded for hint in self.hints):
            return
        if self.unless is not None and _compiled(self.unless).search(prompt):
            return
        if self.only is None or _compiled(self.only).search(prompt):
            yield from _compiled(self.pattern).finditer(prompt)


@dataclass(frozen=True)
class BaseModelRequest:
    """A base model or family that a prompt asks for: the ``words``, without typos, and their place."""

    name: str
    words: str
    start: int
    end: int

    @classmethod
    def of(cls, name: str, match: re.Match[str], source: MendedPrompt) -> BaseModelRequest:
        """Returns the request of a match in a mended prompt."""
        return cls(name, match[0], source.at(match.start()), source.at(match.end()))

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.end


@lru_cache(64)
def base_model_requests(prompt: str) -> tuple[BaseModelRequest, ...]:
    """Returns a prompt's requests for base models and families; the first one holds.

    Derived families come before their parents, then the crawled ones. A match inside a longer one ("flux" in
    "flux schnell") does not count, nor one in a phrase that names no model ("flux capacitor"). Patterns
    without a word of the prompt are skipped, because compiling all of them takes longer than everything else.
    """
    source = mend(prompt, _names())
    text, folded = source.text, source.text.casefold()
    matches = [
        (match, asking.name) for asking in _request_patterns() for match in asking.matches(text, folded)
    ]
    plain = list(_compiled(ORDINARY).finditer(text)) if matches else []
    inside = _inside([*(match.span() for match in plain), *(match.span() for match, _ in matches)])
    return tuple(
        BaseModelRequest.of(name, match, source) for match, name in matches if match.span() not in inside
    )


def _inside(spans: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """The spans that lie in a longer one: "flux" in "flux schnell"."""
    reached, parts = -1, set()
    for start, end in sorted(set(spans), key=lambda span: (span[0], -span[1])):
        if end <= reached:
            parts.add((start, end))
        reached = max(reached, end)
    return parts


def bare_name(words: str) -> str:
    """The bare name in the words of a request: "flux dev" of "use flux dev"."""
    before = rf"\A\s*(?:{_USING}|{_LABEL}|{_MADE})"
    behind = rf"{_KIND}?(?:\s(?:and|to)\s{_PLEA}{_DRAWING}|\sfor|{_REASON})?\s*\Z"
    return _compiled(f"{before}|{behind}").sub("", words).strip()


@cache
def _names() -> NameWords:
    """The words of base model names whose typos are mended."""
    rows = [row for row in TABLE if row.grade != "hosted"]
    words = {word for row in rows for word in row.words}
    words |= {word for family in FAMILIES.values() for word in (*family.words, *family.first)}
    spellings = {spelling for row in rows for spelling in (row.name, *row.spellings, *row.words)}
    spellings |= {spelling for family in FAMILIES.values() for spelling in (family.title, *family.spellings)}
    typed = [re.findall(r"[^\W\d_]+", spelling.casefold()) for spelling in spellings]
    alone = {word for word in words if word.isalpha()} - {"sana"}  # Saana is somebody
    return NameWords.of({*alone, *JOINED, "schnell"}, [*typed, *map(_letters, spellings)])


def _letters(spelling: str) -> list[str]:
    return [piece for piece in _pieces(spelling) if piece.isalpha()]


@cache
def _request_patterns() -> tuple[_RequestPattern, ...]:
    by_name = {row.name: row for row in TABLE}
    crawled = (row.family for row in reversed(TABLE) if row.entries == "crawled")
    derived = (row.family for row in TABLE if row.parent and by_name[row.parent].family != row.family)
    families = dict.fromkeys((*derived, *crawled, *(row.family for row in TABLE)))
    askings: list[_RequestPattern] = []
    for family in families:
        facts = FAMILIES.get(family, Family(family))
        rows = (row for row in TABLE if row.family == family)
        for row in sorted(rows, key=lambda row: -len(row.name)):  # the longest first: "… Turbo" before "…"
            if row.grade == "hosted":  # companies and things: only "use NAME" asks for them
                askings += _of_words(row.name, (row.name, *row.spellings, *row.words), facts)
            else:
                askings += [
                    *_of_names(row.name, _prompt_names(row), row.words, facts.versions),
                    *_of_words(row.name, row.words, facts),
                ]
        askings += [
            *_of_names(family, facts.spellings, facts.words, facts.versions),
            *_of_words(family, facts.words, facts),
        ]
        askings += _of_family(family, facts)
    return tuple(askings)


def _prompt_names(row: BaseModelFacts) -> tuple[str, ...]:
    """A base model's names in prompts: its name, unless it is a plain word, and its spellings."""
    if row.heard is not None:
        return row.heard
    is_plain = row.name.isalpha() and row.name.casefold() in {word.casefold() for word in row.words}
    return row.spellings if is_plain else (row.name, *row.spellings)


def _of_names(
    name: str, spellings: Sequence[str], words: Sequence[str], versions: str | None = None
) -> Iterator[_RequestPattern]:
    """Yields the patterns of unambiguous names, anywhere in a prompt."""
    longest = sorted({*spellings} - {*words}, key=len, reverse=True)
    if longest:
        called = "|".join(
            _spaced(spelling) + (r"(?!\s\w+s\b)" if spelling[-1].isdigit() else "") for spelling in longest
        )
        behind = rf"(?:[ ._-]?{versions}(?!\w|\.\d))?" if versions else ""
        yield _RequestPattern(name, _wherever(rf"\b(?:{called}){behind}(?!\w)"), _hints(longest))


def _wherever(called: str) -> str:
    """The pattern of a name with the phrase around it."""
    return (
        rf"(?:\b{_USING})?{called}{_KIND}?{_BEGUN}|"
        rf"(?:\b{_MADE})?{called}{_KIND}?{_REASON}|"
        rf"\b{_LORA_FOR.format(name=called)}|"
        rf"\b(?:an?\s)?{called}(?:\s{_IMAGE})?\sof\s(?=\w)|"
        rf"(?:\b(?:{_USING}|{_LABEL}|{_MADE}))?{called}{_KIND}?"
    )


def _of_words(name: str, words: Sequence[str], facts: Family) -> Iterator[_RequestPattern]:
    """Yields the patterns of plain words, which need a phrase such as "use …" or "… model"."""
    if not words:
        return
    word = "(?:" + "|".join(map(_spaced, sorted(words, key=len, reverse=True))) + r")(?!\w)"
    patterns = (
        rf"\b{_USING}{word}{_KIND}?(?:{_BEGUN}|{_REASON}|{_CLOSED})",
        rf"\b{_MADE}{word}{_KIND}?(?:{_REASON}|{_CLOSED})",
        rf"\b{_LORA_FOR.format(name=word)}",
        rf"\b{_LABEL}{word}",
        rf"\b{word}\slora\sof\b",
        rf"\b{word}\s(?:model|checkpoint|lora)s?\b",
        rf"\b(?:an?\s)?{word}\s{_IMAGE}\sof\s(?=\w)",
        rf"\b(?:trying(?:\sout)?|testing(?:\sout)?|prefer)\s{word}{_CLOSED}",
        rf"\b{word}\s(?:is\s)?(?:installed|loaded)\b",
        rf"\b{_DRAWING}\swith\s{word}(?=\s(?:an?|the|my|some|\d)\b)",
        rf"(?:(?<=\bnot\s)|(?<=\bno\s)|(?<=\bnever\s)|(?<=\bbut\s)|(?<=\bexcept\s)){word}{_CLOSED}",
    )
    yield _RequestPattern(name, "|".join(patterns), _hints(words))
    if facts.versions:
        yield _RequestPattern(name, _wherever(rf"\b{word}[ ._-]?{facts.versions}(?!\w|\.\d)"), _hints(words))
    behind = r"[:,]\s" if {*words} <= {*LEADING} else r":\s"
    loose = rf"\b{_WITH}{word}{_CLOSED}|\A\s*{word}(?={behind})"
    yield _RequestPattern(name, loose, _hints(words), facts.unless)


def _of_family(name: str, facts: Family) -> Iterator[_RequestPattern]:
    """Yields a family's own patterns: ``request``, and words that are a clause by themselves."""
    if facts.request:
        hints = {*_hints((facts.title, *facts.spellings, *facts.words))}
        hints |= {"stable"} if "stable" in facts.request else set()
        yield _RequestPattern(name, _wherever(f"(?:{facts.request})"), frozenset(hints))
    if facts.first:
        word = "|".join(map(_spaced, facts.first))
        start = r"(?:\A\s*|(?<=[.!?\n:]\s))"
        first = (
            rf"{start}(?:[/#]|[\[(])?(?:{word})[\])]?(?=[ \t]{{0,3}}[,:;|\n]|\.\s|\s[-–—]\s)|"
            rf"\A\s*/(?:{word})\s"
        )
        yield _RequestPattern(name, first, _hints(facts.first), facts.unless)
    if facts.last:
        word = "|".join(map(_spaced, facts.last))
        before = r"(?:(?<=[,;.!?\n(\[])[ \t]{0,3}|\|[ \t]{0,3}|(?<=\s[-–—]\s))"
        last = rf"{before}(?:{word}){_ENDING}|(?<=\s)#(?:{word})(?=\s*\Z)"
        yield _RequestPattern(name, last, _hints(facts.last), facts.unless, facts.last_only)


def _hints(names: Iterable[str]) -> frozenset[str]:
    return frozenset(_pieces(spelling)[0] for spelling in names)


def _pieces(spelling: str) -> list[str]:
    """The words and numbers of a name, with compounds split as some people write them."""
    folded = spelling.casefold()
    for joined, apart in JOINED.items():
        folded = folded.replace(joined, apart)
    return re.findall(r"[^\W\d_]+|\d+", folded)


def _spaced(spelling: str) -> str:
    """A pattern of a spelling with a blank, a dot, a dash or nothing between words; the last word may stand
    in brackets."""
    *words, last = map(re.escape, _pieces(spelling))
    gap = r"[ ._-]?"
    if not words:
        return last
    return rf"{gap.join(words)}(?:{gap}{last}|\s?[\[(]{last}[\])])"


_compiled = cache(lambda pattern: re.compile(pattern, re.I))
