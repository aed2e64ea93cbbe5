"""What there is to say about a model: its card, the uploader's words and the sample prompts that may be seen.

    for source in read_sources(RawFolder("RAW"), Scope(), "both"):
        source.card.name, source.about, source.prompts

A source is read in order to say what the model is for (:mod:`diffagent.data.descriptions.describe`,
:mod:`diffagent.data.descriptions.plain_attributes`) and is stored nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.corpus import read_entries
from diffagent.data.catalog.filters import Scope
from diffagent.data.catalog.holdout import Rule
from diffagent.data.hubs.raw import RawFolder
from diffagent.data.prompts import is_sfw, strip_lora_tags
from diffagent.data.records import Card


@dataclass(frozen=True)
class Source:
    """A card, ``about`` (the uploader's text) and ``prompts``, distinct and SFW, in the images' order."""

    card: Card
    about: str = ""
    prompts: tuple[str, ...] = ()

    @classmethod
    def of(cls, entry: Entry) -> Source:
        """What an entry of a crawl says."""
        prompts = dict.fromkeys(strip_lora_tags(sample.prompt) for sample in entry.samples)
        return cls(entry.card, entry.about, tuple(prompt for prompt in prompts if is_sfw(prompt)))


def read_sources(raw: RawFolder, scope: Scope, rule: Rule) -> Iterator[Source]:
    """A source for every entry of a crawl, in the entries' order, in constant memory.

    Prompts are those of images that ``rule`` lets a catalog see. AI Horde's own models have neither text
    nor prompts.
    """
    return map(Source.of, read_entries(raw, scope, rule))
