"""Mends typos of model names in a prompt.

    mend("flux shnell pls, a mill", names).text     "flux schnell pls, a mill"
    mend("an illustrios professor", names).text     unchanged

A word is a typo of a name where it is not another word and stands where models are named: as the first or the
last clause, after "use", before "model", or beside another word of the name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

SHORT = 5
"""The most letters of a word whose only typos are a doubled or a swapped letter."""
LONG = 9
"""The least letters of a word that two edits are a typo of."""
_LEAST = 4
_TEXT_OF_LIKE_NAMES = """
industrious chrome pixar kolor kolory lamina lumine lumia luminal luminar based
dreamscape dreamscapes dreamscaper dreamshape animating animations animation hyperrealistic
"""
_LIKE_NAMES = frozenset(_TEXT_OF_LIKE_NAMES.split())
"""Other words that are as close to a name as its typos."""
_WORD = re.compile(r"(?<![^\W\d_])[^\W\d_]{1,24}(?![^\W\d_])")
_PLEA = r"(?:please|pls|plz|thanks|thx|ty)"
_BEHIND = re.compile(rf"\s(?:xl\s)?(?:model|checkpoint|ckpt|lora)s?\b|\s{_PLEA}\b", re.I)
_USED = re.compile(r"\b(?:use|using|try|trying|with|on|via|in)\s(?:the\s)?$", re.I)
_CLOSED = re.compile(rf"\s?(?:[,;:.!?\n)]|$)|\s(?:xl|for|and|to|{_PLEA})\b", re.I)
_ENDED = re.compile(rf"(?:\s(?:{_PLEA}|xl|lora))?[\s.!)\]]{{0,4}}$", re.I)
_PERHAPS = re.compile(r"\s(?:xl\s)?if (?:(?:you|u|ya) |possible\b|available\b)", re.I)
_COMMA = re.compile(r"\s?(?:xl\s?)?[,:;|]", re.I)
_CLAUSE = re.compile(r"[,;.!?\n(\[]\s{0,3}$")


@dataclass(frozen=True)
class MendedPrompt:
    """``text`` is the mended prompt; ``edits`` are the mended words: their start, length and former
    length."""

    text: str
    edits: tuple[tuple[int, int, int], ...] = ()

    def at(self, place: int) -> int:
        """The position in the typed prompt of a position between words of the text."""
        return place + sum(had - has for start, has, had in self.edits if start + has <= place)


@dataclass(frozen=True)
class NameWords:
    """Words that are names by themselves (``alone``); for longer names, word → the words that follow it
    (``behind``) or precede it (``before``)."""

    alone: frozenset[str]
    behind: Mapping[str, frozenset[str]]
    before: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, alone: Iterable[str], names: Iterable[Iterable[str]]) -> NameWords:
        """Returns the words of names, each a list of words."""
        behind: dict[str, set[str]] = defaultdict(set)
        before: dict[str, set[str]] = defaultdict(set)
        for name in names:
            for first, second in pairwise(word.casefold() for word in name):
                behind[first].add(second)
                before[second].add(first)
        return cls(
            frozenset(word.casefold() for word in alone),
            {word: frozenset(others) for word, others in behind.items()},
            {word: frozenset(others) for word, others in before.items()},
        )


def mend(prompt: str, names: NameWords) -> MendedPrompt:
    """Returns the prompt with the typos of names mended."""
    words = list(_WORD.finditer(prompt))
    pieces, edits, reached = [], [], 0
    for number, word in enumerate(words):
        before = words[number - 1] if number and _joins(prompt, words[number - 1], word) else None
        after = (
            words[number + 1] if number + 1 < len(words) and _joins(prompt, word, words[number + 1]) else None
        )
        name = _name_of(prompt, word, before and before[0].casefold(), after and after[0].casefold(), names)
        if name is not None:
            pieces += [prompt[reached : word.start()], name]
            edits.append((sum(map(len, pieces)) - len(name), len(name), len(word[0])))
            reached = word.end()
    return MendedPrompt("".join([*pieces, prompt[reached:]]), tuple(edits)) if edits else MendedPrompt(prompt)


def _joins(prompt: str, first: re.Match[str], second: re.Match[str]) -> bool:
    """Whether two words are adjacent, like the words of a name."""
    return bool(re.fullmatch(r"[ ._-]", prompt[first.end() : second.start()]))


def _name_of(
    prompt: str, word: re.Match[str], before: str | None, after: str | None, names: NameWords
) -> str | None:
    """The name that a word is a typo of, or None."""
    typed = word[0].casefold()
    if len(typed) < _LEAST - 1 or typed in names.alone or typed in _LIKE_NAMES:
        return None
    beside = _beside(typed, before, after, names)
    if beside is not None:
        return beside
    near = _nearest(typed, names.alone)
    return near if near and _is_named(prompt, word) else None


def _beside(typed: str, before: str | None, after: str | None, names: NameWords) -> str | None:
    """The name's word that the typed one is a typo of, given the words beside it; or None."""
    second, first = names.behind.get(before or "", frozenset()), names.before.get(after or "", frozenset())
    if typed in second or typed in first:
        return None
    return _nearest(typed, second, 1) or _nearest(typed, first, 1)


def _is_named(prompt: str, word: re.Match[str]) -> bool:
    """Whether a word stands where models are named."""
    before, after = prompt[: word.start()], prompt[word.end() : word.end() + 24]
    if _BEHIND.match(after):
        return True
    if not before.strip(" \t\n([#/"):
        return bool(_COMMA.match(after) or (before.strip() and after[:1] in ")]"))
    if _USED.search(before[-24:]) and _CLOSED.match(after):
        return True
    ends = len(after) < 24 and _ENDED.match(after)
    return bool(_CLAUSE.search(before[-6:]) and (ends or _PERHAPS.match(after)))


@lru_cache(1 << 14)
def _nearest(typed: str, words: frozenset[str], least: int = SHORT) -> str | None:
    """The word that the typed one is a typo of, or None; for words of at most ``least`` letters, only a
    doubled or a swapped letter is a typo."""
    near = [(distance, word) for word in words if (distance := _apart(typed, word, least))]
    return min(near)[1] if near else None


def _apart(typed: str, word: str, least: int) -> int:
    """The edits between a word and its typo; 0 where it is equal or not a typo."""
    if len(word) < _LEAST or typed == word or typed in (f"{word}s", f"{word}es"):
        return 0
    if len(word) <= least:
        return int(_is_slip(typed, word))
    most = 2 if len(word) >= LONG else 1
    if abs(len(typed) - len(word)) > most or typed[0] != word[0]:
        return 0
    edits = _edits(typed, word)
    return edits if edits <= most else 0


def _is_slip(typed: str, word: str) -> bool:
    """Whether a letter is doubled, or two adjacent letters are swapped."""
    doubled = (word[:at] + word[at - 1] + word[at:] for at in range(1, len(word) + 1))
    swapped = (word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :] for at in range(2, len(word)))
    return typed in doubled or typed in swapped


def _edits(typed: str, word: str) -> int:
    """The number of letters to insert, delete, replace or swap."""
    rows = [list(range(len(word) + 1))]
    for i, letter in enumerate(typed, 1):
        row = [i]
        for j, target in enumerate(word, 1):
            edit = min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (letter != target))
            if i > 1 and j > 1 and (letter, typed[i - 2]) == (word[j - 2], target):
                edit = min(edit, rows[-2][j - 2] + 1)
            row.append(edit)
        rows.append(row)
    return rows[-1][-1]
