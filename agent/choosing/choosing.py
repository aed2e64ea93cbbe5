"""The LoRAs that a request names, and the checkpoint and second LoRA that go with one.

    reading (medium, people, names) → evidence that a LoRA's style, character or object is named
    LoRA, reading → the checkpoint that carries it; the style of a character

In: a reading and the M cards of a catalog with attributes (:mod:`diffagent.data.attributes`). A name that is
not an ordinary English word ("pikachu") counts more than any other evidence; an ordinary word ("fox",
"night") is evidence of a LoRA only within a whole phrase of its subjects.
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

from diffagent.agent.asking.reading import Reading
from diffagent.agent.asking.words import FUNCTION_WORDS, is_given_name, is_ordinary, words
from diffagent.agent.choosing.namesakes import Namesakes
from diffagent.agent.choosing.particular import Particular
from diffagent.agent.choosing.phrases import Phrase, Phrases
from diffagent.agent.choosing.ranking import greatest
from diffagent.agent.choosing.short_names import short_name
from diffagent.agent.choosing.suitability import DRAWN, PLACES, ShelfFacts
from diffagent.data.attributes import MEDIA, Attributes, Medium
from diffagent.data.base_model_requests import base_model_requests
from diffagent.data.catalog.usage import by_family
from diffagent.data.checkpoint_requests import CheckpointRequest
from diffagent.data.collecting import uncollected
from diffagent.data.media import kinship
from diffagent.data.records import Card, Usage

Floats = npt.NDArray[np.float64]

_FIGURES = frozenset(
    (
        "girl",
        "girls",
        "boy",
        "boys",
        "woman",
        "women",
        "man",
        "men",
        "people",
        "person",
        "portrait",
        "character",
    )
)
"""Words for people, who are in pictures of every style."""
_USES = frozenset(("poster", "illustration", "icon", "map", "photo", "drawing", "anime", "cartoon", "comic"))
"""Words for a medium that alone do not ask for a special look."""

CARTOONS = ("anime", "manga", "chibi", "cartoon", "3d cartoon", "comic", "illustration")
"""Media whose characters a photographic checkpoint does not know."""

STYLED = 1.7
"""The least evidence that a request names the style of a LoRA."""
NAMED = 3.0
"""The least evidence that a request names a character."""
PLAIN = 1.5
"""The least evidence for a LoRA where the reading asks for nothing special."""
ALL_ROUND = 0.7
"""How well an all-round checkpoint serves a medium, beside a model of any medium."""
FITTING = 0.5
"""The least kinship of a LoRA's media with the requested one for it to draw that medium."""
NEAREST = 8
"""The number of LoRAs considered for similarity alone."""


@dataclass(frozen=True)
class PhraseEvidence:
    """Evidence from a request's phrases for M entries: ``evidence`` that a LoRA's subject is named; ``rare``:
    whether by a name that is not an ordinary word; the best ``overlap`` 0…1 of a phrase, by idf, and its
    ``weight`` in nats. Arrays [M]."""

    evidence: Floats
    rare: npt.NDArray[np.bool_]
    overlap: Floats
    weight: Floats

    def only(self, rows: npt.NDArray[np.int64]) -> PhraseEvidence:
        """Returns the evidence of some entries."""
        return PhraseEvidence(self.evidence[rows], self.rare[rows], self.overlap[rows], self.weight[rows])

    @classmethod
    def nothing(cls, count: int) -> Self:
        return cls(np.zeros(count), np.zeros(count, bool), np.zeros(count), np.zeros(count))


