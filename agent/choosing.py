"""Choosing as a person would: a request's medium and names against what each model is for.

    reading (medium, people, names) → a checkpoint whose medium and breadth fit → a LoRA only where its style,
    character or object is named → candidates, best first

In: a prompt and the M cards of a catalog with attributes (:mod:`diffagent.data.attributes`). Out: scores of
the models that may answer. A name that is no ordinary English word ("pikachu") counts more than any other
evidence; an ordinary one ("fox", "night") is evidence of a LoRA only within a whole phrase of its subjects.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from diffagent.data.attributes import MEDIA, Attributes, Medium
from diffagent.data.media import kinship, named_media
from diffagent.data.records import Card

Floats = npt.NDArray[np.float64]

_WORD = re.compile(r"[^\W_]++(?:['’][^\W_]++)*+")
_SENTENCE = re.compile(r"(?<=[.!?]) ")
_TEXT_OFFUNCTION_WORDS = """
a an the of in on at to for with and or by from as is are be it its this that these those my your our
his her their i you we he she they me us them no not without some any all very into over under up down
out off near next front behind through across around between against while who which what when where has
have had was were will would can could should there here than then so too like such more most just only
also one two three four five six seven eight nine ten please want need make made create draw drawing
picture image pic photo photograph style art painting illustration set use using do does did get give
show shows look looks looking new old big small little large
"""
FUNCTION_WORDS = frozenset(_TEXT_OFFUNCTION_WORDS.split())
_GENERIC = ("photo", "analog photo", "illustration", "poster", "digital painting", "3d render")
"""Media that give way where a more particular one is named beside them ("pixel art illustration")."""
_TEXT_OF_IMAGINED = """
dragon wizard elf dwarf knight castle orc goblin mage sorcerer witch phoenix unicorn griffin fairy demon
angel paladin dungeon mermaid giant troll spaceship alien robot mech cyborg planet galaxy steampunk
cyberpunk airship
"""
_IMAGINED = frozenset(_TEXT_OF_IMAGINED.split())
_ANIME_TAGS = re.compile(r"\b[1-6](?:girl|boy)s?\b|\bmasterpiece\b|\bbest quality\b", re.I)
_REALISTIC_TAGS = re.compile(r"photo|realistic|\brpg\b|landscape|interior|analog|architecture", re.I)
_YOUNG_WOMEN = re.compile(r"\b(?:1?girls?|wom[ae]n|lady|ladies|princess|queen|bride|heroine)\b", re.I)

_DRAWN = ("anime", "manga", "chibi")
"""Media whose models draw everything that way."""
_USES = frozenset(("poster", "illustration", "icon", "map", "photo", "drawing", "anime", "cartoon", "comic"))
"""Words for a medium that alone ask for no special look of it."""

GATE = 1.7
"""The least evidence for which a LoRA answers."""
SHARPNESS = 4.0
"""Nats a point of score."""


def stem(word: str) -> str:
    """A word in lower case without a plural's ending."""
    word = word.casefold().replace("’", "'").removesuffix("'s")
    for ending, singular in (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + singular
    if word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def words(text: str) -> list[str]:
    """The words of a text, stemmed, in order."""
    return [stem(word) for word in _WORD.findall(text)]


@dataclass(frozen=True)
class Reading:
    """What a request asks for: ``medium`` where one is ``named``, else the natural one for its subject."""

    words: tuple[str, ...]
    medium: Medium
    named: tuple[Medium, ...] = ()
    medium_words: frozenset[str] = frozenset()
    young_women: bool = False

    @classmethod
    def of(cls, prompt: str) -> Self:
        mentions = named_media(prompt)
        named = tuple(dict.fromkeys(mention.medium for mention in mentions))
        particular = [medium for medium in named if medium not in _GENERIC]
        flat = words(prompt)
        medium = (particular or list(named) or [natural_medium(prompt, flat)])[0]
        spoken = frozenset(word for mention in mentions for word in words(mention.words))
        return cls(tuple(flat), medium, named, spoken, bool(_YOUNG_WOMEN.search(prompt)))


def natural_medium(prompt: str, flat: Sequence[str]) -> Medium:
    """The medium of a subject for which none is named."""
    if _ANIME_TAGS.search(prompt) and not _REALISTIC_TAGS.search(prompt):
        return "anime"
    return "digital painting" if _IMAGINED & set(flat) else "photo"


@dataclass(frozen=True)
class Phrase:
    """A subject or trigger of a LoRA; ``place`` is its rank among the subjects, −1 for a trigger."""

    card: int
    place: int
    words: tuple[str, ...]
    core: tuple[str, ...]


class Shelf:
    """The M cards of a catalog, arranged by what they are for."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self.cards = cards
        self.attributes = [card.attributes for card in cards]

    @cached_property
    def is_read(self) -> bool:
        """Whether nearly all entries have attributes, so that choosing by them is fair to all."""
        return bool(self.cards) and sum(map(bool, self.attributes)) >= 0.9 * len(self.cards)

    @cached_property
    def choosable(self) -> npt.NDArray[np.bool_]:
        """The entries that a request may be answered with: booleans [M]."""
        return np.array([one is not None and one.is_choosable for one in self.attributes])

    @cached_property
    def _frequency(self) -> Counter[str]:
        """In how many entries' subjects and descriptions each word stands."""
        counts: Counter[str] = Counter()
        for card, purpose in zip(self.cards, self.attributes, strict=True):
            subjects = purpose.subjects if purpose else ()
            counts.update(set(words(" ".join((card.description, *subjects)))))
        return counts

    @cached_property
    def _spelling(self) -> dict[str, tuple[int, int]]:
        """How often the descriptions write each word small, and with a capital inside a sentence."""
        small: Counter[str] = Counter()
        capital: Counter[str] = Counter()
        for card in self.cards:
            for sentence in _SENTENCE.split(card.description):
                for word in _WORD.findall(sentence)[1:]:
                    (capital if word[0].isupper() else small)[stem(word)] += 1
        return {word: (small[word], capital[word]) for word in small.keys() | capital.keys()}

    def idf(self, word: str) -> float:
        """The inverse document frequency of a word over the entries, in nats."""
        return math.log((len(self.cards) + 1) / (self._frequency[word] + 1))

    def is_ordinary(self, word: str) -> bool:
        """Whether a word is one of the language's, and no name: the descriptions write it small."""
        small, capital = self._spelling.get(word, (0, 0))
        return small > 0 and 2 * small >= capital

    @cached_property
    def _phrases(self) -> dict[str, list[Phrase]]:
        """Word → the LoRAs' phrases that hold it."""
        index: dict[str, list[Phrase]] = defaultdict(list)
        for number, (card, purpose) in enumerate(zip(self.cards, self.attributes, strict=True)):
            if card.type != "LoRA" or purpose is None:
                continue
            texts = [*enumerate(purpose.subjects), *((-1, one) for one in purpose.needed)]
            for place, text in texts:
                flat = tuple(words(text))
                core = tuple(word for word in flat if word not in FUNCTION_WORDS)
                for word in set(core):
                    index[word].append(Phrase(number, place, flat, core))
        return index

    @cached_property
    def _kinship(self) -> Floats:
        """How well each entry serves each medium: [media, M]; what comes second counts less."""
        table = np.zeros((len(MEDIA), len(self.cards)))
        for number, purpose in enumerate(self.attributes):
            if purpose is None:
                continue
            for row, asked in enumerate(MEDIA):
                table[row, number] = max(
                    kinship(asked, offered) * (1 - 0.15 * place)
                    for place, offered in enumerate(purpose.media)
                )
        return table

    @cached_property
    def _merit(self) -> Floats:
        """What speaks for a checkpoint whatever is asked: its renown, breadth and role [M]."""
        merit = np.zeros(len(self.cards))
        for number, (card, purpose) in enumerate(zip(self.cards, self.attributes, strict=True)):
            if purpose is None:
                continue
            merit[number] = 0.45 * purpose.renown + 0.05 * math.log10(1 + card.stats.downloads)
            merit[number] += {"broad": 0.45, "genre": -0.1, "narrow": -0.8}[purpose.breadth]
            merit[number] -= 0.5 * (purpose.role == "style") + 1.5 * (
                purpose.role not in ("general", "style")
            )
            merit[number] -= 0.2 * len(purpose.caution)
        return merit

    @cached_property
    def _places(self) -> dict[str, int]:
        """AIR → the entry's place among the M."""
        return {card.air: number for number, card in enumerate(self.cards)}

    def checkpoint_scores(self, reading: Reading) -> Floats:
        """Scores of the entries as checkpoints for a request: [M]; LoRAs have −inf."""
        scores: Floats = 2.4 * self._kinship[MEDIA.index(reading.medium)] + self._merit
        special = reading.medium if reading.named and reading.medium not in ("photo", "anime") else None
        for number, (card, purpose) in enumerate(zip(self.cards, self.attributes, strict=True)):
            if purpose is None or card.type != "Checkpoint":
                scores[number] = -np.inf
                continue
            if special and purpose.media[0] == special:
                scores[number] += 1.0 if purpose.role == "style" else 0.3
            if reading.medium not in _DRAWN and purpose.media[0] in _DRAWN:
                scores[number] -= 0.9
            if not reading.young_women and purpose.people in ("young women", "women"):
                scores[number] -= 1.1
            elif reading.young_women and purpose.people == "none":
                scores[number] -= 0.8
        return scores

    def lora_scores(self, reading: Reading) -> Floats:
        """Evidence that the request names what each LoRA draws: [M], 0 for none."""
        scores = np.zeros(len(self.cards))
        asked = set(reading.words)
        phrases = {id(phrase): phrase for word in asked for phrase in self._phrases.get(word, ())}
        for phrase in phrases.values():
            purpose = self.attributes[phrase.card]
            assert purpose is not None
            evidence = self._evidence(phrase, purpose, reading, asked)
            if evidence:
                card = self.cards[phrase.card]
                evidence += 0.15 * purpose.renown + 0.05 * math.log10(1 + card.stats.downloads)
                scores[phrase.card] = max(scores[phrase.card], evidence)
        return scores

    def _evidence(self, phrase: Phrase, purpose: Attributes, reading: Reading, asked: set[str]) -> float:
        heard = [word for word in phrase.core if word in asked]
        rare = [word for word in heard if not self.is_ordinary(word)]
        whole = len(heard) == len(phrase.core)
        if purpose.role == "character":
            if phrase.place > 0:  # the series and what the character is say nothing alone
                return 0.0
            if whole and _runs(phrase.words, reading.words) and (rare or len(phrase.core) > 1):
                evidence = 3.0
            elif rare and sum(map(self.idf, rare)) > 5:
                evidence = 2.0 * len(rare) / len(phrase.core)
            else:
                return 0.0
            series = purpose.subjects[1:3]
            return evidence + 0.6 * any(set(words(name)) <= asked for name in series)
        if purpose.role == "style":
            styled = [word for word in heard if word in reading.medium_words or word in rare]
            if whole and styled:
                plain = len(phrase.core) == 1 and phrase.core[0] in _USES
                evidence = (0.9 if plain else 1.5) + 0.2 * len(phrase.core)
            elif rare and sum(map(self.idf, rare)) > 6:
                evidence = 1.5 * len(rare) / len(phrase.core)
            else:
                return 0.0
            unlike = bool(reading.named) and not set(reading.named) & set(purpose.media[:2])
            return evidence - 0.7 * unlike
        return 1.5 if whole and rare else 0.0

    def scores(self, reading: Reading) -> Floats:
        """Logits of the entries as answers to a request: [M], −inf where an entry may not answer.

        A LoRA answers only above :data:`GATE`, and then before every checkpoint.
        """
        checkpoints = self.checkpoint_scores(reading)
        best = checkpoints[self.choosable].max(initial=0.0)
        loras = self.lora_scores(reading)
        logits = np.where(loras >= GATE, best + loras, np.where(loras > 0, best - 2.0 + loras, -np.inf))
        logits = np.where(np.isfinite(checkpoints), checkpoints, logits)
        answers: Floats = SHARPNESS * np.where(self.choosable, logits, -np.inf)
        return answers

    def carrier(self, card: Card, reading: Reading, allowed: Sequence[Card]) -> Card | None:
        """The checkpoint to run a LoRA on, of those allowed: its author's, else the best for the medium."""
        purpose = card.attributes
        if purpose is None or not allowed:
            return None
        if purpose.carrier:
            name = _key(purpose.carrier)
            named = [one for one in allowed if len(name) > 3 and name in _key(one.name)]
            if named:
                return max(named, key=lambda one: one.stats.downloads)
        medium = reading.medium if reading.named else purpose.media[0]
        if purpose.role == "style" and purpose.media[0] not in ("any", "anime", "manga", "chibi"):
            medium = purpose.media[0]
        asked = Reading(reading.words, "digital painting" if medium == "any" else medium, reading.named)
        scores = self.checkpoint_scores(asked)
        general = [one for one in allowed if one.attributes and one.attributes.role == "general"]
        return max(general or list(allowed), key=lambda one: float(scores[self._places[one.air]]))


def is_pasted(prompt: str) -> bool:
    """Whether a prompt is a list of tags as people paste it, rather than a sentence."""
    pieces = [len(piece.split()) for piece in prompt.split(",")]
    return len(pieces) >= 6 and sum(pieces) <= 4 * len(pieces)


def _runs(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether the words of ``part`` stand in ``whole`` one after another."""
    part, whole = list(part), list(whole)
    return any(whole[at : at + len(part)] == part for at in range(len(whole) - len(part) + 1))


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
