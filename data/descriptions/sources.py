"""Sources for a model's description: its card, the uploader's text and the visible sample prompts.

    for source in read_sources(RawFolder("RAW"), Scope(), "both"):
        source.card.name, source.about, source.prompts

:mod:`diffagent.data.descriptions.describe` and :mod:`diffagent.data.descriptions.plain_attributes` read
sources to say what a model is for. They are never stored.
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
        """Returns the source of a crawl's entry."""
        prompts = dict.fromkeys(strip_lora_tags(sample.prompt) for sample in entry.samples)
        return cls(entry.card, entry.about, tuple(prompt for prompt in prompts if is_sfw(prompt)))


def read_sources(raw: RawFolder, scope: Scope, rule: Rule) -> Iterator[Source]:
    """Yields a source for every entry of a crawl, in order, in constant memory.

    Prompts are those of images that ``rule`` keeps visible. AI Horde's own models have neither text nor
    prompts.
    """
    return map(Source.of, read_entries(raw, scope, rule))
