"""Estimates a card's subjects and needed trigger words by rules.

    "Raiden Shogun | Genshin Impact", tags (character, genshin impact), trigger "raiden shogun \\(genshin\\)"
        → subjects ("raiden shogun", "genshin impact"), needed ("raiden shogun \\(genshin\\)",)

The parts of the name come first, then the needed trigger word, then tags that add to the kind of model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from diffagent.data.attributes import Role
from diffagent.data.media import named_media
from diffagent.data.prompts import is_sfw, plain
from diffagent.data.records import Card

MOST = 5
"""The most subjects of a card."""
LONGEST = 48
"""The most characters of a subject."""

_PARTS = re.compile(r"[|/\\()\[\]{}【】「」『』（）<>,:;~•+=*\"“”–—：｜，]| - ")
_FROM = re.compile(r" (?:from|in the style of|inspired by) ", re.IGNORECASE)
_NOISE = re.compile(
    r"\b(?:lo-?ra?s?|loras|locon|loha|lycoris|dora|checkpoint|model|sd(?:xl)? ?[\d.]*|xl|stable diffusion|"
    r"ver(?:sion)?\.? ?\d*(?:\.\d+)*|v ?\d+(?:[.\-_]\d+)*\w?|\d+(?:\.\d+)+|final|updated?|beta|test|wip|"
    r"new|concept|character|characters|style|styles|outfit|outfits|pack|collection|merge|mix|pruned|fp16|"
    r"embedding|trained|training|epoch|epochs|mb|with multires noise version|civitai|by)\b",
    re.IGNORECASE,
)
_TEXT_OF_KINDS = """
anime,character,girl,woman,man,boy,male,female,girls,women,style,art style,artstyle,photorealistic,realistic,
base model,concept,clothing,clothes,video game,game,game character,game characters,anime girl,anime character,
manga,sexy,person,celebrity,waifu,art,model,models,lora,locon,merge,mix,checkpoint,background,illustration,photo,
photography,portrait,portraits,poses,pose,tool,object,objects,action,outfit,costume,fashion,general,asian,
cute,beautiful,realism,semi-realistic,2.5d,3d,cartoon,drawing,painting,digital art,fantasy,hentai,nsfw,comics,
comic,visual novel,vtuber,virtual youtuber,fictional,actress,actor,multi-character,characterpack,manhwa,
style lora,character lora,stable diffusion,aesthetic,effect,scenery,landscape,landscapes,light novel
"""
_KINDS = frozenset(tag.strip() for tag in _TEXT_OF_KINDS.replace("\n", " ").split(","))
"""Tags that name the kind of model only."""
_APPEARANCE = re.compile(
    r"masterpiece|quality|anatomy|\b\d\+?(?:girl|boy)s?\b|\b(?:hair|eyes?|skin|breasts?|bangs|ponytail|twintails|"
    r"braids?|dress|skirt|shirt|gloves?|hat|boots|shoes|jacket|coat|pants|shorts|thighhighs|pantyhose|"
    r"earrings?|necklace|ribbon|bow|bowtie|necktie|ears|tail|horns?|wings|halo|glasses|eyewear|smile|solo|"
    r"standing|sitting|looking|sleeves?|shoulders?|collar|belt|weapon|sword|armou?r|uniform|leotard|"
    r"swimsuit|bikini|hood|hoodie|cape|scarf|mask|mole|ahoge|hairband|hairclip|ornament|choker|detached|"
    r"realistic|photorealistic|absurdres|highres|8k|4k|background)\b|description|none needed|no trigger|"
    r"n/?a$",
    re.IGNORECASE,
)
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_LATIN = re.compile(r"[ -ÿ]*")
_ALL_NUMBERS = re.compile(r"[\W\d_]*")


def needed_trigger(card: Card, role: Role) -> str | None:
    """Returns the trigger word that every prompt for the model needs: for a character one like the model's
    name, else the first that is neither a quality word nor an appearance; None where the card has none."""
    words = card.trigger_words if role != "character" else card.all_words
    telling = [word for word in words if len(word) <= 60 and not _APPEARANCE.search(word)]
    if role not in ("character", "style", "general") and not telling:
        telling = [word for word in card.trigger_words if len(word) <= 60]
    names = _stem_words(card.name)
    alike = [word for word in telling if names & _stem_words(word)]
    if role == "character" and alike:
        return alike[0]
    return next((word for word in telling if word in card.trigger_words), None)


def subjects(card: Card, role: Role, needed: str | None) -> tuple[str, ...]:
    """Returns short lower-case phrases as people type them, the most specific first.

    A tag of one word ("love", "star") is too vague for a style, garment or place, unless it names a medium.
    """
    tagged = [readable(tag) for tag in card.tags if " " in tag]
    parts = [_without(part, tagged) for part in _name_parts(card.name)]
    triggers = [readable(needed)] if needed else []
    tags = [readable(tag) for tag in card.tags if tag.casefold() not in _KINDS]
    if role == "character":
        phrases = [*_character(parts, triggers, card), *tags]
    elif role == "general":
        phrases = tags or parts
    else:
        particular = [tag for tag in tags if " " in tag or named_media(tag)]
        phrases = [*parts[:2], *(trigger for trigger in triggers if " " in trigger), *particular]
    return tuple(_distinct(phrase for phrase in phrases if _is_telling(phrase)))[:MOST]


def readable(words: str) -> str:
    """A trigger word or tag as people type it: lower case, without brackets, weights and underscores."""
    text = words.replace("_", " ")
    bracket = text.find("(")
    text = text[:bracket].rstrip(" \\") if bracket > 0 else text
    return " ".join(re.sub(r"[^\w\s'’&.!?-]", " ", plain(text)).split()).casefold()


def _character(parts: list[str], triggers: list[str], card: Card) -> list[str]:
    """The parts of the card's name that a trigger word or tag repeats, then the trigger words and the
    rest."""
    words = {readable(word) for word in (*triggers, *card.tags)}
    tagged = {readable(tag) for tag in card.tags}
    first = [part for part in parts if part in set(triggers)] or [
        part for part in parts if part in words and not _is_series(part, parts, tagged)
    ]
    worded = [trigger for trigger in triggers if " " in trigger and not _APPEARANCE.search(trigger)]
    return [*first, *(part for part in parts[:1] if not first), *(worded or triggers), *parts]


def _without(part: str, tagged: Iterable[str]) -> str:
    """A part of a name without a tag at its end, such as a series."""
    return next((part.removesuffix(tag).strip(" -") for tag in tagged if part.endswith(f" {tag}")), part)


def _is_series(part: str, parts: list[str], tagged: set[str]) -> bool:
    """Whether a part of a name other than the first is a tag: the character's series."""
    return part in tagged and parts.index(part) > 0


def _name_parts(name: str) -> Iterable[str]:
    text = " ".join(unicodedata.normalize("NFKC", name).replace("_", " ").split())
    for part in _PARTS.split(text):
        for half in _FROM.split(part):
            spaced = _HUMP.sub(" ", _NOISE.sub(" ", half))
            clean = readable(_one_script(spaced)).strip(" -.&!?")
            if clean:
                yield clean


def _one_script(text: str) -> str:
    """A name in Latin letters without its transcription in another script."""
    text = text.strip()
    match = _LATIN.match(text)
    latin = match[0].strip() if match else ""
    return latin if sum(map(str.isalpha, latin)) > 2 else text


def _is_telling(phrase: str) -> bool:
    letters = sum(character.isalpha() for character in phrase)
    return (
        1 < len(phrase) <= LONGEST
        and (letters > 1 or len(phrase) == 2)
        and phrase not in _KINDS
        and "masterpiece" not in phrase
        and not _ALL_NUMBERS.fullmatch(phrase)
        and is_sfw(phrase)
    )


def _stem_words(text: str) -> set[str]:
    """The words of four letters or more."""
    return set(re.findall(r"[^\W\d_]{4,}", readable(text)))


def _distinct(texts: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(texts)
