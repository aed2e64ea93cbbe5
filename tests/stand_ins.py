"""Small real stand-ins: an encoder of hashed words, an engine that scores by a rule, an invented catalog."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from diffagent.agent.choosing.matching import FEATURES
from diffagent.agent.choosing.prefilter import Ranker
from diffagent.agent.choosing.suitability import FEATURES as SUITING
from diffagent.agent.choosing.suitability import Suitability
from diffagent.agent.engines import Choice, Prompt, Writing
from diffagent.agent.engines.grammar import Grammar
from diffagent.agent.pmi.identifier import Identification
from diffagent.data.attributes import Attributes
from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.descriptions.card_features import PLACES, TEXTS
from diffagent.data.descriptions.plain_reader import HEADS, INDEPENDENT, PlainReader
from diffagent.data.errors import EngineError
from diffagent.data.records import Card, Licence, Sample, Stats, Usage


def quiet(items: Iterable[Any], label: str) -> Iterable[Any]:
    """A progress bar that shows nothing."""
    return items


class WordEncoder:
    """Texts → unit vectors: each word adds a fixed pseudo-random direction; shared words mean closeness."""

    digest = "words"
    size = 64

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = [sum((_direction(w) for w in text.casefold().split()), np.full(64, 1e-3)) for text in texts]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


def _direction(word: str) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(word.encode("utf-8", "replace"))).normal(size=64)


@dataclass
class RuleEngine:
    """An engine whose "model" is a rule: the log-probability of a letter, and of a slot's option."""

    prefer: Callable[[str], float] = lambda label: 0.0
    like: Callable[[str, str], float] = lambda slot, option: 0.0
    asked: list[Prompt] = field(default_factory=list)
    digest: str = "0" * 64

    def choose(self, prompt: Prompt, options: Sequence[str], draft: str = "") -> list[float]:
        self.asked.append(prompt)
        scores = np.array([self.prefer(option) for option in options], float)
        return list(scores - np.logaddexp.reduce(scores))

    def write(self, prompt: Prompt, grammar: Grammar, draft: str = "") -> str:
        choice = {}
        for slot in grammar.slots:
            scores = [
                grammar.llm_weight * self.like(slot.name, option) + prior
                for option, prior in zip(slot.options, slot.log_priors, strict=True)
            ]
            choice[slot.name] = slot.options[int(np.argmax(scores))]
        return grammar.render(choice)

    def generate(self, prompt: Prompt, max_new_tokens: int) -> str:
        return "A"

    def generate_many(self, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int = 8) -> list[str]:
        return ["A" for _ in prompts]


@dataclass
class Batches(RuleEngine):
    """Answers by a rule, in batches; notes how many it is asked at once, and 0 when it forgets."""

    digest: str = "0" * 64
    batch_size: int = 3
    sizes: list[int] = field(default_factory=list)

    def choose_many(self, choices: Sequence[Choice]) -> list[list[float] | EngineError]:
        self.sizes.append(len(choices))
        return [self.choose(choice.prompt, choice.options) for choice in choices]

    def write_many(self, writings: Sequence[Writing]) -> list[str | EngineError]:
        return [self.write(writing.prompt, writing.grammar) for writing in writings]

    def forget(self) -> None:
        self.sizes.append(0)


class ByteIdentifier:
    """Names a model that the catalog lacks, then the catalog's, beginning where the images' bytes are counted
    to; each is ``ratio`` times as probable as the one before."""

    def __init__(self, catalog: Catalog, ratio: float = 0.5) -> None:
        self.airs = [card.air for card in catalog.cards()]
        self.ratio = ratio

    def identify(self, images: Sequence[bytes]) -> Identification:
        start = sum(map(len, images)) % len(self.airs)
        airs = ("urn:air:sd1:checkpoint:civitai:999@1000", *self.airs[start:], *self.airs[:start])
        return Identification(airs, np.log(self.ratio) * np.arange(1, len(airs) + 1))


def invented(number: int, name: str, prompts: Sequence[str], **facts: object) -> Entry:
    """A catalog entry of invented facts with a sample for each prompt."""
    kind = str(facts.pop("type", "Checkpoint"))
    base = str(facts.pop("base_model", "SD 1.5"))
    system = "sdxl" if base.startswith("SDXL") else "sd1"
    card = Card(
        name=name,
        type=kind,  # type: ignore[arg-type]
        base_model=base,
        air=f"urn:air:{system}:{kind.casefold()}:civitai:{number}@{number + 1}",
        model_id=number,
        version_id=number + 1,
        file_name=str(facts.pop("file_name", f"{number}.safetensors")),
        description=f"{name}, invented.",
        **{"stats": Stats(downloads=number), **facts},  # type: ignore[arg-type]
    )
    samples = [Sample(number * 100 + i, number + 1, prompt) for i, prompt in enumerate(prompts)]
    return Entry(card, tuple(samples))


