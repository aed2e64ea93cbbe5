"""Checks a language model's description for faults.

    fault("Sure, here is a description: …", source)  -> "boilerplate"

A fault is a short reason that reports count: no answer, too short, too long, boilerplate, address,
not English, not SFW, invented, copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from diffagent.data.base_models import CRAWLED
from diffagent.data.catalog.texts import clean
from diffagent.data.descriptions.sources import Source
from diffagent.data.prompts import is_sfw, plain

SHORTEST, LONGEST = 5, 70
"""The fewest and the most words of a description."""
RUN = 8
"""The least length in words of a run that counts as copied from the uploader's text or a sample prompt."""
SENTENCE = 5
"""The least number of words not on the card that make a whole sentence of theirs count as copied."""

_BOILERPLATE = re.compile(
    r"\bas an ai\b|\b(?:sure|certainly|of course|okay)[,!:]|\bhere(?:'s| is| are)\b|"
    r"\bi(?:'m| am| can| cannot|'ll)\b|\b(?:sorry|unable to|this description|the card|the prompt)\b|"
    r"\[(?:insert|your)|^\W*description\b",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"https?:|www\.|\w@[\w-]+\.\w|\b\w+\.(?:com|net|org|io|gg)\b|[$€£]\s?\d|\d\s?(?:usd|eur|dollars|euros)\b|"
    r"\b(?:patreon|ko-?fi|paypal|discord|buy me|donat\w+|commissions?|subscrib\w+|follow me|like and)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“”`«»]([^\"“”`«»]+)[\"“”`«»]")
_WORD = re.compile(r"[^\W_]+(?:['’._-]?[^\W_]+)*")
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+")
_FOREIGN = re.compile(r"[^\x00-ɏ]+")
_ALWAYS = frozenset(
    re.findall(
        r"\S+",
        "lora stable diffusion ai english japanese chinese korean european american asian western "
        "2d 2.5d 3d cgi",
    )
) | {name.casefold().split()[0] for name in CRAWLED}
"""Names that need no source."""


def fault(text: str, source: Source) -> str | None:
    """Returns the fault of ``text`` as the model's description, or None."""
    count = len(_WORD.findall(text))
    if count < SHORTEST:
        return "too short" if text.strip() else "no answer"
    if count > LONGEST or "\n" in text.strip():
        return "too long"
    if _BOILERPLATE.search(text):
        return "boilerplate"
    if _ADDRESS.search(text):
        return "address"
    if not _is_english(text, source):
        return "not English"
    if not is_sfw(text):
        return "not SFW"
    if "<" in text or any(True for _ in invented_words(text, source)):
        return "invented"
    return "copied" if copied_run(text, source) else None


def tidy(answer: str) -> str:
    """Returns an answer without surrounding blanks and quotation marks, and without control characters."""
    lines = [clean(line) for line in answer.strip().splitlines()]
    text = "\n".join(line for line in lines if line)
    return text[1:-1].strip() if len(text) > 1 and text[0] + text[-1] in ('""', "“”", "''") else text


def invented_words(text: str, source: Source) -> Iterator[str]:
    """Yields names, trigger-like words and quotations that the source does not have."""
    words = source_words(source)
    for quoted in _QUOTED.findall(text):
        yield from (word for word in _WORD.findall(quoted) if word.casefold() not in words)
    for sentence in _SENTENCE.split(text):
        for index, match in enumerate(_WORD.finditer(sentence)):
            word = match[0].replace("’", "'").removesuffix("'s")
            if _is_name(word, index == 0) and not _is_known(word.casefold(), words):
                yield word


def source_words(source: Source) -> frozenset[str]:
    """The words of a source in lower case, and the pieces of those with hyphens or underscores."""
    card = source.card
    texts = (card.name, card.version_name, card.base_model, *card.tags, *card.all_words, *card.aliases)
    text = "\n".join((*texts, source.about, *source.prompts)).casefold().replace("’", "'")
    words = {*_WORD.findall(text), *_WORD.findall(_FOREIGN.sub(" ", text))}
    return frozenset(words.union(*(_pieces(word) for word in words)) | _ALWAYS)


def copied_run(text: str, source: Source) -> str | None:
    """Returns a run of words copied from the uploader's text or a sample prompt, or None.

    The card's name, tags and trigger words may be repeated.
    """
    card = source.card
    words = _flat(text)
    facts = [f" {_flat(fact)} " for fact in (card.name, ", ".join(card.tags), ", ".join(card.all_words))]
    others = [f" {_flat(other)} " for other in (source.about, *map(plain, source.prompts))]
    pieces = words.split()
    runs = [" ".join(pieces[i : i + RUN]) for i in range(len(pieces) - RUN + 1)]
    sentences = [_flat(part) for other in (source.about, *source.prompts) for part in _SENTENCE.split(other)]
    fact_words = set(" ".join(facts).split())
    long = (part for part in sentences if sum(word not in fact_words for word in part.split()) >= SENTENCE)
    runs += [part for part in long if f" {part} " in f" {words} "]
    theirs = (run for run in runs if not any(f" {run} " in fact for fact in facts))
    return next((run for run in theirs if any(f" {run} " in other for other in others)), None)


def _is_name(word: str, first: bool) -> bool:
    """Whether a word has digits, or capitals other than a sentence's first letter."""
    if any(c.isdigit() for c in word):
        return True
    return any(c.isupper() for c in (word[1:] if first else word))


def _is_known(word: str, words: frozenset[str]) -> bool:
    return word in words or all(piece in words for piece in _pieces(word))


def _pieces(word: str) -> list[str]:
    return [piece for piece in re.split(r"[^\w]|_", word) if piece]


def _is_english(text: str, source: Source) -> bool:
    """Whether all letters are Latin, except those in the card's own spellings."""
    spellings = f"{source.card.name} {' '.join(source.card.all_words)} {' '.join(source.card.tags)}"
    foreign = [c for c in text if c.isalpha() and ord(c) > 0x24F and c not in spellings]
    return not foreign


def _flat(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold().replace("_", " ")))
