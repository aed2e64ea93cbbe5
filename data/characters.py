"""Well-known fictional characters and their series, with the medium each belongs to.

    characters("Totoro's bus stop")   -> (Character("Totoro's", 0, 8, "anime", "none", "Studio Ghibli"),)

A large language model wrote ``default/characters.tsv``. A line groups characters by its other columns: names
(``;`` between characters, ``|`` between spellings of one), medium, people (``-``: unknown, as for a series),
series (``|`` before synonyms); an empty medium or series repeats that of the line before. The medium is that
in which models know the character: Hollow Knight's are known to those of anime. An ordinary word or a common
first name counts only beside another name: ``Link+zelda``; ``Jinx+`` beside the series.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple, cast

from diffagent.data.attributes import Medium, People

TALES = ("myth", "tale")
"""The "series" of folk characters, which models are seldom made for."""

UNKNOWN = "-"
"""The "people" of a series."""

_WORD = re.compile(r"[^\W_]++(?:['’][^\W_]++)*+")
_WITHIN = frozenset((" ", "-", "–", ".", ". ", "/", ":", ": ", "; ", ";", "!", "! ", "&", " & ", "+", "_"))
"""Separators between two words of one name."""
_POSSESSIVE = re.compile(r"'s\b")
_SPACES = str.maketrans(dict.fromkeys("-./:!&,", " "))


@dataclass(frozen=True)
class Character:
    """A character or series that a text names at ``start`` to ``end``; ``people`` is None where unknown, as
    for a series."""

    name: str
    start: int
    end: int
    medium: Medium
    people: People | None
    series: str

    @property
    def is_special(self) -> bool:
        """Whether models are made for it: it is neither a series nor a folk character."""
        return self.people is not None and self.series not in TALES


_Kind = tuple[str, str, str]
"""Medium, people and series of a line."""


class _Index(NamedTuple):
    """Folded names: ``names`` → kind, ``tied`` → [(kind, phrases, one of which the text must have)];
    ``firsts``: first word → the most words of such a name; ``spellings``: series → words for it and its
    parts."""

    names: dict[str, _Kind]
    tied: dict[str, list[tuple[_Kind, tuple[str, ...]]]]
    firsts: dict[str, int]
    spellings: dict[str, frozenset[str]]


def characters(text: str) -> tuple[Character, ...]:
    """Returns the characters and series that a text names, in order; of overlapping names the longest.

    The time is linear in the text's length.
    """
    index = _index()
    spans = [(match.start(), match.end()) for match in _WORD.finditer(text)]
    tokens = [_fold(text[start:end]) for start, end in spans]
    folded_text = f" {' '.join(tokens)} "
    presence: dict[str, bool] = {}

    def stands(phrases: tuple[str, ...]) -> bool:
        for phrase in phrases:
            if phrase not in presence:
                presence[phrase] = f" {phrase} " in folded_text
        return any(presence[phrase] for phrase in phrases)

    mentions, at = [], 0
    while at < len(tokens):
        length = 1
        if longest := index.firsts.get(tokens[at]) or index.firsts.get(_singular(tokens[at])):
            for name, count in _runs(text, spans[at : at + longest], tokens[at : at + longest]):
                tied = (tied_kind for tied_kind, needed in index.tied.get(name, ()) if stands(needed))
                if kind := next(tied, index.names.get(name)):
                    if at and tokens[at - 1] == "from":  # "Link from Zelda": the series, not another one
                        kind = (kind[0], UNKNOWN, kind[2])
                    mentions.append(_character(text, spans[at][0], spans[at + count - 1][1], kind))
                    length = count
                    break
        at += length
    return tuple(mentions)


def spellings(series: str) -> frozenset[str]:
    """A series' names in lower case: its own, synonyms, and those of its parts."""
    return _index().spellings.get(series, frozenset())


