"""Which LoRAs a request names, and which checkpoint and second LoRA go with one.

    reading (medium, people, names) → evidence that a LoRA's style, character or object is named
    LoRA, reading → the checkpoint that carries it; the style of a character

In: a reading and the M cards of a catalog with attributes (:mod:`diffagent.data.attributes`). A name that is
no ordinary English word ("pikachu") counts more than any other evidence; an ordinary one ("fox", "night") is
evidence of a LoRA only within a whole phrase of its subjects.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from diffagent.agent.answering.answer import short_name
from diffagent.agent.answering.settings import by_family
from diffagent.agent.asking.reading import Reading
from diffagent.agent.asking.words import FUNCTION_WORDS, is_ordinary, words
from diffagent.agent.choosing.namesakes import Namesakes
from diffagent.agent.choosing.particular import Particular
from diffagent.agent.choosing.phrases import Phrase, Phrases
from diffagent.agent.choosing.ranking import greatest
from diffagent.agent.choosing.suitability import DRAWN, PLACES, Facts
from diffagent.data.attributes import MEDIA, Attributes, Medium
from diffagent.data.checkpoint_requests import CheckpointRequest
from diffagent.data.collecting import uncollected
from diffagent.data.media import kinship
from diffagent.data.records import Card, Usage

Floats = npt.NDArray[np.float64]

_USES = frozenset(("poster", "illustration", "icon", "map", "photo", "drawing", "anime", "cartoon", "comic"))
"""Words for a medium that alone ask for no special look of it."""

CARTOONS = ("anime", "manga", "chibi", "cartoon", "3d cartoon", "comic", "illustration")
"""Media whose characters a photographic checkpoint does not know."""

STYLED = 1.7
"""The least evidence that a request names the style of a LoRA."""
NAMED = 3.0
"""The least evidence that a request names a character."""
PLAIN = 1.5
"""The least evidence that makes a LoRA an answer to a request for which nothing special was read."""
NEAREST = 8
"""LoRAs that are considered for their likeness alone."""


@dataclass(frozen=True)
class Heard:
    """What of the M entries' phrases a request holds: ``evidence`` that a LoRA's thing is named; ``rare``
    where by a name that is no ordinary word; the best ``overlap`` 0…1 of a phrase, by idf, and its ``weight``
    in nats. Arrays [M]."""

    evidence: Floats
    rare: npt.NDArray[np.bool_]
    overlap: Floats
    weight: Floats

    def only(self, rows: npt.NDArray[np.int64]) -> Heard:
        """Of some entries alone."""
        return Heard(self.evidence[rows], self.rare[rows], self.overlap[rows], self.weight[rows])

    @classmethod
    def nothing(cls, count: int) -> Self:
        return cls(np.zeros(count), np.zeros(count, bool), np.zeros(count), np.zeros(count))


class Shelf:
    """The M cards of a catalog, arranged by what they are for."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self.cards = cards
        self.attributes = [card.attributes for card in cards]
        self._last: tuple[Reading | None, Heard] = (None, Heard.nothing(0))
        self._last_allowed: tuple[Sequence[Card], npt.NDArray[np.int64]] = ((), np.zeros(0, np.int64))

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
        with uncollected():
            for card, purpose in zip(self.cards, self.attributes, strict=True):
                subjects = purpose.subjects if purpose else ()
                counts.update(set(words(" ".join((card.description, *subjects)))))
        return counts

    @cached_property
    def _namesakes(self) -> Namesakes:
        """The characters, by what they are from."""
        return Namesakes(self.cards)

    @cached_property
    def particular(self) -> Particular:
        """The models of one kind of picture."""
        return Particular(self.cards)

    def is_function(self, word: str) -> bool:
        """Whether a word says nothing of a subject."""
        return word in FUNCTION_WORDS

    @cached_property
    def _keys(self) -> list[str]:
        """The folded name of each entry."""
        return [_key(card.name) for card in self.cards]

    @cached_property
    def _names(self) -> dict[str, list[int]]:
        """Folded name → the entries of that name."""
        index: dict[str, list[int]] = defaultdict(list)
        for number, (card, key) in enumerate(zip(self.cards, self._keys, strict=True)):
            for name in {key, _key(short_name(card.name))}:
                index[name].append(number)
        return index

    def marked(self, reading: Reading) -> npt.NDArray[np.bool_]:
        """The entries whose name the request marks as a model's: booleans [M]."""
        marks = np.zeros(len(self.cards), bool)
        for name in reading.marked:
            marks[self._names.get(_key(name), [])] = bool(_key(name))
        for air in reading.wished & self._places.keys():
            marks[self._places[air]] = True
        return marks

    def called(
        self, name: CheckpointRequest, allow: npt.NDArray[np.bool_], *, alike: bool = False
    ) -> list[Card]:
        """The checkpoints of a name, of those allowed [M]: of its version, else the one of the nearest
        version; ``alike`` are only those made for few steps or not, as it is."""
        begins = _key(name.name).removesuffix("xl")
        at = [
            number
            for number in np.flatnonzero(allow & self.choosable & ~self.facts.is_lora).tolist()
            if self._keys[number].startswith(begins)
        ]
        fast = [number for number in at if _is_fast(self._keys[number]) == _is_fast(name.words)]
        found = sorted(
            (self.cards[number] for number in (fast if alike else fast or at)),
            key=lambda card: (
                _missed(name.version, card),
                not _key(name.words).startswith(_key(card.name)),
                -card.stats.downloads,
            ),
        )
        is_near = bool(found) and _missed(name.version, found[0]) > 0
        return found[:1] if is_near else [card for card in found if not _missed(name.version, card)]

    def idf(self, word: str) -> float:
        """The inverse document frequency of a word over the entries, in nats."""
        return math.log((len(self.cards) + 1) / (self._frequency[word] + 1))

    @cached_property
    def _phrases(self) -> Phrases:
        """What LoRAs and special checkpoints are for, in words."""
        with uncollected():
            return Phrases(self.cards, self.idf)

    @cached_property
    def kinship(self) -> Floats:
        """How well each entry serves each medium: [media, M]; what comes second counts less."""
        kin = np.array([[kinship(asked, offered) for offered in MEDIA] for asked in MEDIA])
        table = np.zeros((len(MEDIA), len(self.cards)))
        for place in range(3):
            offers = [
                (number, PLACES[purpose.media[place]])
                for number, purpose in enumerate(self.attributes)
                if purpose is not None and len(purpose.media) > place
            ]
            numbers, media = np.array(offers, int).reshape(-1, 2).T
            table[:, numbers] = np.maximum(table[:, numbers], kin[:, media] * (1 - 0.15 * place))
        return table

    @cached_property
    def facts(self) -> Facts:
        """What is the same for every reading."""
        return Facts(self)

    @cached_property
    def usual(self) -> dict[str, Usage]:
        """What people use each family's models with."""
        return by_family(self.cards)

    @cached_property
    def _merit(self) -> Floats:
        """What speaks for a checkpoint whatever is asked: its renown, breadth and role [M]."""
        facts = self.facts
        style, general = facts.of_role("style"), facts.of_role("general")
        merit = 0.45 * facts.renown + 0.05 * facts.downloads
        merit += 0.45 * facts.of_breadth("broad") - 0.1 * facts.of_breadth("genre")
        merit -= 0.8 * facts.of_breadth("narrow") + 0.5 * style + 1.5 * ~(style | general)
        return np.where(facts.read, merit - 0.2 * facts.caution, 0.0)

    @cached_property
    def _places(self) -> dict[str, int]:
        """AIR → the entry's place among the M."""
        return {card.air: number for number, card in enumerate(self.cards)}

    def _places_of(self, allowed: Sequence[Card]) -> npt.NDArray[np.int64]:
        """The places of some entries among the M; those of the last ones are kept."""
        if self._last_allowed[0] is not allowed:
            places = np.array([self._places[one.air] for one in allowed], np.int64)
            self._last_allowed = allowed, places
        return self._last_allowed[1]

    def checkpoint_scores(self, reading: Reading, rows: npt.NDArray[np.int64] | None = None) -> Floats:
        """Scores of the entries, or of ``rows`` of them, as checkpoints for a request; LoRAs have −inf."""
        at = np.arange(len(self.cards)) if rows is None else rows
        facts = self.facts.only(at)
        scores: Floats = 2.4 * self.kinship[MEDIA.index(reading.medium)][at] + self._merit[at]
        if reading.named and reading.medium not in ("photo", "anime"):
            special = facts.first == MEDIA.index(reading.medium)
            scores += np.where(special, np.where(facts.of_role("style"), 1.0, 0.3), 0.0)
        if reading.medium not in DRAWN:
            scores -= 0.9 * facts.drawn
        scores -= 0.8 * facts.nobody if reading.young_women else 1.1 * facts.women
        return np.where(facts.read & ~facts.is_lora, scores, -np.inf)

    def lora_scores(self, reading: Reading) -> Floats:
        """Evidence that the request names what each LoRA draws: [M], 0 for none."""
        return self.heard(reading).evidence

    def heard(self, reading: Reading) -> Heard:
        """What of each entry's phrases a request holds; the last is kept."""
        last, kept = self._last
        if last is not None and _spoken(last) == _spoken(reading):
            return kept
        heard = Heard.nothing(len(self.cards))
        asked = set(reading.words)
        said = self._phrases.said(asked, {word for word in asked if not is_ordinary(word)})
        np.maximum.at(heard.overlap, said.cards, said.share)
        np.maximum.at(heard.weight, said.cards, said.weight)
        telling = said.telling & self.facts.is_lora[said.cards]
        for phrase in map(self._phrases.__getitem__, said.numbers[telling].tolist()):
            number, purpose = phrase.card, self.attributes[phrase.card]
            assert purpose is not None
            evidence, is_rare = self._evidence(phrase, purpose, reading, asked)
            if evidence:
                evidence += 0.15 * purpose.renown + 0.05 * float(self.facts.downloads[number])
                heard.evidence[number] = max(heard.evidence[number], evidence)
                heard.rare[number] |= is_rare and evidence >= NAMED
        self._last = reading, heard
        return heard

    def grounded(self, reading: Reading) -> Reading:
        """A draft in which a character whose name is no ordinary word is read as one, in its own medium."""
        heard = self.heard(reading)
        named = [
            number
            for number in np.flatnonzero(heard.rare & self.choosable).tolist()
            if (purpose := self.attributes[number]) and purpose.role == "character"
        ]
        if not named:
            return reading
        best = self.attributes[max(named, key=lambda number: heard.evidence[number])]
        assert best is not None
        medium = reading.medium if reading.named or best.media[0] == "any" else best.media[0]
        return replace(reading, medium=medium, special="character", is_grounded=True)

    def whole_name(self, reading: Reading, allow: npt.NDArray[np.bool_]) -> Card | None:
        """The LoRA, of those allowed [M], of a character whose name of two words or more a request has, one
        after another; None where there is none."""
        heard = self.heard(reading)
        for number in np.argsort(-heard.evidence).tolist():
            purpose = self.attributes[number]
            if heard.evidence[number] < NAMED or purpose is None:
                return None
            if purpose.role != "character" or not (allow & self.choosable)[number] or not purpose.subjects:
                continue
            name = words(purpose.subjects[0])
            if len(name) > 1 and not all(map(is_ordinary, name)) and _runs(name, reading.words):
                found: Card = self.cards[number]
                return found
        return None

    def _evidence(
        self, phrase: Phrase, purpose: Attributes, reading: Reading, asked: set[str]
    ) -> tuple[float, bool]:
        """Of one phrase, and whether it holds a word that is a name."""
        heard = [word for word in phrase.core if word in asked]
        rare = [word for word in heard if not is_ordinary(word)]
        whole = len(heard) == len(phrase.core)
        is_rare = bool(rare)
        if purpose.role == "character":
            if phrase.place > 0:  # the series and what the character is say nothing alone
                return 0.0, False
            if set(phrase.core) & reading.medium_words:  # "ligne claire" is nobody's name
                return 0.0, False
            name = set(words(" ".join(purpose.subjects[:1])))
            about = set(words(" ".join(purpose.subjects[1:]))) - name
            if phrase.place < 0 and not name & set(heard) and set(rare) <= about:
                return 0.0, False  # a trigger word that the series' others have too
            own = [word for word in rare if word not in about]
            if whole and _runs(phrase.words, reading.words) and (rare or len(phrase.core) > 1):
                evidence = 3.0
            elif own and sum(map(self.idf, own)) > 5 and all(self._bearers(word) < 2 for word in own):
                evidence = 2.0 * len(own) / len(phrase.core)
            else:
                return 0.0, False
            if (len(phrase.core) < 2 or not whole) and self._namesakes.is_other(phrase.card, heard, reading):
                return 0.0, False
            series = purpose.subjects[1:3]
            return evidence + 0.6 * any(set(words(text)) <= asked for text in series), is_rare
        if purpose.role == "style":
            if set(phrase.core) <= reading.familiar:  # who is drawn says nothing of how
                return 0.0, False
            styled = [word for word in heard if word in reading.medium_words or word in rare]
            if whole and styled:
                plain = len(phrase.core) == 1 and phrase.core[0] in _USES
                evidence = (0.9 if plain else 1.5) + 0.2 * len(phrase.core)
            elif rare and sum(map(self.idf, rare)) > 6:
                evidence = 1.5 * len(rare) / len(phrase.core)
            else:
                return 0.0, False
            unlike = bool(reading.named) and not set(reading.named) & set(purpose.media[:2])
            return evidence - 0.7 * unlike, is_rare
        return (1.5, is_rare) if whole and rare else (0.0, False)

    def _bearers(self, word: str) -> int:
        """How many characters of different names hold a word in them."""
        return len(self._phrases.names(word, lambda number: bool(self.facts.of_role("character")[number])))

    def named(self, reading: Reading) -> npt.NDArray[np.bool_]:
        """The LoRAs that a request names, where nothing special is asked for those it names for certain, and
        the entries that it marks: booleans [M]."""
        evidence = self.heard(reading).evidence
        named = evidence >= PLAIN if (reading.special or "none") == "none" else evidence > 0
        found: npt.NDArray[np.bool_] = (named & ~self.particular.against(reading)) | self.marked(reading)
        return found

    def in_question(
        self, reading: Reading, similarity: npt.NDArray[np.floating[Any]]
    ) -> npt.NDArray[np.bool_]:
        """The LoRAs that a request may be about: booleans [M].

        Where something special is asked for they are those that it names in any measure, and of that role
        those nearest in meaning; else those alone that it names for certain.
        """
        about, special = self.named(reading), reading.special or "none"
        if special in ("none", "character"):  # a character that is merely alike is somebody else
            return about
        near = self.heard(reading).overlap > 0.99
        near[greatest(np.where(self.facts.is_lora, similarity, -np.inf), NEAREST)] = True
        near &= self.facts.of_role(special) & ~self.particular.against(reading)
        return np.logical_or(about, near)

    def companion(self, card: Card, reading: Reading, allow: npt.NDArray[np.bool_]) -> Card | None:
        """The second LoRA that a request names beside the first, of those allowed [M]: the style of a
        character, or the character in a style; None where it names none."""
        role = card.attributes.role if card.type == "LoRA" and card.attributes else ""
        wanted, least = {"character": ("style", STYLED), "style": ("character", NAMED)}.get(role, ("", 0.0))
        if not wanted or (wanted == "style" and not reading.named):
            return None
        evidence = self.lora_scores(reading)
        allow = allow & ~self.particular.against(reading)
        best = None
        likely = greatest(evidence + self.kinship[MEDIA.index(reading.medium)], NEAREST)
        for number in likely.tolist():
            other = self.attributes[number]
            if evidence[number] < least or not allow[number] or other is None or other.role != wanted:
                continue
            if wanted == "style" and other.media[0] != reading.medium:
                continue
            if self.cards[number].base_model == card.base_model:
                best = self.cards[number]
                break
        return best

    def carrier(self, card: Card, reading: Reading, allowed: Sequence[Card]) -> Card | None:
        """The checkpoint to run a LoRA on, of those allowed: its author's, else the best for the medium; for
        a style one that knows the request's character."""
        purpose = card.attributes
        if purpose is None or not allowed:
            return None
        medium = reading.medium if reading.named else purpose.media[0]
        if purpose.role == "style" and purpose.media[0] not in ("any", "anime", "manga", "chibi"):
            medium = purpose.media[0]
        best = self._authors(purpose, allowed) or self._best(medium, reading, allowed)
        if purpose.role == "style" and reading.home is not None and not self._draws(best, reading.home):
            return self._best(reading.home, reading, allowed)
        return best

    def _authors(self, purpose: Attributes, allowed: Sequence[Card]) -> Card | None:
        """The checkpoint that a LoRA's author names, where it is allowed."""
        name = _key(purpose.carrier or "")
        if len(name) <= 3:
            return None
        at, keys = self._places_of(allowed), self._keys
        named = [one for one, place in zip(allowed, at.tolist(), strict=True) if name in keys[place]]
        return max(named, key=lambda one: one.stats.downloads, default=None)

    def _best(self, medium: Medium, reading: Reading, allowed: Sequence[Card]) -> Card:
        """The best of the allowed checkpoints for a medium, a general one if any is."""
        asked = Reading(reading.words, "digital painting" if medium == "any" else medium, reading.named)
        at = self._places_of(allowed)
        general = np.flatnonzero(self.facts.of_role("general")[at])
        among = general if len(general) else np.arange(len(at))
        return allowed[int(among[self.checkpoint_scores(asked, at[among]).argmax()])]

    def _draws(self, card: Card, home: Medium) -> bool:
        """Whether a checkpoint can draw the characters of a medium."""
        media = card.attributes.media if card.attributes else ()
        return home not in CARTOONS or any(
            one in ("anime", "illustration") or kinship(home, one) >= 0.5 for one in media
        )


