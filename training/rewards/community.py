"""A reward without images: is the model made for this prompt, and does the community like it?

    score = ½ · relevance + ¼ · rating + ¼ · downloads

*relevance*: the best cosine (MiniLM) between the prompt and a sample prompt of the model, or its card's own
words, normalised over the responses that are compared
(:func:`diffagent.training.rewards.unified.normalise`). Sample prompts of the query's own cluster of
near-duplicates do not count, and the others fall into two halves by cluster: what alignment is rewarded
with is not what it is measured with. *rating*: the Bayesian rating
(:func:`diffagent.data.catalog.quality.bayesian_ratings`), *downloads*: their number, each as the share of
entries of the same type and base model that have less.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.splits import cluster_prompts
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.prompts import plain, strip_lora_tags
from diffagent.data.records import Card, T2ICall
from diffagent.training.rewards import Progress
from diffagent.training.rewards.standing import Standing, standings
from diffagent.training.rewards.unified import normalise

Half = Literal["reward", "report"]
Floats = npt.NDArray[np.float64]
WEIGHTS = {"relevance": 0.5, "rating": 0.25, "downloads": 0.25}
BATCH = 256
_CARD = -1
"""The cluster of a card's own words: it is in both halves, and no query's."""


@dataclass(frozen=True)
class Community:
    """A :class:`~diffagent.training.rewards.Reward` over a crawl.

    ``vectors`` float32 [D, d] of all documents with their ``cluster`` and ``half`` (0 reward, 1 report) [D];
    ``rows``: AIR → its documents; ``queries``: prompt → its cluster.
    """

    encoder: Encoder
    vectors: npt.NDArray[np.float32]
    cluster: npt.NDArray[np.int64]
    half: npt.NDArray[np.int64]
    rows: Mapping[str, npt.NDArray[np.int64]]
    standing: Mapping[str, Standing]
    queries: Mapping[str, int]
    side: Half = "reward"
    name: str = "community"

    @classmethod
    def of(
        cls,
        entries: Iterable[Entry],
        encoder: Encoder,
        prompts: Sequence[str],
        progress: Progress,
        side: Half = "reward",
    ) -> Community:
        """Of a crawl's entries; ``prompts`` are all that will be asked about, so that their near-duplicates
        are known."""
        cards: list[Card] = []
        texts: list[str] = []
        owner: list[int] = []
        for number, entry in enumerate(entries):
            cards.append(entry.card)
            said = dict.fromkeys(_bare(sample.prompt) for sample in entry.samples)
            texts += [text for text in said if text]
            owner += [number] * sum(map(bool, said))
        asked = list(dict.fromkeys(prompts))
        labels = cluster_prompts([*texts, *map(_bare, asked)])
        own = labels[: len(texts)]
        whole = [*texts, *(_words(card) for card in cards)]
        batches = [whole[start : start + BATCH] for start in range(0, len(whole), BATCH)]
        vectors = np.concatenate([encoder.encode(batch) for batch in progress(batches, "sample prompts")])
        halves = [zlib.crc32((texts[i] if i < len(texts) else "").encode()) % 2 for i in own.tolist()]
        rows: dict[str, list[int]] = defaultdict(list)
        for place, number in enumerate([*owner, *range(len(cards))]):
            rows[cards[number].air].append(place)
        return cls(
            encoder,
            vectors.astype(np.float32),
            np.concatenate([own, np.full(len(cards), _CARD)]),
            np.array(halves + [0] * len(cards)),
            {air: np.array(places) for air, places in rows.items()},
            standings(cards),
            dict(zip(asked, labels[len(texts) :].tolist(), strict=True)),
            side,
        )

    def measure(self, prompt: str, airs: Sequence[str]) -> dict[str, Floats]:
        """``relevance`` (a cosine), ``rating`` and ``downloads`` (shares) of each model: [n] each.

        A model that the crawl does not know has 0 of everything.
        """
        vector = self.encoder.encode([_bare(prompt)])[0]
        nobody = Standing(0.0, 0.0)
        standing = [self.standing.get(air, nobody) for air in airs]
        return {
            "relevance": np.array([self._relevance(vector, self.queries.get(prompt), air) for air in airs]),
            "rating": np.array([one.rating for one in standing]),
            "downloads": np.array([one.downloads for one in standing]),
        }

    def prepare(self, calls: Sequence[T2ICall], progress: Progress, share: tuple[int, int]) -> None:
        """Nothing: all sample prompts are encoded already."""

    def score(self, prompt: str, calls: Sequence[T2ICall]) -> list[float]:
        found = self.measure(prompt, [call.air for call in calls])
        return [float(value) for value in combined(found)]

    def close(self) -> None:
        """Nothing: its vectors are small and on no GPU."""

    def told(self) -> dict[str, Any]:
        return {"weights": WEIGHTS, "side": self.side, "documents": len(self.vectors)}

    def _relevance(self, vector: npt.NDArray[np.float32], cluster: int | None, air: str) -> float:
        rows = self.rows.get(air)
        if rows is None:
            return 0.0
        card = self.cluster[rows] == _CARD
        mine = self.half[rows] == (0 if self.side == "reward" else 1)
        seen = rows[card | (mine & (self.cluster[rows] != cluster))]
        return float((self.vectors[seen] @ vector).max(initial=0.0))


def combined(measured: Mapping[str, Floats]) -> Floats:
    """The score of each of the models that are compared: [n]."""
    scaled = {**measured, "relevance": normalise(measured["relevance"])}
    found: Floats = sum((weight * scaled[name] for name, weight in WEIGHTS.items()), np.zeros(1))
    return found


def _bare(prompt: str) -> str:
    return " ".join(plain(strip_lora_tags(prompt)).split())


def _words(card: Card) -> str:
    return f"{card.name}: {', '.join(card.tags)}. {card.description}"
