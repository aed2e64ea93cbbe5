"""Origins: the works that a request's names come from.

    origins("Hornet from Hollow Knight")   -> (Origin(("hornet",), (("hollow", "knight"),), True),)
    origins("saber_(fate), rain")          -> (Origin(("saber",), (("fate",),), True),)

In: a request, and the well-known characters in it. Out: for each name its stemmed words, and the spellings of
its work. ``is_certain`` is whether that is certainly a work; "from behind" is not one, unless the catalog has
a work of that name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from diffagent.agent.asking.words import FUNCTION_WORDS, is_ordinary, words
from diffagent.data.characters import Character, spellings

Words = tuple[str, ...]

LONGEST = 5
"""The most words of a work's name."""
NAME = 3
"""The most words of a name before "from"."""
_LINK = re.compile(
    r"(?<= )(?P<link>from|of) (?:the )?"
    r"(?:(?:video )?(?:game|series|anime|manga|movie|film|show|cartoon|comics?|books?|novels?) )?"
    r"(?P<series>[^\s,.;!?()\[\]{}\"|]{1,40}(?: [^\s,.;!?()\[\]{}\"|]{1,40}){0,4})"
)
_BRACKET = re.compile(r"\((?P<series>[^()\\:]{2,40})\\?\)")
_BEFORE = 80
"""Characters before a link in which the name is looked for."""
_ENDS = re.compile(r"[,.;:!?()\[\]{}\"|]")
_PAIR = re.compile(r"\b(?=([A-Z][a-z'’]{1,30}) ([A-Z][a-z'’]{1,30})\b)")
_NO_WORK = frozenset(("style", "medium", "object", "cosplay", "artist", "series", "background"))
"""Image boards' words in brackets that are not works."""
_TEXT_OF_PLACES = """
africa america asia europe australia antarctica afghanistan albania algeria argentina armenia austria
belgium bolivia brazil britain bulgaria cambodia canada chile china colombia croatia cuba cyprus czechia
denmark ecuador egypt england estonia ethiopia finland france georgia germany ghana greece greenland
guatemala haiti hungary iceland india indonesia iran iraq ireland israel italy jamaica japan kenya korea
latvia lebanon libya lithuania luxembourg malaysia mali malta mexico moldova mongolia morocco nepal
netherlands holland nigeria norway oman pakistan panama paraguay peru philippines poland portugal romania
russia rwanda scotland senegal serbia singapore slovakia slovenia somalia spain sudan sweden switzerland
syria taiwan tanzania thailand tibet tunisia turkey uganda ukraine uruguay usa uk venezuela vietnam wales
yemen zimbabwe amsterdam athens baghdad bangkok barcelona beijing berlin boston brooklyn brussels
bucharest budapest cairo chicago copenhagen dublin edinburgh florence hamburg havana helsinki hollywood
istanbul jerusalem kyiv kyoto lagos lima lisbon liverpool london madrid manchester marseille milan moscow
mumbai munich naples oslo oxford paris prague rome seattle seoul shanghai stockholm sydney tokyo toronto
venice vienna warsaw york texas california florida hawaii alaska sicily bavaria provence tuscany crete
"""
PLACES = frozenset(_TEXT_OF_PLACES.split())
"""Origins of people rather than of characters."""


@dataclass(frozen=True)
class Origin:
    """The ``series`` of a ``name`` (stemmed words): its spellings, in stemmed words each."""

    name: Words
    series: tuple[Words, ...]
    is_certain: bool


def origins(prompt: str, characters: Sequence[Character]) -> tuple[Origin, ...]:
    """Returns the origins of a request's names; ``characters`` are the well-known ones in it."""
    character_origins = tuple(_character_origins(characters))
    return (
        *_link_origins(prompt),
        *character_origins,
        *_full_name_origins(prompt, {word for origin in character_origins for word in origin.name}),
    )


def unknown_character(prompt: str) -> bool:
    """Whether a request names somebody from a work ("NAME from SERIES") by proper names."""
    if prompt == prompt.upper() or prompt == prompt.title():
        return False
    for match in _LINK.finditer(prompt):
        if match["link"] != "from" or not match["series"][0].isupper():
            continue
        name = _proper_names(reversed(_before(prompt, match.start()).split()))
        series = words(" ".join(_proper_names(match["series"].split())))
        is_proper = any(not is_ordinary(word) and word.isalpha() for word in words(" ".join(name)))
        if series and is_proper and not PLACES & set(series):
            return True
    return False


def _before(prompt: str, end: int) -> str:
    """The clause that ends at a place."""
    return _ENDS.split(prompt[max(0, end - _BEFORE) : end])[-1]


def _proper_names(tokens: Iterator[str] | Sequence[str]) -> list[str]:
    """The leading words with a capital letter."""
    names: list[str] = []
    for word in tokens:
        if not word[:1].isupper():
            break
        if word.casefold() not in FUNCTION_WORDS:
            names.append(word)
    return names


def _link_origins(prompt: str) -> Iterator[Origin]:
    """Yields origins by "from", "of" and brackets."""
    is_shouted = prompt in (prompt.upper(), prompt.title())
    for match in _LINK.finditer(prompt):
        name = tuple(words(_before(prompt, match.start())))[-NAME:]
        series = tuple(words(match["series"]))[:LONGEST]
        is_proper = match["series"][0].isupper() and not is_shouted and match["link"] == "from"
        if name and series:
            if is_proper:
                series = tuple(words(" ".join(_proper_names(match["series"].split())))) or series
            yield Origin(name, (series,), is_proper)
    for match in _BRACKET.finditer(prompt):
        before = prompt[max(0, match.start() - _BEFORE) : match.start()]
        is_certain = before.endswith(("\\", "_"))
        before = before.removesuffix("\\")
        series = tuple(words(match["series"].replace("_", " ")))
        name = tuple(words(_ENDS.split(before)[-1].replace("_", " ")))[-NAME:]
        if name and series and before.strip(" _")[-1:].isalnum() and not _NO_WORK & set(series):
            yield Origin(name, (series[:LONGEST],), is_certain)


def _full_name_origins(prompt: str, known_words: Collection[str]) -> Iterator[Origin]:
    """Yields origins by two proper names side by side: the Mona of "Mona Lisa" is not another Mona."""
    if prompt in (prompt.upper(), prompt.title()):
        return
    for match in _PAIR.finditer(prompt):
        pair = words(match[1])[:1] + words(match[2])[:1]
        if len(pair) == 2 and not any(is_ordinary(word) or word in known_words for word in pair):
            yield Origin((pair[0],), ((pair[1],),), True)
            yield Origin((pair[1],), ((pair[0],),), True)


def _character_origins(characters: Sequence[Character]) -> Iterator[Origin]:
    """Yields origins by well-known characters."""
    for character in characters:
        name = tuple(words(character.name))
        if name:
            yield Origin(name, tuple(tuple(words(text)) for text in spellings(character.series)), True)
