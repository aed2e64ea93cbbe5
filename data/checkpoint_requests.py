"""Requests for checkpoints in a prompt, by name and version.

    checkpoint_requests("a mill, juggernaut if possible")     "Juggernaut"
    checkpoint_requests("wai illustrious v14, a mill")        "WAI Illustrious", version 14.0
    checkpoint_requests("illustrious v2.0: a mill")           "Illustrious", version 2.0
    checkpoint_requests("a juggernaut in armour")             nothing

In: a prompt. Out: the names, each with the place of the requesting words. A name that is also an ordinary
word counts only with a version, "XL", "model", "use" or a plea.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from diffagent.data.base_model_requests import bare_name, base_model_requests
from diffagent.data.base_model_rows import CHECKPOINTS, FAMILIES, ORDINARY_CHECKPOINTS, TABLE
from diffagent.data.near_spellings import MendedPrompt, NameWords, mend

_VERSION = (
    r"(?:v(?:ersion)?[ .]?(?P<v{n}>\d{{1,3}}(?:[._]\d{{1,2}})?)|(?P<d{n}>\d{{1,2}}\.\d{{1,2}}))(?!\w|\.\d)"
)
_PLEA = (
    r"(?:if (?:at all )?(?:possible|available|(?:you|u|ya) (?:have|['’]?ve got|got|can)(?: it)?|"
    r"there is one|(?:it|that)(?:['’]?s| is) (?:there|possible|available|ok(?:ay)?))|ideally|preferably|"
    r"or (?:something )?(?:similar|like (?:it|that))|please|pls|plz)"
)
_KIND = r"(?:model|checkpoint|ckpt)"
_USE = (
    r"(?:(?:please |pls |plz |just )?(?:use|using|try|(?<=you )do|(?<=\bu )do) (?:the )?|"
    r"(?:done|made|drawn|rendered|generated|created|painted) (?:with|by|in|on|using) )"
)
_WITH = r"(?:with|on|via|in|from) (?:the )?"
_HEARD = (
    r"(?:swears? by|recommend(?:s|ed)?|told me (?:about|of)|heard (?:of|about)|read about|found|"
    r"there(?:['’]s| is)|called|named|loves?)"
)
_USE_IT = r"[^\n]{0,80}?\b(?:use|try|take) (?:it|that|this)(?: one)?\b"
_START = r"(?:\A|(?<=[,;.:!?\n(\[|\0]))[ \t]*"
_END = (
    r"(?=\s(?:for (?:this|it|that|my)|plus|and|on this)\b|"
    r"[ \t]*(?:[,;:!?\n()\]+|\0]|\.(?!\w)|\Z|\s[-–—]\s))"
)


@dataclass(frozen=True)
class CheckpointRequest:
    """A checkpoint that a prompt asks for; ``words`` are its name as typed, and ``start`` to ``end`` is the
    requesting phrase."""

    name: str
    version: float | None
    words: str
    start: int
    end: int
    is_base_model: bool = False
    """Whether it is a base model's name with a version."""

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.end


@lru_cache(64)
def checkpoint_requests(prompt: str) -> tuple[CheckpointRequest, ...]:
    """Returns a prompt's requests for checkpoints and for versions of base models, in order."""
    source = mend(prompt, _names())
    folded = source.text.casefold()
    requests = tuple(_requests(source)) if any(key in folded for key in _keys()) else ()
    versions = [
        version for version in _versions(prompt) if not any(_overlap(version, other) for other in requests)
    ]
    return tuple(sorted((*requests, *versions), key=lambda request: request.start))


def _versions(prompt: str) -> Iterator[CheckpointRequest]:
    """Yields base models with a version that is not a base model of its own."""
    families = {row.name: row.family for row in TABLE}
    for request in base_model_requests(prompt):
        family = FAMILIES.get(families.get(request.name, request.name))
        pattern = family and family.versions
        if family and pattern and (version := re.search(pattern, request.words, re.I)):
            number = float(re.sub(r"[^\d.]", "", version[0]).strip("."))
            yield CheckpointRequest(family.title, number, bare_name(request.words), *request.span, True)


def _overlap(first: CheckpointRequest, other: CheckpointRequest) -> bool:
    return first.start < other.end and other.start < first.end


def _requests(source: MendedPrompt) -> Iterator[CheckpointRequest]:
    flat = _flattened(source.text)
    requests: dict[tuple[int, int], CheckpointRequest] = {}
    for text in dict.fromkeys((source.text, flat)):
        for match in _pattern().finditer(text):
            requests.setdefault(
                match.span(), _request(match, source.at(match.start()), source.at(match.end()))
            )
    yield from _longest(requests)