ENTRIES = (
    invented(
        11,
        "Tiny Pixels",
        ["pixel art, a small fox", "pixel art castle, 8 bit sprite"],
        tags=("pixel art", "retro"),
        usage=Usage({"Euler a": 9, "DDIM": 1}, {20: 9, 35: 1}, {7.0: 9}, {"512x512": 9, "512x768": 1}),
        licence=Licence(commercial="Sell"),
    ),
    invented(
        22,
        'Oil "Masters" {v2}',
        ["an oil painting of a harbour", "oil painting, stormy sea"],
        tags=("painting",),
        usage=Usage({"DPM++ 2M Karras": 5}, {30: 5}, {6.5: 5}, {"768x512": 5}, {2: 4}),
    ),
    invented(
        33,
        "Ink Fox Style",
        ["ink drawing of a fox, monochrome"],
        type="LoRA",
        tags=("ink", "style"),
        trigger_words=("inkfox",),
        usage=Usage(
            {"DDIM": 3},
            {25: 3},
            {8.0: 3},
            {"512x512": 3},
            checkpoints={"urn:air:sd1:checkpoint:civitai:22@23": 4},
            lora_weight={0.7: 3, 1.0: 1},
        ),
    ),
    invented(44, "Grand XL", ["photo of a mountain lake"], base_model="SDXL 1.0", tags=("photo",)),
    invented(55, "Old Pickle", ["pixel art dragon"], file_name="old.ckpt", tags=("pixel art",)),
)


PURPOSES: tuple[dict[str, Any], ...] = (
    {"role": "style", "media": ["pixel art"], "subjects": ["pixel art scenes"], "breadth": "broad"},
    {"role": "general", "media": ["oil painting"], "subjects": ["harbours"], "breadth": "broad"},
    {"role": "style", "media": ["ink"], "subjects": ["ink", "foxes"], "needed": ["inkfox"]},
    {"role": "general", "media": ["photo"], "subjects": ["landscapes"], "breadth": "broad", "renown": 3},
    {"role": "style", "media": ["pixel art"], "subjects": ["dragons"]},
)
"""What each of :data:`ENTRIES` is for."""


def read_entries() -> list[Entry]:
    """:data:`ENTRIES` as a person has read them."""
    return [
        entry._replace(card=replace(entry.card, attributes=Attributes.parse(purpose)))
        for entry, purpose in zip(ENTRIES, PURPOSES, strict=True)
    ]


def plain_suitability(**weights: float) -> Suitability:
    """Linear in the named features alone; by default in medium and evidence."""
    linear = np.zeros(len(SUITING))
    for name, weight in (weights or {"kin": 4.0, "evidence": 2.0}).items():
        linear[SUITING.index(name)] = weight
    none = np.zeros(len(SUITING))
    return Suitability(none, none + 1, linear, none[:, None], np.zeros(1), np.zeros(1))


def plain_ranker() -> Ranker:
    """Scores by the joint evidence and the card's words alone."""
    size = len(FEATURES)
    linear = np.zeros(size, np.float32)
    for name, weight in (("joint", 4.0), ("tags", 2.0), ("name", 2.0)):
        linear[FEATURES.index(name)] = weight

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.float32)

    return Ranker(
        mean=zeros(size),
        scale=zeros(size) + 1,
        hidden=zeros(1, size, 1),
        hidden_bias=zeros(1, 1, 1),
        out=zeros(1, 1, 1),
        linear=linear[None, :, None],
        gate_hidden=zeros(size, 1),
        gate_hidden_bias=zeros(1),
        gate=zeros(1, 1),
        gate_bias=zeros(1),
    )


def unsure_reader() -> PlainReader:
    """For :class:`WordEncoder`'s vectors: every value of an attribute is as probable, a caution is not."""
    width, numbers = sum(map(len, HEADS.values())), 8
    bias, start = np.zeros(width, np.float32), 0
    for name, classes in HEADS.items():
        bias[start : start + len(classes)] = -5 if name in INDEPENDENT else 0
        start += len(classes)
    return PlainReader(
        hashes=np.zeros(0, np.uint32),
        words=np.zeros((0, width), np.float32),
        dense=np.zeros((TEXTS * WordEncoder.size + numbers, width), np.float32),
        bias=bias,
        shared=np.zeros((2, PLACES), np.float32),
    )
