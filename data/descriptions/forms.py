"""Forms: a description with blanks, for small language models that cannot be trusted with a free sentence.

    An SD 1.5 LoRA of {Kestra from Moonharbor|Kestra}, a game character, with {silver braid|blue cloak}.

The options of a blank come from the card, the uploader's text and the sample prompts, so an answer cannot
claim anything else; the language model chooses among them. In free text, SmolLM2-135M-Instruct copies its
examples or the prompt (docs/notes.md).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from diffagent.data.descriptions.form_words import ADDED, GENERIC, KINDS, LOOKS, MEDIA, SEXES, UNSEEN
from diffagent.data.descriptions.questions import cut
from diffagent.data.descriptions.sources import Source
from diffagent.data.prompts import bare_words, is_sfw, plain
from diffagent.data.records import Card

OFFERED = 4
"""The most options of a blank."""
FACT, ABOUT = 80, 140
"""Characters of a fact, and of the uploader's text: a prompt token costs 5 ms per core."""

_PARTS = re.compile(
    r"[()\[\]{}【】「」『』《》<>（）/|\\:：;,，~・•★☆♥\"“”]+|\s[-–—]+\s|[-–—]{2,}|\s(?:from|by|for)\s", re.I
)
_LEADING = re.compile(r"^\s*(?:\[[^\]]*\]|【[^】]*】|\([^)]*\))\s*(?=\S)")
_VERSION = re.compile(r"\bv(?:er(?:sion)?)?[ .]?\d[\w.]*|\b\d+\.\d+\b|\bsd(?:xl)?\b|#\d+", re.IGNORECASE)
_MARKS = " -–.!?*+&'#@="
_FOREIGN = re.compile(r"[^\x20-\x7eÀ-ɏ]+")
_PHRASE = re.compile(r"[a-z][a-z'-]*(?: [a-z][a-z'-]*){0,3}")
_HEADS = {
    "character": "of {subject}, {role}",
    "clothing": "of {subject}, a design of clothes",
    "pose": "for {subject} poses",
    "scene": "for scenes of {subject}",
    "style": "for images in the {subject} style",
    "thing": "of {subject}",
}


def filling(source: Source, attempt: int, fault: str) -> str:
    """Returns the prompt for filling in a form: a few facts, and the form on the last line."""
    card = source.card
    about = " ".join(_FOREIGN.sub(" ", source.about).split())
    lines = [("Name", card.name), ("Tags", ", ".join(card.tags)), ("Words", ", ".join(card.all_words))]
    facts = [f"{name}: {cut(text, FACT)}" for name, text in lines if text]
    facts += [f"About: {cut(about, ABOUT)}"] if about else []
    return "\n".join([*facts, form(source, attempt)])


def form(source: Source, attempt: int) -> str:
    """Returns the description with blanks; each attempt (0, 1, 2) claims less."""
    card, what = source.card, kind(source.card)
    parts = name_parts(card)
    name_words = set(bare_words(" ".join(parts)).split())
    about = topics(source, name_words, what)
    text = f"An {card.base_model} " + (card.type if card.type == "LoRA" else "checkpoint") + " "
    if card.type == "Checkpoint":
        text += f"for {_share(about, 3)} images" if about else "for images of many kinds"
    else:
        subjects = _subjects(parts, about) if what == "character" else parts
        text += _HEADS[what].format(subject=_blank(subjects), role=_blank(_roles(card)))
        text += f": {_share(about, 3)}" if about and what != "character" else ""
    if attempt < 2 and what == "character":
        phrases = appearance(source, name_words)
        return text + (f", with {_share(phrases)}." if phrases else ".")
    looks = prompt_looks(source, name_words) if attempt < 1 else []
    return text + (f"; sample images show {_share(looks)}." if looks else ".")


def kind(card: Card) -> str:
    """The kind of subject by the most informative tag and by the name; else "thing"."""
    tags = {tag.casefold().replace("_", " ") for tag in card.tags}
    if card.type == "Checkpoint":
        return "style"
    kinds = [name for name, kind_tags in KINDS.items() if tags & kind_tags]
    if "style" in card.name.casefold() and ("style" in kinds or not kinds):
        return "style"
    return kinds[0] if kinds else "thing"


def name_parts(card: Card) -> list[str]:
    """The parts of the card's name, without versions and generic words.

    A leading bracket is usually the uploader's mark, so it comes last; trigger words come first.
    """
    name = card.name.replace("_", " ")
    leading = _LEADING.match(name)
    name = f"{name[leading.end() :]} | {leading[0]}" if leading else name
    pieces = (_VERSION.sub(" ", piece) for piece in _PARTS.split(name))
    bare = (" ".join(_trim(_FOREIGN.sub(" ", piece).split())) for piece in pieces)
    names = [part for part in bare if len(part) > 1 and any(c.isalpha() for c in part)]
    triggers = f" {bare_words(' , '.join(card.all_words))} "
    names.sort(key=lambda part: f" {bare_words(part)} " not in triggers)
    return list(dict.fromkeys(names)) or [" ".join(re.sub(r"[{}|\s]+", " ", card.name).split()) or "it"]