class CardShelf:
    """The M cards of a catalog, organised by purpose."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self.cards = cards
        self.attributes = [card.attributes for card in cards]
        self._drawing_masks: dict[Medium, npt.NDArray[np.bool_]] = {}
        self._last: tuple[Reading | None, PhraseEvidence] = (None, PhraseEvidence.nothing(0))
        self._last_allowed: tuple[Sequence[Card], npt.NDArray[np.int64]] = ((), np.zeros(0, np.int64))

    @cached_property
    def is_read(self) -> bool:
        """Whether nearly all entries have attributes, so that choosing by them is fair to all."""
        return bool(self.cards) and sum(map(bool, self.attributes)) >= 0.9 * len(self.cards)

    @cached_property
    def choosable(self) -> npt.NDArray[np.bool_]:
        """The entries that may answer a request: booleans [M]."""
        return np.array([purpose is not None and purpose.is_choosable for purpose in self.attributes])

    @cached_property
    def _frequency(self) -> Counter[str]:
        """Word → number of entries with it in subjects or description."""
        counts: Counter[str] = Counter()
        with uncollected():
            for card, purpose in zip(self.cards, self.attributes, strict=True):
                subjects = purpose.subjects if purpose else ()
                counts.update(set(words(" ".join((card.description, *subjects)))))
        return counts

    @cached_property
    def _namesakes(self) -> Namesakes:
        """The characters, by their works."""
        return Namesakes(self.cards)

    @cached_property
    def particular(self) -> Particular:
        """The models for one kind of picture."""
        return Particular(self.cards)

    def is_function(self, word: str) -> bool:
        """Whether a word is a function word."""
        return word in FUNCTION_WORDS

    @cached_property
    def _keys(self) -> list[str]:
        """The folded name of each entry."""
        return [_key(card.name) for card in self.cards]

    @cached_property
    def _names(self) -> dict[str, list[int]]:
        """Folded name → the entries with that name."""
        index: dict[str, list[int]] = defaultdict(list)
        for number, (card, key) in enumerate(zip(self.cards, self._keys, strict=True)):
            for name in {key, _key(short_name(card.name))}:
                index[name].append(number)
        return index

    def marked(self, reading: Reading) -> npt.NDArray[np.bool_]:
        """Returns the entries whose name the request marks as a model's: booleans [M]."""
        marks = np.zeros(len(self.cards), bool)
        for name in reading.marked_names:
            marks[self._names.get(_key(name)) or self._partly_called(name)] = bool(_key(name))
        for air in reading.checkpoints & self._places.keys():
            marks[self._places[air]] = True
        return marks

    def _partly_called(self, name: str) -> list[int]:
        """The most used LoRA with the words of a name in its own, in a row: "ghibli style" of "Studio Ghibli
        Style LoRA"; none for one ordinary word."""
        phrase = " ".join(words(name))
        is_vague = " " not in phrase and (is_ordinary(phrase) or len(phrase) < 4)
        if not phrase or is_vague or base_model_requests(name):
            return []
        names = self._lora_names
        return next(([number] for number, name in names if f" {phrase} " in name), [])

    @cached_property
    def _lora_names(self) -> list[tuple[int, str]]:
        """The choosable LoRAs, the most used first, with the words of each name between blanks."""
        numbers = np.flatnonzero(self.facts.is_lora & self.choosable).tolist()
        numbers.sort(key=lambda number: -self.cards[number].stats.downloads)
        return [(number, f" {' '.join(words(self.cards[number].name))} ") for number in numbers]

    def checkpoints_of(
        self, name: CheckpointRequest, allow: npt.NDArray[np.bool_], *, alike: bool = False
    ) -> list[Card]:
        """Returns the allowed [M] checkpoints of a name: those of its version, else the one of the nearest
        version; ``alike``: only those for few steps, or only the others, as the name itself."""
        begins = _key(name.name).removesuffix("xl")
        at = [
            number
            for number in np.flatnonzero(allow & self.choosable & ~self.facts.is_lora).tolist()
            if self._keys[number].startswith(begins)
        ]
        fast = [number for number in at if _is_fast(self._keys[number]) == _is_fast(name.words)]
        cards = sorted(
            (self.cards[number] for number in (fast if alike else fast or at)),
            key=lambda card: (
                _version_distance(name.version, card),
                not _key(name.words).startswith(_key(card.name)),
                -card.stats.downloads,
            ),
        )
        is_near = bool(cards) and _version_distance(name.version, cards[0]) > 0
        return cards[:1] if is_near else [card for card in cards if not _version_distance(name.version, card)]

    def idf(self, word: str) -> float:
        """Returns the inverse document frequency of a word over the entries, in nats."""
        return math.log((len(self.cards) + 1) / (self._frequency[word] + 1))

    @cached_property
    def _phrases(self) -> Phrases:
        """The phrases of LoRAs and special checkpoints."""
        with uncollected():
            return Phrases(self.cards, self.idf)

    @cached_property
    def kinship(self) -> Floats:
        """The fit of each entry to each medium: [media, M]; an entry's later media count less, and a broad
        checkpoint of photos and of drawings serves every medium somewhat."""
        kin = np.array([[kinship(medium, offered) for offered in MEDIA] for medium in MEDIA])
        table = np.zeros((len(MEDIA), len(self.cards)))
        for place in range(3):
            offers = [
                (number, PLACES[purpose.media[place]])
                for number, purpose in enumerate(self.attributes)
                if purpose is not None and len(purpose.media) > place
            ]
            numbers, media = np.array(offers, int).reshape(-1, 2).T
            table[:, numbers] = np.maximum(table[:, numbers], kin[:, media] * (1 - 0.15 * place))
        numbers = np.flatnonzero([_is_all_round(purpose) for purpose in self.attributes])
        every = ALL_ROUND * kin[:, PLACES["any"], None]
        table[:, numbers] = np.maximum(table[:, numbers], every)
        return table

    @cached_property
    def facts(self) -> ShelfFacts:
        """The facts that are independent of the reading."""
        return ShelfFacts(self)

    @cached_property
    def usual(self) -> dict[str, Usage]:
        """Each family's usage."""
        return by_family(self.cards)

    @cached_property
    def _merit(self) -> Floats:
        """The merit of each checkpoint for any request, by renown, breadth and role: [M]."""
        facts = self.facts
        style, general = facts.of_role("style"), facts.of_role("general")
        merit = 0.45 * facts.renown + 0.05 * facts.downloads
        merit += 0.45 * facts.of_breadth("broad") - 0.1 * facts.of_breadth("genre")
        merit -= 0.8 * facts.of_breadth("narrow") + 0.5 * style + 1.5 * ~(style | general)
        return np.where(facts.read, merit - 0.2 * facts.caution, 0.0)

    @cached_property
    def _places(self) -> dict[str, int]:
        """AIR → the entry's index among the M."""
        return {card.air: number for number, card in enumerate(self.cards)}

    def _places_of(self, allowed: Sequence[Card]) -> npt.NDArray[np.int64]:
        """Returns the indices of some entries among the M; caches the last."""
        if self._last_allowed[0] is not allowed:
            places = np.array([self._places[card.air] for card in allowed], np.int64)
            self._last_allowed = allowed, places
        return self._last_allowed[1]

    def checkpoint_scores(self, reading: Reading, rows: npt.NDArray[np.int64] | None = None) -> Floats:
        """Returns scores of the entries, or of ``rows``, as checkpoints for a request; −inf for LoRAs."""
        at = np.arange(len(self.cards)) if rows is None else rows
        facts = self.facts.only(at)
        scores: Floats = 2.4 * self.kinship[MEDIA.index(reading.medium)][at] + self._merit[at]
        if reading.named_media and reading.medium not in ("photo", "anime"):
            special = facts.first == MEDIA.index(reading.medium)
            scores += np.where(special, np.where(facts.of_role("style"), 1.0, 0.3), 0.0)
        if reading.medium not in DRAWN:
            scores -= 0.9 * facts.drawn
        scores -= 0.8 * facts.nobody if reading.young_women else 1.1 * facts.women
        return np.where(facts.read & ~facts.is_lora, scores, -np.inf)

    def lora_scores(self, reading: Reading) -> Floats:
        """Returns the evidence that the request names each LoRA's subject: [M], 0 for none."""
        return self.evidence_of(reading).evidence

    def evidence_of(self, reading: Reading) -> PhraseEvidence:
        """Returns the evidence from each entry's phrases in a request; caches the last."""
        last, phrases = self._last
        if last is not None and _phrase_key(last) == _phrase_key(reading):
            return phrases
        phrases = PhraseEvidence.nothing(len(self.cards))
        request_words = set(reading.words)
        shared = self._phrases.shared(
            request_words, {word for word in request_words if not is_ordinary(word)}
        )
        np.maximum.at(phrases.overlap, shared.cards, shared.share)
        np.maximum.at(phrases.weight, shared.cards, shared.weight)
        telling = shared.telling & self.facts.is_lora[shared.cards]
        for phrase in map(self._phrases.__getitem__, shared.numbers[telling].tolist()):
            number, purpose = phrase.card, self.attributes[phrase.card]
            assert purpose is not None
            evidence, is_rare = self._evidence(phrase, purpose, reading, request_words)
            if evidence:
                evidence += 0.15 * purpose.renown + 0.05 * float(self.facts.downloads[number])
                phrases.evidence[number] = max(phrases.evidence[number], evidence)
                phrases.rare[number] |= is_rare and evidence >= NAMED
        self._last = reading, phrases
        return phrases

    def grounded(self, reading: Reading) -> Reading:
        """Returns a draft that reads a character with an unusual name as one, in its own medium."""
        phrases = self.evidence_of(reading)
        numbers = [
            number
            for number in np.flatnonzero(phrases.rare & self.choosable).tolist()
            if (purpose := self.attributes[number]) and purpose.role == "character"
        ]
        if not numbers:
            return reading
        best = self.attributes[max(numbers, key=lambda number: phrases.evidence[number])]
        assert best is not None
        is_told = reading.named_media or "medium" in reading.known_slots or best.media[0] == "any"
        medium = reading.medium if is_told else best.media[0]
        return replace(reading, medium=medium, special="character", is_grounded=True)

    def knowing(self, reading: Reading) -> npt.NDArray[np.bool_] | None:
        """Returns the entries that can draw the character whose name the request has: booleans [M]; None
        where it names none that a LoRA draws.

        Those are the LoRAs of that name and the checkpoints that know it: of a film all of them, of an anime
        those that draw anime, of a cartoon those that draw; few know a game's. Where another medium is asked
        for, they are the LoRAs that draw the character in it, if any, else checkpoints too.
        """
        phrases, facts, home = self.evidence_of(reading), self.facts, reading.home
        is_name = phrases.rare if home is None else phrases.rare | (phrases.evidence >= NAMED)
        named: npt.NDArray[np.bool_] = is_name & self.choosable & facts.of_role("character")
        if not named.any():
            return None
        if home is None:
            return named
        is_elsewhere = bool(reading.named_media) and reading.medium not in DRAWN
        if is_elsewhere:
            fitting: npt.NDArray[np.bool_] = named & (self.kinship[MEDIA.index(reading.medium)] >= FITTING)
            if fitting.any():
                return fitting
        elif home not in (*CARTOONS, "photo"):
            return named
        knows = facts.drawn if home in DRAWN and not is_elsewhere else self._drawing(home)
        return named | (~facts.is_lora & knows)

    def _drawing(self, home: Medium) -> npt.NDArray[np.bool_]:
        """Returns the checkpoints that can draw the characters of a medium; cached."""
        if home not in self._drawing_masks:
            self._drawing_masks[home] = np.array([self._draws(card, home) for card in self.cards])
        return self._drawing_masks[home]

    def whole_name(self, reading: Reading, allow: npt.NDArray[np.bool_]) -> Card | None:
        """Returns the allowed [M] LoRA of a character whose whole name, of two words or more, the request
        has; None where there is none."""
        phrases = self.evidence_of(reading)
        for number in np.argsort(-phrases.evidence).tolist():
            purpose = self.attributes[number]
            if phrases.evidence[number] < NAMED or purpose is None:
                return None
            if purpose.role != "character" or not (allow & self.choosable)[number] or not purpose.subjects:
                continue
            name = words(purpose.subjects[0])
            if len(name) > 1 and not all(map(is_ordinary, name)) and _runs(name, reading.words):
                card: Card = self.cards[number]
                return card
        return None

    def _evidence(
        self, phrase: Phrase, purpose: Attributes, reading: Reading, request_words: set[str]
    ) -> tuple[float, bool]:
        """Returns a phrase's evidence, and whether it contains a name."""
        shared = [word for word in phrase.core if word in request_words]
        rare = [word for word in shared if not is_ordinary(word)]
        whole = len(shared) == len(phrase.core)
        is_rare = bool(rare)
        if purpose.role == "character":
            if phrase.place > 0:  # the series alone does not name the character
                return 0.0, False
            if set(phrase.core) & reading.medium_words:  # "ligne claire" is not a name
                return 0.0, False
            name = set(words(" ".join(purpose.subjects[:1])))
            about = set(words(" ".join(purpose.subjects[1:]))) - name
            if phrase.place < 0 and not name & set(shared) and (reading.home or set(rare) <= about):
                return 0.0, False  # a trigger word shared by others of the series, or another's name
            own_words = [word for word in rare if word not in about]
            series = purpose.subjects[1:3]
            has_series = any(
                _runs(names, reading.words) and not all(map(is_ordinary, names))
                for names in map(words, series)
                if not set(names) & set(phrase.core)
            )
            is_shared = len(phrase.core) == 1 and is_given_name(phrase.core[0])
            is_rare = (is_rare and not is_shared) or (whole and has_series)  # "link" beside "zelda"
            is_turned = len(rare) == len(phrase.core) > 1  # the family name before or behind
            runs = is_turned or _runs(phrase.words, reading.words)
            if whole and runs and (rare or has_series or len(phrase.core) > 1):
                evidence = 3.0
            elif (
                own_words
                and sum(map(self.idf, own_words)) > 5
                and all(self._bearers(word) < 2 for word in own_words)
            ):
                evidence = 2.0 * len(own_words) / len(phrase.core)
            else:
                return 0.0, False
            if (len(phrase.core) < 2 or not whole) and self._namesakes.is_other(phrase.card, shared, reading):
                return 0.0, False
            return evidence + 0.6 * any(set(words(text)) <= request_words for text in series), is_rare
        if purpose.role == "style":
            if set(phrase.core) <= reading.familiar:  # the subject does not tell the style
                return 0.0, False
            figures = set(phrase.core) & _FIGURES
            if figures and set(phrase.core) - figures <= reading.medium_words:  # "anime girl" is no style
                return 0.0, False
            styled = [word for word in shared if word in reading.medium_words or word in rare]
            if whole and styled:
                plain = len(phrase.core) == 1 and phrase.core[0] in _USES
                evidence = (0.9 if plain else 1.5) + 0.2 * len(phrase.core)
            elif rare and sum(map(self.idf, rare)) > 6:
                evidence = 1.5 * len(rare) / len(phrase.core)
            else:
                return 0.0, False
            unlike = bool(reading.named_media) and not set(reading.named_media) & set(purpose.media[:2])
            return evidence - 0.7 * unlike, is_rare
        return (1.5, is_rare) if whole and rare else (0.0, False)

    def _bearers(self, word: str) -> int:
        """Returns how many differently named characters have a word in their name."""
        return len(self._phrases.names(word, lambda number: bool(self.facts.of_role("character")[number])))

    def named_mask(self, reading: Reading) -> npt.NDArray[np.bool_]:
        """Returns the LoRAs that a request names (for certain, where it asks for nothing special), and the
        entries that it marks: booleans [M]."""
        evidence = self.evidence_of(reading).evidence
        is_named = evidence >= PLAIN if (reading.special or "none") == "none" else evidence > 0
        mask: npt.NDArray[np.bool_] = (is_named & ~self.particular.against(reading)) | self.marked(reading)
        return mask

    def in_question(
        self, reading: Reading, similarity: npt.NDArray[np.floating[Any]]
    ) -> npt.NDArray[np.bool_]:
        """Returns the LoRAs that a request may be about: booleans [M].

        Where the request asks for something special, these are the LoRAs that it names to any degree, and
        those of that role nearest in meaning; else only those that it names for certain.
        """
        about, special = self.named_mask(reading), reading.special or "none"
        if special in ("none", "character"):  # a merely similar character is another one
            return about
        near = self.evidence_of(reading).overlap > 0.99
        near[greatest(np.where(self.facts.is_lora, similarity, -np.inf), NEAREST)] = True
        near &= self.facts.of_role(special) & ~self.particular.against(reading)
        return np.logical_or(about, near)

    def companion(self, card: Card, reading: Reading, allow: npt.NDArray[np.bool_]) -> Card | None:
        """Returns the second allowed [M] LoRA that a request names beside the first: the style of a
        character, or the character in a style; None where it names none."""
        role = card.attributes.role if card.type == "LoRA" and card.attributes else ""
        second_role, least = {"character": ("style", STYLED), "style": ("character", NAMED)}.get(
            role, ("", 0.0)
        )
        if not second_role or (second_role == "style" and not reading.named_media):
            return None
        evidence = self.lora_scores(reading)
        allow = allow & ~self.particular.against(reading)
        best = None
        likely = greatest(evidence + self.kinship[MEDIA.index(reading.medium)], NEAREST)
        for number in likely.tolist():
            other = self.attributes[number]
            if evidence[number] < least or not allow[number] or other is None or other.role != second_role:
                continue
            if second_role == "style" and other.media[0] != reading.medium:
                continue
            if self.cards[number].base_model == card.base_model:
                best = self.cards[number]
                break
        return best

    def carrier(self, card: Card, reading: Reading, allowed: Sequence[Card]) -> Card | None:
        """Returns the allowed checkpoint to run a LoRA on: its author's, else the best for the medium; for a
        style one that knows the request's character."""
        purpose = card.attributes
        if purpose is None or not allowed:
            return None
        medium = reading.medium if reading.named_media else purpose.media[0]
        if purpose.role == "style" and purpose.media[0] not in ("any", "anime", "manga", "chibi"):
            medium = purpose.media[0]
        best = self._authors(purpose, allowed) or self._best(medium, reading, allowed)
        if purpose.role == "style" and reading.home is not None and not self._draws(best, reading.home):
            return self._best(reading.home, reading, allowed)
        return best

    def _authors(self, purpose: Attributes, allowed: Sequence[Card]) -> Card | None:
        """Returns the checkpoint that a LoRA's author names, if it is allowed."""
        name = _key(purpose.carrier or "")
        if len(name) <= 3:
            return None
        at, keys = self._places_of(allowed), self._keys
        cards = [card for card, place in zip(allowed, at.tolist(), strict=True) if name in keys[place]]
        return max(cards, key=lambda card: card.stats.downloads, default=None)

    def _best(self, medium: Medium, reading: Reading, allowed: Sequence[Card]) -> Card:
        """Returns the best allowed checkpoint for a medium, a general one if there is any."""
        medium_reading = Reading(
            reading.words, "digital painting" if medium == "any" else medium, reading.named_media
        )
        at = self._places_of(allowed)
        general = np.flatnonzero(self.facts.of_role("general")[at])
        among = general if len(general) else np.arange(len(at))
        return allowed[int(among[self.checkpoint_scores(medium_reading, at[among]).argmax()])]

    def _draws(self, card: Card, home: Medium) -> bool:
        """Whether a checkpoint can draw the characters of a medium."""
        media = card.attributes.media if card.attributes else ()
        return home not in CARTOONS or any(
            medium in ("anime", "illustration") or kinship(home, medium) >= 0.5 for medium in media
        )