def _longest(requests: dict[tuple[int, int], CheckpointRequest]) -> Iterator[CheckpointRequest]:
    """Yields the requests that do not lie in a longer one."""
    for span, request in requests.items():
        if not any(low <= span[0] and span[1] <= high and (low, high) != span for low, high in requests):
            yield request


def _flattened(text: str) -> str:
    """The text with base model names as separators: "sdxl juggernaut xl" names two models."""
    for request in base_model_requests(text):
        if not _pattern().search(text, request.start, request.end):
            text = text[: request.start] + "\0" * (request.end - request.start) + text[request.end :]
    return text


def _request(match: re.Match[str], start: int, end: int) -> CheckpointRequest:
    number = next(n for n in range(_FORMS) if match[f"n{n}"])
    typed = match[f"n{number}"]
    groups = match.groupdict()
    version = next((groups[key] for key in (f"{kind}{number}" for kind in "vdi") if groups.get(key)), None)
    key = _letters(typed)
    name = max(
        (
            checkpoint
            for checkpoint in (*CHECKPOINTS, *ORDINARY_CHECKPOINTS)
            if key.startswith(_letters(checkpoint).removesuffix("xl"))
        ),
        key=len,
    )
    words = match[0][match.start(f"n{number}") - match.start() :]
    words = re.sub(rf"(?:\s(?:{_KIND}s?|{_PLEA}))*\s*\Z", "", words, flags=re.I)
    return CheckpointRequest(name, _number(version) if version else None, words.strip(), start, end)


def _number(version: str) -> float:
    """A version as a number; "140" in file names means 14.0."""
    number = float(version.replace("_", "."))
    return number / 10 if len(version) == 3 and version.isdecimal() else number


_FORMS = 6


@cache
def _pattern() -> re.Pattern[str]:
    names, ordinary = _choice(CHECKPOINTS), _choice(ORDINARY_CHECKPOINTS)
    tail = rf"(?: {_KIND}s?\b)?(?: {_PLEA})*"
    fast = r"(?: (?:lightning|turbo|hyper))?"
    version = [rf"(?:[ ._-]?{_VERSION.format(n=n)})" for n in range(_FORMS)]
    forms = (
        # an unambiguous name, such as one with "XL": a clause by itself, or after a preposition
        rf"(?:{_START}(?:{_WITH}|{_USE})?|\b(?:{_USE}|{_WITH}))"
        rf"(?P<n0>{names}|{ordinary}(?<=xl)){fast}(?:{version[0]}| (?P<i0>\d{{1,2}}))?"
        rf"{tail}{_END}",
        # with a version or "model", anywhere
        rf"(?:\b(?:{_USE}|{_WITH}))?\b(?P<n1>{names}|{ordinary})"
        rf"(?:{version[1]}(?: {_KIND}\b)?|(?: (?P<i1>\d{{1,2}}))? {_KIND}\b)(?: {_PLEA})*",
        # an ordinary word: after "use", or a clause with a plea
        rf"\b{_USE}(?P<n2>{ordinary}){fast}(?:{version[2]}| (?P<i2>\d{{1,2}}))?{tail}{_END}",
        rf"{_START}(?:{_WITH}|{_USE})?(?P<n3>{ordinary})(?: {_PLEA})+{_END}",
        # named at a hub or by somebody, and meant by "use it" behind
        rf"(?P<n4>{names}|{ordinary})(?:{version[4]})?"
        rf"(?= (?:on|at|from|in) (?:civit(?:ai)?|hugging ?face|hf)\b{_USE_IT})",
        rf"\b{_HEARD} (?P<n5>{names}|{ordinary})(?:{version[5]})?(?={_USE_IT})",
    )
    return re.compile("|".join(forms), re.I)


def _choice(names: tuple[str, ...]) -> str:
    """A pattern of names, with or without blanks between words and "XL" behind."""
    longest = sorted(names, key=len, reverse=True)
    spaced = (r"[ ._-]?".join(map(re.escape, _words(name))) for name in longest)
    return rf"\b(?:{'|'.join(spaced)})(?:[ ._-]?(?:sd)?xl(?![a-z]))?(?![a-z])"


def _words(name: str) -> list[str]:
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z\d]", "", name.casefold())


@cache
def _keys() -> frozenset[str]:
    """The first word of each name."""
    return frozenset(_words(name)[0].casefold() for name in (*CHECKPOINTS, *ORDINARY_CHECKPOINTS))


@cache
def _names() -> NameWords:
    """The names of one long word, whose typos are mended."""
    words = {
        name.casefold() for name in (*CHECKPOINTS, *ORDINARY_CHECKPOINTS) if " " not in name and len(name) > 8
    }
    typed = [name.split() for name in CHECKPOINTS]
    return NameWords.of(words - {"counterfeit", "deliberate", "illustrij", "reliberate"}, typed)
