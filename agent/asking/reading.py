"""The reading of a request: the picture's medium, the people in it, and the special thing that is asked for.

    "a knitted fox, cozy"  -> medium textile (named), people none, special none

Rules read first (:meth:`Reading.of`). Their reading is the language model's draft, which it verifies or
changes in one pass: a line of three slots in a grammar.

    textile; people: none; special: none
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

from diffagent.agent.asking.cutting import masked
from diffagent.agent.asking.origins import Origin, origins, unknown_character
from diffagent.agent.asking.prompt_line import wanted
from diffagent.agent.asking.words import words
from diffagent.agent.engines import Prompt
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.data.attributes import MEDIA, Medium, People
from diffagent.data.base_model_requests import bare_name, base_model_requests
from diffagent.data.base_models import meant_by
from diffagent.data.characters import Character, characters
from diffagent.data.checkpoint_requests import checkpoint_requests
from diffagent.data.media import kinship
from diffagent.data.requested_media import split_media

Special = Literal["none", "style", "character", "concept", "object", "garment", "pose", "place", "effect"]
"""The role of the model that a request calls for beside a general one."""
SPECIALS: tuple[Special, ...] = get_args(Special)
PEOPLE: tuple[People, ...] = get_args(People)
SYSTEM = (
    "You read what the user wants a picture of: its medium, who is in it, and whether a special look, "
    "character or thing is asked for. Then you pick the text-to-image model that fits best by its letter: "
    "+ is a LoRA, = a checkpoint."
)
CERTAIN = {
    "medium": 0.6,
    "named": 0.9,
    "grounded medium": 0.97,
    "known medium": 0.9999999,
    "people": 0.6,
    "known people": 0.99999,
    "special": 0.6,
    "known": 0.99999,
    "grounded": 0.999,
}
"""The prior probability of the rules' value of a slot.