def _is_all_round(purpose: Attributes | None) -> bool:
    """Whether a model is a general one of any subject that makes photos and drawings alike."""
    if purpose is None or purpose.role != "general" or purpose.breadth != "broad":
        return False
    return "photo" in purpose.media and any(medium in purpose.media for medium in ("illustration", "anime"))


def _phrase_key(reading: Reading) -> tuple[object, ...]:
    """Returns the parts of a reading that phrases depend on."""
    return (
        reading.words,
        reading.medium_words,
        reading.named_media,
        reading.familiar,
        reading.origins,
        reading.is_tagged,
    )


def _runs(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether ``whole`` contains the words of ``part`` in a row."""
    part, whole = list(part), list(whole)
    return any(whole[at : at + len(part)] == part for at in range(len(whole) - len(part) + 1))


_FAST = re.compile(r"lightning|turbo|hyper", re.I)
_VERSION = re.compile(
    r"v(?:ersion)?[ .]?(\d{1,3}(?:\.\d{1,2})?)(?!\w)|(\d{1,2}\.\d{1,2})|(?<=\s)(\d{1,2})$", re.I
)


def _is_fast(name: str) -> bool:
    """Whether a name tells that its model is made for few steps."""
    return bool(_FAST.search(name))


def version_of(card: Card) -> float | None:
    """Returns the version in an entry's name or version name."""
    match = _VERSION.search(card.name) or _VERSION.search(card.version_name)
    return float(next(filter(None, match.groups()))) if match else None


def _version_distance(target: float | None, card: Card) -> float:
    """Returns an entry's distance from a version; infinite for an entry without one."""
    version = version_of(card)
    if target is None:
        return 0.0
    return math.inf if version is None else abs(version - target)


_OTHER = re.compile(r"[^a-z0-9]")


def _key(name: str) -> str:
    return _OTHER.sub("", name.casefold())
