"""Technical words: a prompt without the settings that :mod:`diffagent.agent.wishes` reads out of it.

    drawn("with SDXL: a glass greenhouse on Mars")   -> "a glass greenhouse on Mars", ["with SDXL"]
    drawn("a heron, portrait format, 2:3, seed 7")   -> "a heron", ["portrait format", "2:3", "seed 7"]
    drawn("a phone wallpaper of jellyfish")          -> unchanged: it says what the picture is

A clause of nothing but settings goes with its words of talk; a setting inside a clause goes alone.
"""

from __future__ import annotations

import re

from diffagent.agent.cutting import masked, without
from diffagent.agent.wishes import setting_spans
from diffagent.data.prompts import bare_words

_TALK = re.compile(
    r"\b\d{2,4}\s?dpi\b|\bhi(?:gh)?[- ]?res(?:\.|olution)? ?fix(?:\s?x?\d(?:\.\d)?x?)?|\brandom seed\b|"
    r"\bas (?:fast|quick(?:ly)?) as (?:you can|possible)\b|\bquick draft\b|\b(?:just )?a few steps\b|"
    r"\bin one go\b|\bkeep it small\b|\bif possible\b(?=\s*$)|"
    r"\b(?:with )?(?:the )?(?:same )?seeds? \d{1,10}(?: for the \w+)? and \d{1,10}(?: for the \w+)?|"
    r"\b(?:with )?(?:the )?same seed\b|"
    r"\b(?:and |but |as |because )?my (?:\w+ )?(?:card|gpu|laptop)(?: only)? has (?:only )?\d{1,2}\s?gb\b|"
    r"\bi (?:only )?have (?:only )?an? \d{1,2}\s?gb (?:graphics )?(?:card|gpu)\b|"
    r"\bany model\b|\b\d{1,2}\s?gb (?:graphics )?(?:card|vram|gpu)\b|"
    r"\bupscaled? (?:by )?\d(?:\.\d)?x\b|\bupscale \d(?:\.\d)?x?\b",
    re.I,
)
"""Settings that no field of a call holds."""
_OWNERS_WORDS = re.compile(
    r"\b(?:graphics card|vram|gpu|licen[cs]es?|licen[cs]ed|commercial(?:ly)? us(?:e|able)|loras?|"
    r"checkpoints?)\b",
    re.I,
)
"""Words of talk about the model or the machine, in a clause in front of what is to be drawn."""
_MACHINE = re.compile(
    r"\s*(?:and |but |so )?(?:my|i have|i only have|i['’]ve|on (?:my|an?)|it['’]s for my)\b[^,;:.!?\n]{0,40}"
    r"\b(?:graphics card|vram|gpu|card [^,;:.!?\n]{0,16}\d\s?gb)\b[^,;:.!?\n]{0,30}",
    re.I,
)
"""A clause about the machine, wherever it stands."""
_ASKING = re.compile(
    r"\s*(?:only|just|please|pls|use|using|with|i have|i['’]ve|i only have|must|should|needs?|my|no|"
    r"any|a model|for)\b",
    re.I,
)
_TEXT_OF_FILLER = """
use using used with at in on the a an and or please pls only just for to of my it its make made set want i i'd
like would need needs something trained based model models if there is one you have available possible
printing
print max maximum min minimum least most about around exactly size sized format resolution ratio aspect
orientation image picture pixels px sampler sampling scheduler schedule method low high scale steps
mode shape ideally
preferably must should be fine are ok okay enough value setting settings do render rendered generate generated
version paper page sheet upright widescreen ultrawide ultra wide number as by from run base no more than up
except but so because have only too not over this that x your me can could portrait landscape square
vertical horizontal each also again well haha lol hehe lmao though tho maybe perhaps then prefer preferred
works work best better good fine nice great perfect going go keep thanks thank thx you printed ll d s version
versions slides slide presentation screen phone post display deck which will would
"""
_FILLER = frozenset(_TEXT_OF_FILLER.split())
_CLAUSE = re.compile(r"[^,;:.!?\n()\[\]{}|\"–—]+")
_DASH = re.compile(r"\s-+\s")
_ALONE = re.compile(r"\s*(?:in )?(?:square|upright|vertical|horizontal|widescreen|ultra-?wide)\s*", re.I)
_BEFORE = re.compile(
    r"(?:(?<=\s)|^)(?:(?:in|at|with|using|use|on|for|via|by|as|please|and|set to|a|an|trained on|"
    r"made with|the)\s+){1,3}$",
    re.I,
)
_ARTICLE = re.compile(r"(?:(?<=\s)|^)(?:an?|the)\s+$", re.I)
_BEHIND = re.compile(
    r"(?:\s+(?:resolution|size|format|px|pixels|aspect ratio|ratio|max|only|sampler|sampling)\b)?"
    r"(?:\s+(?:please|pls)\b)?",
    re.I,
)
_MARK = "\0"


def drawn(text: str) -> tuple[str, list[str]]:
    """The text without its settings, and those; unchanged where it has none, or nothing else."""
    quoted = masked(text)
    settings = _spans(quoted)
    flat = quoted
    for start, end in settings:
        flat = flat[:start] + _MARK * (end - start) + flat[end:]
    flat = _DASH.sub(lambda dash: "," * len(dash[0]), flat)
    cuts = [cut for clause in _CLAUSE.finditer(flat) for cut in _cuts(flat, *clause.span())]
    rest = without(text, cuts) if cuts else text
    if not re.search(r"[^\W_]", rest):
        return text, []
    return rest, [text[start:end].strip() for start, end in cuts]


def _spans(text: str) -> list[tuple[int, int]]:
    """Where settings stand, one behind the other."""
    spans = sorted([*setting_spans(text), *(hit.span() for hit in _TALK.finditer(text))])
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _cuts(flat: str, start: int, end: int) -> list[tuple[int, int]]:
    """What goes of one clause."""
    clause = flat[start:end]
    marked = _MARK in clause
    if _MACHINE.fullmatch(clause.replace(_MARK, "0")):
        return [(start, end)]
    if not marked:
        first = not flat[:start].strip()
        leads = flat[end : end + 1] in (":", ".", "!", ",") and flat[end:].strip(" ,.:!") != ""
        owner = first and leads and _OWNERS_WORDS.search(clause) and _ASKING.match(clause)
        alone = _ALONE.fullmatch(clause) and len(flat.split(",")) < 6
        return [(start, end)] if owner or alone else []
    others = set(bare_words(clause.replace(_MARK, " ")).split())
    if others <= _FILLER:
        return [(start, end)]
    return [
        _inline(flat, hit.start() + start, hit.end() + start, start) for hit in re.finditer("\0+", clause)
    ]


def _inline(flat: str, start: int, end: int, low: int) -> tuple[int, int]:
    """One setting inside a clause, with the words that tie it there."""
    behind = _BEHIND.match(flat, end)
    end = behind.end() if behind else end
    before = _BEFORE.search(flat[max(low, start - 40) : start])
    goes_on = re.match(r"\s\w", flat[end : end + 2])
    if before and not (goes_on and _ARTICLE.search(before[0])):
        start -= len(before[0])
    return start, end