Slots of known characters are nearly certain, whatever the language model says: a small one knows few
characters, and is as sure where it errs (measured on the align part of the training requests).
"""

_EXCLUDING: frozenset[Medium] = frozenset(
    ("photo", "analog photo", "digital painting", "oil painting", "watercolor", "pastel", "fine art",
     "illustration", "pencil sketch", "line art", "woodcut", "ink", "ukiyo-e", "comic", "cartoon", "collage",
     "papercraft", "pixel art", "concept art", "fantasy art")
)  # fmt: skip
"""Photos, and media drawn, painted or cut: their name excludes all media but their kin."""
FAR = 0.3
"""The least kinship of media that such a name does not exclude."""
NEAR = 0.4
"""The least kinship of media that are excluded with a thing's medium."""
_GENERIC = ("photo", "analog photo", "illustration", "poster", "digital painting", "3d render")
"""Media that give way where a more particular one is named beside them ("pixel art illustration")."""
_TEXT_OF_IMAGINED = """
dragon wizard elf dwarf knight castle orc goblin mage sorcerer witch phoenix unicorn griffin fairy demon
angel paladin dungeon mermaid giant troll spaceship alien robot mech cyborg planet galaxy steampunk
cyberpunk airship
"""
_IMAGINED = frozenset(_TEXT_OF_IMAGINED.split())
_FIGURE_TAGS = re.compile(r"\b[1-6](?:girl|boy|other)s?\b", re.I)
_QUALITY_TAGS = re.compile(r"\bmasterpiece\b|\bbest quality\b", re.I)
"""Words of praise for pictures of every medium."""
_BOORU_TAGS = re.compile(
    r"\b(?:no humans|(?:fe)?male focus|looking (?:at viewer|back|away)|absurdres|highres|solo|"
    r"multiple (?:girl|boy)s|"
    r"(?:simple|detailed) background|(?:upper|full) body|from (?:above|below|behind|side)|animal focus|"
    r"rating:\w+|score_\d\w*|[a-z]+_(?:hair|eyes?|dress|skirt|shirt|hat|ears|tail|background|body|style|"
    r"girls?|boys?|smile|mouth|uniform|boots|gloves|sleeves|view|viewer))\b",
    re.I,
)
"""Words of image boards, which people take over into lists of tags."""
_REALISTIC_TAGS = re.compile(r"photo|realistic|\brpg\b|landscape|interior|analog|architecture", re.I)
_MARKED = re.compile(
    r"<lora:([^:<>]{2,80})(?:[^<>]{0,40}>)?|"
    r"\b(?:use|using|with|add|try)\s(?!(?:the|an?|this|that|my)\slora\b)"
    r"(?:the\s|that\s)?([\w'’. -]{2,40}?)\s(?:lora|model|checkpoint)\b|"
    r"(?:(?<=[,;+&.!?\n(])|^|\band\s)[ \t]{0,2}(?:the\s)?"
    r"((?:(?!\b(?:with|using|use|and)\b)[\w'’. -]){2,40}?)\slora"
    r"(?=\s(?:by|at|from|\d|\(|weight|strength|please|pls)|[ \t]{0,2}(?:[,;:.!?\n)+]|$))|"
    r"\b(?:there(?:['’]?s|\sis)|found|saw|got|have)\s(?:an?|the|this)\s([\w'’. -]{2,30}?)\slora\b|"
    r"\blora\b[^.,;\n]{0,40}?\s(?:called|named)\s([\w'’. -]{2,40}?)"
    r"(?=[ \t]{0,2}(?:[,;:!?\n)]|\.(?!\w)|$)|\s(?:at|by|with)\s)",
    re.I,
)
_NO_NAME = re.compile(
    r"(?:(?:an?|the|no|any|some|your|my|this|that|one|good|nice|right|best|suitable|style|character|without|it|"
    r"with|use|other|same|extra|another|lcm|turbo|hyper|lightning)(?:\s|$))++",
    re.I,
)
"""Words before "lora" that name none."""
_PEOPLE: tuple[tuple[People, re.Pattern[str]], ...] = (
    (
        "any",
        re.compile(
            r"\b(?:people|persons?|famil(?:y|ies)|couples?|crowds?|team|friends|grand(?:ma|pa|"
            r"mother|father)s?|"
            r"old (?:wo)?m[ae]n|elderly|someone|workers?|students?|tourists?)\b",
            re.I,
        ),
    ),
    (
        "children",
        re.compile(r"\b(?:child(?:ren)?|kids?|toddlers?|bab(?:y|ies)|little (?:girl|boy)s?|boys?)\b", re.I),
    ),
    ("young women", re.compile(r"\b(?:[1-6]?girls?|lad(?:y|ies)|princess|bride|heroine|maid|waifu)\b", re.I)),
    ("women", re.compile(r"\b(?:wom[ae]n|queen|witch|ballerina|mother|wife)\b", re.I)),
    (
        "men",
        re.compile(r"\b(?:[1-6]boys?|m[ae]n|king|knight|wizard|samurai|guy|father|husband)\b", re.I),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """The request as rules or the language model read it: ``medium`` by name, else the natural one for its
    subject.

    ``medium_words`` are the stemmed words that name media; ``special`` is None where it was not read.
    """

    words: tuple[str, ...]
    medium: Medium
    named_media: tuple[Medium, ...] = ()
    medium_words: frozenset[str] = frozenset()
    people: People = "none"
    special: Special | None = None
    marked_names: tuple[str, ...] = ()
    """Names that the request marks as models: "use the NAME model", a LoRA tag."""
    checkpoints: frozenset[str] = frozenset()
    """AIRs of the checkpoints that the request asks for by name."""
    is_grounded: bool = False
    """Whether a name in the request is one of the catalog's characters, which the slots follow."""
    pasted: bool = False
    """Whether the request is a list of tags as people paste it, rather than a sentence."""
    is_tagged: bool = False
    """Whether image boards' words imply the medium, which no word names."""
    familiar: frozenset[str] = frozenset()
    """Words of the names of characters that the base model knows."""
    known_slots: frozenset[str] = frozenset()
    """The slots that the request's well-known characters fill."""
    home: Medium | None = None
    """The medium in which the request's character is at home, whatever medium is asked for."""
    barred_media: frozenset[Medium] = frozenset()
    """Media that are excluded, whatever the language model says."""
    origins: tuple[Origin, ...] = ()
    """The works that the request's names come from."""

    @classmethod
    def of(cls, prompt: str, source: str = "") -> Self:
        """Returns the reading by rules; ``source`` is the request as it came, cuts included."""
        mentions, things = split_media(prompt)
        named_media = tuple(dict.fromkeys(mention.medium for mention in mentions))
        particular_media = [medium for medium in named_media if medium not in _GENERIC]
        request_words = words(prompt)
        figures = characters(prompt)
        rest = _without(prompt, figures)
        people: People = next((name for name, pattern in _PEOPLE if pattern.search(rest)), "none")
        is_tagged = not named_media and _is_tagged(
            source or prompt,
            has_figure=people == "young women" or any(figure.is_special for figure in figures),
        )
        is_painted = bool(_IMAGINED & set(request_words) or _QUALITY_TAGS.search(source or prompt))
        natural: Medium = "anime" if is_tagged else "digital painting" if is_painted else "photo"
        home = next((figure.medium for figure in figures if figure.is_special), None)
        if figures and not is_tagged:
            natural = figures[0].medium
        elif not figures and unknown_character(prompt):
            natural, home = "digital painting", "illustration"
        medium = (particular_media or list(named_media) or [natural])[0]
        medium_words = frozenset(word for mention in mentions for word in words(mention.words))
        figure_people = _people(figures)
        is_known = figures or home or things
        known_slots = {"medium"} if is_known and not named_media and not is_tagged else set()
        if figure_people is not None and people == "none":
            people = figure_people
            known_slots.add("people")
        special: Special | None = None
        if any(figure.is_special for figure in figures):
            special = "character"
            known_slots.add("special")
        return cls(
            tuple(request_words),
            medium,
            named_media,
            medium_words,
            people,
            special,
            marked_names=marked_names(prompt),
            pasted=is_pasted(prompt),
            is_tagged=is_tagged,
            known_slots=frozenset(known_slots),
            home=home,
            barred_media=_barred(medium, named_media, [thing.medium for thing in things]),
            origins=origins(source or prompt, figures),
        )

    def without(self, media: Collection[Medium]) -> Self:
        """Returns the reading of a request that excludes some media: a painting in place of a photo."""
        excluded = frozenset(media) - set(self.named_media)
        if not excluded:
            return self
        medium: Medium = self.medium
        if medium in excluded:
            is_real = medium in ("photo", "analog photo", "3d render")
            medium = "digital painting" if is_real else "illustration"
        kin: set[Medium] = {"analog photo"} if "photo" in excluded else set()
        barred = (self.barred_media | excluded | kin) - {medium, *self.named_media}
        return replace(self, medium=medium, barred_media=barred)

    def in_dialect(self, form: str | None, prompt: str) -> Self:
        """Returns the reading for a base model whose prompts have a form: one that reads image boards' words
        knows their characters, and without a named medium draws anime by tags, and never a photo by score
        words."""
        if form not in ("tags", "score words"):
            return self
        names = (
            word
            for character in characters(prompt)
            for word in words(prompt[character.start : character.end])
        )
        reading = replace(self, familiar=frozenset(names))
        if self.named_media:
            return reading
        if form == "tags":
            return replace(reading, medium="anime", is_tagged=True)
        return replace(reading, medium="digital painting") if self.medium == "photo" else reading

    @property
    def has_known_medium(self) -> bool:
        """Whether a character or thing of the request is known to be of its medium."""
        return self.is_grounded or "medium" in self.known_slots

    @property
    def young_women(self) -> bool:
        """Whether women are asked for, and no others."""
        return self.people in ("young women", "women")

    @property
    def line(self) -> str:
        """The line that the language model writes."""
        return f"{self.medium}; people: {self.people}; special: {self.special or 'none'}"

    def grammar(self, llm_weight: float) -> Grammar:
        """Returns a grammar of every reading of the request, this one the most probable a priori."""
        medium = "grounded medium" if self.is_grounded else "medium"
        medium = "named" if self.named_media else "known medium" if "medium" in self.known_slots else medium
        media = (
            (self.medium,) if self.is_tagged else tuple(m for m in MEDIA[1:] if m not in self.barred_media)
        )
        people = "known people" if "people" in self.known_slots else "people"
        special = "known" if "special" in self.known_slots else "special"
        special = "grounded" if self.is_grounded else special
        return Grammar(
            (
                _slot("medium", media, self.medium, CERTAIN[medium]),
                "; people: ",
                _slot("people", PEOPLE, self.people, CERTAIN[people]),
                "; special: ",
                _slot("special", SPECIALS, self.special or "none", CERTAIN[special]),
            ),
            llm_weight,
        )

    def revised(self, line: str) -> Self:
        """Returns the reading with the slots of a line of :meth:`grammar`."""
        slots = self.grammar(1.0).parse(line)
        medium, people, special = slots["medium"], slots["people"], slots["special"]
        return replace(self, medium=medium, people=people, special=special)  # type: ignore[arg-type]


def _barred(
    medium: Medium, named_media: Sequence[Medium], thing_media: Sequence[Medium]
) -> frozenset[Medium]:
    """The media that a request excludes: those not akin to a photo, drawing or painting that it names; the
    medium of a thing in the picture, and its kin."""
    barred = {other for thing in thing_media for other in MEDIA if kinship(thing, other) >= NEAR}
    if named_media and medium in _EXCLUDING:
        barred |= {other for other in MEDIA if max(kinship(medium, other), kinship(other, medium)) < FAR}
    return frozenset(barred - {medium, *named_media})


def _without(prompt: str, figures: Sequence[Character]) -> str:
    """The prompt without characters' names: Spider-Man is not a man besides, nor King Boo a king."""
    pieces, start = [], 0
    for figure in figures:
        pieces.append(prompt[start : figure.start])
        start = figure.end
    return " ".join([*pieces, prompt[start:]])


def _people(figures: Sequence[Character]) -> People | None:
    """The people that characters are drawn as; None where it is known of none."""
    groups = {figure.people for figure in figures if figure.people is not None}
    persons = groups - {"none"}
    if not groups:
        return None
    if len(persons) > 1:
        return "women" if persons == {"women", "young women"} else "any"
    return persons.pop() if persons else "none"


def question(prompt: str) -> Prompt:
    """Returns the turn that asks for a reading."""
    return Prompt(SYSTEM, wanted(prompt))


def without_marks(prompt: str) -> str:
    """Returns the prompt without the phrases that mark a model; unchanged where nothing else would be
    left."""
    pieces = [piece.strip(" ;:") for piece in _MARKED.sub("", prompt).split(",")]
    return ", ".join(filter(None, pieces)) or prompt


def marked_names(prompt: str) -> tuple[str, ...]:
    """Returns the names that a prompt marks as models."""
    names = _marks(prompt)
    versions = (
        bare_name(request.words) for request in base_model_requests(prompt) if re.search(r"\d", request.words)
    )
    return (*(name for name in names if not meant_by(name)), *versions)


def _marks(prompt: str) -> list[str]:
    names = (next(filter(None, hit.groups())).strip() for hit in _MARKED.finditer(prompt))
    return [name for name in names if not _NO_NAME.fullmatch(name)]


_TAG = re.compile(r"<lora:([^:<>]{2,80})")
_ANY_OF = re.compile(r"(?:some|any|an?)\s", re.I)


def asked_looks(prompt: str) -> tuple[str, ...]:
    """Returns the names of looks that any LoRA may bring ("some watercolor lora"), and the names in tags."""
    looks = (_ANY_OF.sub("", name, count=1) for name in _marks(masked(prompt)) if _ANY_OF.match(name))
    tags = (re.sub(r"[_\W]+", " ", tag[1]) for tag in _TAG.finditer(prompt))
    return (*looks, *tags)


def requested_models(prompt: str) -> tuple[str, ...]:
    """Returns the names that a prompt marks as models in words ("the Pixel Art XL lora"), without those in
    tags and those of base models and well-known checkpoints."""
    text = masked(prompt)  # without tags
    known = [request.words.casefold() for request in checkpoint_requests(text)]
    return tuple(
        name
        for name in _marks(text)
        if not (_ANY_OF.match(name) or meant_by(name) or any(words in name.casefold() for words in known))
    )


def is_pasted(prompt: str) -> bool:
    """Whether a prompt is a list of tags as people paste it, rather than a sentence."""
    pieces = [len(piece.split()) for piece in prompt.split(",")]
    return len(pieces) >= 6 and sum(pieces) <= 4 * len(pieces)


def _is_tagged(prompt: str, *, has_figure: bool) -> bool:
    """Whether a prompt that does not ask for a photo has image boards' words for figures, whose pictures are
    drawn; words of praise count beside a girl or character alone."""
    tagged = (
        _FIGURE_TAGS.search(prompt)
        or (is_pasted(prompt) and _BOORU_TAGS.search(prompt))
        or (has_figure and _QUALITY_TAGS.search(prompt))
    )
    return bool(tagged) and not _REALISTIC_TAGS.search(prompt)


def _slot(name: str, options: Sequence[str], draft: str, probability: float) -> Slot:
    other = math.log((1 - probability) / max(1, len(options) - 1))
    return Slot(
        name, tuple(options), tuple(math.log(probability) if option == draft else other for option in options)
    )