def _spoken(reading: Reading) -> tuple[object, ...]:
    """What of a reading the phrases hang on."""
    return (
        reading.words,
        reading.medium_words,
        reading.named,
        reading.familiar,
        reading.origins,
        reading.is_tagged,
    )


def _runs(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether the words of ``part`` stand in ``whole`` one after another."""
    part, whole = list(part), list(whole)
    return any(whole[at : at + len(part)] == part for at in range(len(whole) - len(part) + 1))


_FAST = re.compile(r"lightning|turbo|hyper", re.I)
_VERSION = re.compile(
    r"v(?:ersion)?[ .]?(\d{1,3}(?:\.\d{1,2})?)(?!\w)|(\d{1,2}\.\d{1,2})|(?<=\s)(\d{1,2})$", re.I
)


def _is_fast(name: str) -> bool:
    """Whether a name says that its model is made for few steps."""
    return bool(_FAST.search(name))


def version_of(card: Card) -> float | None:
    """The version that an entry's name gives, or the name of its version."""
    found = _VERSION.search(card.name) or _VERSION.search(card.version_name)
    return float(next(filter(None, found.groups()))) if found else None


def _missed(wanted: float | None, card: Card) -> float:
    """How far an entry is from a version that is wanted; an entry without one is farther than any."""
    version = version_of(card)
    if wanted is None:
        return 0.0
    return math.inf if version is None else abs(version - wanted)


_OTHER = re.compile(r"[^a-z0-9]")


def _key(name: str) -> str:
    return _OTHER.sub("", name.casefold())
