"""What there is to say about a model: its card, the uploader's words and the sample prompts that may be seen.

    for source in read_sources(RawFolder("RAW"), Scope(), "both"):
        source.card.name, source.about, source.prompts

The uploader's text is HTML; here it is plain text on one line. A source is read in order to write a new
description of the model (:mod:`diffagent.data.describe`) and is stored nowhere.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from diffagent.data.cards import Entry, clean
from diffagent.data.corpus import read_entries
from diffagent.data.filters import Item, Scope
from diffagent.data.holdout import Rule
from diffagent.data.prompts import is_sfw, strip_lora_tags
from diffagent.data.raw import RawFolder
from diffagent.data.records import Card

_BREAK = re.compile(r"</?(?:br|p|li|ul|ol|h[1-6]|div|tr)\b[^<>]*>", re.IGNORECASE)
_MARKUP = re.compile(r"<[^<>]*>")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|(?<!\S)[^\s@]++@\S+\.\w+")


@dataclass(frozen=True)
class Source:
    """A card, ``about`` (the uploader's text) and ``prompts``, distinct and SFW, in the images' order."""

    card: Card
    about: str = ""
    prompts: tuple[str, ...] = ()


def read_sources(raw: RawFolder, scope: Scope, rule: Rule) -> Iterator[Source]:
    """A source for every entry of a crawl, in the entries' order, in constant memory.

    Prompts are those of images that ``rule`` lets a catalog see. AI Horde's own models have neither text
    nor prompts.
    """
    return with_texts(read_entries(raw, scope, rule), raw.models() if "civitai" in raw else ())


def with_texts(entries: Iterable[Entry], items: Iterable[Item]) -> Iterator[Source]:
    """Joins entries with the items that they were made of; both go by model id."""
    rest = iter(items)
    item: Item = {}
    for entry in entries:
        card = entry.card
        while card.source == "civitai" and item.get("id") != card.model_id:
            item = next(rest)
        about = about_text(item, card.version_id) if card.source == "civitai" else ""
        prompts = dict.fromkeys(strip_lora_tags(sample.prompt) for sample in entry.samples)
        yield Source(card, about, tuple(prompt for prompt in prompts if is_sfw(prompt)))


def about_text(item: Item, version_id: int | None) -> str:
    """The uploader's text about the model, then that about the version."""
    versions = [v for v in item.get("modelVersions") or () if v.get("id") == version_id]
    texts = (plain_text(part.get("description")) for part in (item, *versions))
    return " ".join(text for text in texts if text)


def plain_text(markup: object) -> str:
    """HTML as plain text on one line, without addresses; a block that ends is a sentence that ends."""
    blocks = _BREAK.sub("\n", str(markup or "")).split("\n")
    texts = (clean(_ADDRESS.sub("", html.unescape(_MARKUP.sub("", block)))) for block in blocks)
    return " ".join(text if text[-1] in ".!?:;," else text + "." for text in texts if text)