def topics(source: Source, name_words: set[str], what: str) -> list[str]:
    """Tags that add to the kind and the name; for a checkpoint also looks in the uploader's text."""
    tags = [" ".join(tag.casefold().replace("_", " ").split()) for tag in source.card.tags]
    kind_tags = KINDS.get(what, frozenset())
    candidates = [tag for tag in tags if tag in LOOKS or (tag not in GENERIC and tag not in kind_tags)]
    if source.card.type == "Checkpoint":
        text = f" {bare_words(source.about)} "
        candidates += [look for look in LOOKS if f" {bare_words(look)} " in text]
    if what == "character":
        candidates = [tag for tag in candidates if tag not in LOOKS]
    telling = (tag for tag in candidates if _PHRASE.fullmatch(tag) and is_sfw(tag))
    topic_tags = dict.fromkeys(tag for tag in telling if not set(bare_words(tag).split()) <= name_words)
    return [tag for tag in topic_tags if tag.removesuffix("s") not in topic_tags or not tag.endswith("s")]


def appearance(source: Source, name_words: set[str]) -> list[str]:
    """Phrases of two words or more that are trigger words or occur in most of the sample prompts."""
    words = [phrase for word in source.card.all_words for phrase in _phrases(word)]
    counts = _counts(source.prompts)
    words += [phrase for phrase, n in counts.most_common() if n > 1 and 2 * n >= len(source.prompts)]
    return [phrase for phrase in _telling(words, name_words) if " " in phrase]


def prompt_looks(source: Source, name_words: set[str]) -> list[str]:
    """Looks in at least two sample prompts that are not trigger words, most frequent first.

    Other phrases belong to one image, or are names of artists and characters.
    """
    counts = _counts(source.prompts)
    triggers = {bare_words(word) for word in source.card.all_words}
    return _telling(
        (p for p, n in counts.most_common() if n > 1 and p in LOOKS and p not in triggers), name_words
    )


def _subjects(parts: Sequence[str], about: Sequence[str]) -> list[str]:
    """The name's first part, alone and with a place, another part or a topic: "Kestra from Moonharbor"."""
    first, *rest = parts
    places = [*rest, *(topic.title() for topic in about)][:2]
    turned = [f"{place} from {first}" for place in rest[:1]]
    return [*(f"{first} from {place}" for place in places), *turned, first]


def _roles(card: Card) -> list[str]:
    tags = {tag.casefold().replace("_", " ") for tag in card.tags}
    sexes = [name for name, group_tags in SEXES.items() if tags & group_tags]
    media = [name for name, group_tags in MEDIA.items() if tags & group_tags] or [""]
    roles = (" ".join([*(sexes if len(sexes) == 1 else []), medium, "character"]) for medium in media)
    return [("an " if role.strip()[0] in "aeio" else "a ") + " ".join(role.split()) for role in roles]


def _counts(prompts: Iterable[str]) -> Counter[str]:
    """Phrase → the number of prompts with it."""
    return Counter(phrase for prompt in prompts for phrase in dict.fromkeys(_phrases(plain(prompt))))


def _phrases(text: str) -> Iterator[str]:
    for piece in text.casefold().split(","):
        phrase = " ".join(piece.replace("_", " ").split()).strip(" .")
        if _PHRASE.fullmatch(phrase):
            yield phrase


def _telling(phrases: Iterable[str], name_words: set[str]) -> list[str]:
    telling = (
        p
        for p in phrases
        if len(p) > 3 and not UNSEEN.search(p) and not name_words & set(p.split()) and is_sfw(p)
    )
    return list(dict.fromkeys(telling))


def _trim(words: list[str]) -> list[str]:
    """Drops the words at either end that are not part of a name, and the marks around them."""
    places = [n for n, word in enumerate(words) if word.strip(_MARKS).casefold() not in ADDED]
    return [" ".join(words[places[0] : places[-1] + 1]).strip(_MARKS) if places else ""]


def _share(phrases: Sequence[str], blanks: int = 2) -> str:
    """Distributes the phrases over blanks: "{a|d}, {b|e} and c"."""
    parts = [_blank(phrases[i::blanks]) for i in range(min(blanks, len(phrases)))]
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def _blank(options: Iterable[str]) -> str:
    choices = list(dict.fromkeys(options))[:OFFERED]
    return "{" + "|".join(choices) + "}" if len(choices) > 1 else choices[0]
