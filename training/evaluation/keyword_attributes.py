"""The baseline of plain attributes: a card's purpose by keywords of its name, tags and trigger words alone.

It is an afternoon's program: the first row of each table whose words are in the text decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from diffagent.data.attributes import Attributes, Breadth, Medium, People, Role
from diffagent.data.descriptions.card_features import own_words
from diffagent.data.descriptions.sources import Source
from diffagent.data.media import named_media

ROLES: Mapping[str, Role] = {
    "vae|slider|inpaint\\w*|detail(?:er)?|tweaker|tool|negative|offset": "tool",
    "character\\w*|vtuber|from|\\(.*\\)|nikke|genshin|fate|pokemon|arknights|hololive": "character",
    "clothing|clothes|outfit|dress|armor|uniform|costume|fashion|swimsuit|bikini": "garment",
    "pose|poses|sitting|standing|angle|from behind": "pose",
    "building|architecture|interior|landscape|scenery|city|room|background": "place",
    "vehicle|car|weapon|sword|food|animal|object|objects": "object",
    "effect|lighting|light|glow|particles": "effect",
    "style|artstyle|artist|art": "style",
}
BREADTHS: Mapping[Role, Breadth] = {"general": "broad", "style": "genre", "place": "genre"}
PEOPLE: Mapping[str, People] = {
    "girl|girls|woman|female|anime|waifu": "young women",
    "boy|man|male|men": "men",
    "landscape|scenery|architecture|building|vehicle|food|background|object": "none",
}
Value = TypeVar("Value")
CAUTIONS: Mapping[str, str] = {
    "celebrity|actress|actor|singer|real person|idol|model girl": "real person",
    "hentai|sexy|nsfw|lingerie|breasts|bondage|ecchi": "sexualised",
    "loli|shota|child": "minor",
}


def keyword_attributes(source: Source) -> Attributes:
    """The card's attributes by its words; ``renown`` by downloads."""
    card, text = source.card, own_words(source)
    role = _first(ROLES, text, "concept") if card.type == "LoRA" else "general"
    mentions: tuple[Medium, ...] = tuple(dict.fromkeys(mention.medium for mention in named_media(text)))
    fallback: Medium = "anime" if card.type == "LoRA" else "photo"
    return Attributes(
        role=role,
        media=mentions[:3] or (fallback,),
        breadth=BREADTHS.get(role, "narrow"),
        people=_first(PEOPLE, text, "any"),
        caution=tuple(flag for words, flag in CAUTIONS.items() if _has(words, text)),
        renown=sum(card.stats.downloads >= level for level in (500, 10_000, 100_000)),
    )


def _first(table: Mapping[str, Value], text: str, otherwise: Value) -> Value:
    return next((value for words, value in table.items() if _has(words, text)), otherwise)


def _has(words: str, text: str) -> bool:
    return re.search(rf"(?<!\w)(?:{words})(?!\w)", text, re.IGNORECASE) is not None