def bearers(name: str) -> tuple[frozenset[str], bool]:
    """The series with a character of this name, and whether the name is ambiguous: an ordinary word or a
    common first name."""
    index, key = _index(), " ".join(_fold(word) for word in _WORD.findall(name))
    kind, tied = index.names.get(key), index.tied.get(key, [])
    kinds = [
        kind_or_none
        for kind_or_none in (kind, *(kind_or_none for kind_or_none, _ in tied))
        if kind_or_none is not None
    ]
    return frozenset(series for _, _, series in kinds), bool(tied) and kind is None


def things(word: str) -> frozenset[str]:
    """The series whose name, or a name of a ship or place in it, contains a word among others."""
    return _things().get(_fold(word), frozenset())


@cache
def _things() -> dict[str, frozenset[str]]:
    holding: dict[str, set[str]] = defaultdict(set)
    for name, (_, people, series) in _index().names.items():
        for word in name.split() if people == UNKNOWN and " " in name else ():
            holding[word].add(series)
    return {word: frozenset(series) for word, series in holding.items()}


def _runs(text: str, spans: Sequence[tuple[int, int]], tokens: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yields candidate names that begin at the first word, longest first, with and without a plural s."""
    end = 1
    while end < len(spans) and text[spans[end - 1][1] : spans[end][0]] in _WITHIN:
        end += 1
    for count in range(end, 0, -1):
        name = " ".join(tokens[:count])
        yield name, count
        if (shorter := _singular(name)) != name:
            yield shorter, count


def _character(text: str, start: int, end: int, kind: _Kind) -> Character:
    medium, people, series = kind
    cast_people = None if people == UNKNOWN else cast(People, people)
    return Character(text[start:end], start, end, cast(Medium, medium), cast_people, series)


def _fold(word: str) -> str:
    """A word in lower case without accents or a possessive ending."""
    word = word.casefold().replace("’", "'").removesuffix("'s")
    if word.isascii():
        return word
    return "".join(
        letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter)
    )


def _singular(name: str) -> str:
    return name[:-1] if len(name) > 5 and name.endswith("s") else name


@cache
def _index() -> _Index:
    text = (files("diffagent.data") / "default" / "characters.tsv").read_text("ascii")
    folded = _POSSESSIVE.sub("", text.casefold()).translate(_SPACES)
    while "  " in folded:
        folded = folded.replace("  ", " ")
    for mark in ";|+\t\n":
        folded = folded.replace(f" {mark}", mark).replace(f"{mark} ", mark)
    names: dict[str, _Kind] = {}
    tied: dict[str, list[tuple[_Kind, tuple[str, ...]]]] = defaultdict(list)
    medium = series = ""
    words: tuple[str, ...] = ()
    names_of: dict[str, set[str]] = defaultdict(set)
    for line, small in zip(text.splitlines(), folded.splitlines(), strict=True):
        _, own_medium, people, own_series = line.split("\t")
        spellings, _, _, phrases = small.split("\t")
        medium, series = own_medium or medium, own_series.partition("|")[0] or series
        words = tuple(phrases.split("|")) if phrases else words
        kind = medium, people, series
        names_of[series].update((series.casefold(), *words))
        if people == UNKNOWN:
            names_of[series].update(
                spelling_of_series.partition("+")[0]
                for spelling_of_series in spellings.replace("|", ";").split(";")
            )
        for spelling in spellings.replace("|", ";").split(";"):
            if "+" in spelling:
                name, _, other = spelling.partition("+")
                tied[name].append((kind, (other,) if other else words))
            else:
                names[spelling] = kind
                if medium == "anime" and people not in ("-", "none") and spelling.count(" ") == 1:
                    first_name, _, family = spelling.partition(" ")  # people write either first
                    names.setdefault(f"{family} {first_name}", kind)
    firsts: dict[str, int] = {}
    for name in (*names, *tied):
        first, count = name.partition(" ")[0], name.count(" ") + 1
        if firsts.get(first, 0) < count:
            firsts[first] = count
    return _Index(names, tied, firsts, {name: frozenset(others) for name, others in names_of.items()})
