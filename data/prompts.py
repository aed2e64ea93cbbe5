"""The words of prompts in A1111's syntax, without tags, weights and trigger words.

    strip_lora_tags("a fox, <lora:ink:0.8>")      -> "a fox"
    strip_trigger_words("(inkfox:1.2), a fox", ["inkfox"])  -> "a fox"
    plain("a (red:1.3) [fox] BREAK snow")         -> "a red fox, snow"

Every pattern runs in linear time, because prompts may have 100 kB.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

NETWORK_TAG = re.compile(r"<(lora|lyco|hypernet)\s*:([^<>]*)>", re.IGNORECASE)
"""An extra network of A1111: ``<lora:name:weight>``; group 1 is its kind, group 2 the arguments."""

_EMPTY_BRACKETS = re.compile(r"(?<!\\)(?:\([\s,]*(?::[\s\d.]*)?\)|\[[\s,]*(?::[\s\d.]*)?\]|\{[\s,]*\})")
_WEIGHT = re.compile(r":\s?[-+]?(?:\d{1,6}(?:\.\d{0,9})?|\.\d{1,9})\s?(?=[)\]])")
_BARE_WORD = re.compile(r"[^\W_]+")
_BRACKETS = re.compile(r"(?<!\\)[()\[\]{}]")
_DEPTH = 8
"""The depth to which nested empty brackets are removed; each pass costs the prompt's length."""

_WORD = re.compile(r"[a-z0-9]+")
_EXPLICIT = frozenset(_WORD.findall("""
    nsfw porn porno pornographic pornstar hentai ecchi xxx lewd erotic erotica eroticism sex sexual sexually
    sexy nude nudes nudity naked topless bottomless undressed undressing nipple nipples areola areolae
    breast breasts boob boobs tits cleavage pussy vagina vaginal vulva penis penises cock dick testicles
    genital genitals genitalia cameltoe pubic anus anal buttocks butt cum cumshot semen orgasm orgasmic
    ahegao masturbation masturbating fellatio blowjob handjob footjob paizuri creampie bukkake gangbang bdsm
    bondage dildo vibrator fetish fetishes futanari futa rape raped incest loli lolis lolicon shota shotas
    shotacon gore guro
"""))  # fmt: skip
_MINOR = frozenset(_WORD.findall("""
    child children childlike kid kids toddler toddlers baby babies infant infants preteen preteens teen
    teens teenage teenaged teenager teenagers minor minors underage schoolgirl schoolgirls schoolboy
    schoolboys
"""))  # fmt: skip
_YOUNG = re.compile(
    r"\b(?:(?:little|young|school) (?:girl|boy)s?|(?:[3-9]|1[0-7])[ -]?(?:yo|y/o|years?[ -]old))\b"
)
_SUGGESTIVE = frozenset(_WORD.findall("""
    bikini bikinis lingerie underwear panty panties bra bras thong thongs swimsuit swimsuits seductive
    seductively busty sensual alluring provocative provocatively revealing skimpy microskirt thigh thighs
    thighhighs ass upskirt
"""))  # fmt: skip


def is_sfw(prompt: str) -> bool:
    """Whether a positive prompt has no explicit words, and no minors beside suggestive words.

    A word list misses things and refuses some harmless prompts; it is one of several filters.
    """
    text = prompt.casefold().replace("_", " ")
    words = set(_WORD.findall(text))
    if words & _EXPLICIT:
        return False
    if not words & _SUGGESTIVE:
        return True
    return not (words & _MINOR or _YOUNG.search(text))


def strip_lora_tags(prompt: str) -> str:
    """Returns the prompt without ``<lora:…>``, ``<lyco:…>`` and ``<hypernet:…>``; unchanged without tags."""
    if not NETWORK_TAG.search(prompt):
        return prompt.strip()
    return _tidy(NETWORK_TAG.sub(" ", prompt))


def strip_trigger_words(prompt: str, words: Iterable[str]) -> str:
    """Returns the prompt without a model's trigger words.

    Args:
        prompt: A1111 syntax, emphasis included.
        words: trigger words; each may hold several, separated by commas. Whole phrases are removed, in any
            case, longest first, with spaces and underscores alike.
    """
    pattern = _phrases(tuple(words))
    if pattern is None or not pattern.search(prompt):
        return prompt.strip()
    return _tidy(pattern.sub(" ", prompt))


def plain(prompt: str) -> str:
    """Returns a prompt's words for a text encoder, without tags, emphasis, weights and BREAK."""
    text = NETWORK_TAG.sub(" ", prompt)
    text = re.sub(r"\bBREAK\b", ",", text)
    text = _WEIGHT.sub("", " ".join(text.split()))
    text = _BRACKETS.sub(" ", text)
    return _tidy(text.replace("\\(", "(").replace("\\)", ")"))


def bare_words(prompt: str) -> str:
    """Returns a prompt's words in lower case, one space between them, for phrase look-ups."""
    return " ".join(_BARE_WORD.findall(plain(prompt).casefold()))


def join_parts(parts: Iterable[str]) -> str:
    """Returns the parts of a prompt joined by commas, each once, without empty ones."""
    return ", ".join(dict.fromkeys(part for part in parts if part))


@lru_cache(maxsize=4096)
def _phrases(words: tuple[str, ...]) -> re.Pattern[str] | None:
    pieces = {piece for word in words for piece in _pieces(word)}
    if not pieces:
        return None
    ordered = sorted(pieces, key=lambda piece: (-len(piece), piece))
    choice = "|".join(r"[\s_]+".join(map(re.escape, re.split(r"[\s_]+", piece))) for piece in ordered)
    return re.compile(rf"(?<!\w)(?:{choice})(?!\w)", re.IGNORECASE)


def _pieces(word: str) -> list[str]:
    pieces = (piece.strip(" \t_.;:") for piece in plain(word).split(","))
    return [piece for piece in pieces if len(piece) > 1 or not piece.isascii()]


def _tidy(text: str) -> str:
    """Leaves one space between words, one comma between phrases and no empty emphasis brackets."""
    text = " ".join(text.split())
    for _ in range(_DEPTH):
        text, removed = _EMPTY_BRACKETS.subn("", text)
        if not removed:
            break
    text = " ".join(text.split())
    text = re.sub(r" ?,[ ,]*", ", ", text)
    text = re.sub(r"(?<!\\)([(\[{])[ ,]+", r"\1", text)
    text = re.sub(r",? ?(?<!\\)([)\]}])", r"\1", text)
    return text.strip(" ,")
