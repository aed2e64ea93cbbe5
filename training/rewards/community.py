"""Rewards, without images, a model that is made for the prompt and that the community likes.

    score = ½ · relevance + ¼ · rating + ¼ · downloads

*relevance*: the best cosine (MiniLM) between the prompt and a sample prompt of the model, or its card's text,
normalised over the compared responses (:func:`diffagent.training.rewards.unified.normalise`). Sample prompts
in the query's cluster of near-duplicates are excluded, and the others fall into two halves by cluster, one
for the reward of alignment, one for its measurement. *rating*: the Bayesian rating
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
from diffagent.training.rewards.standing import PeerStanding, standings
from diffagent.training.rewards.unified import normalise

Half = Literal["reward", "report"]
Floats = npt.NDArray[np.float64]
WEIGHTS = {"relevance": 0.5, "rating": 0.25, "downloads": 0.25}
BATCH = 256
_CARD = -1
"""The cluster of a card's text, which is in both halves and belongs to no query."""


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
    standing: Mapping[str, PeerStanding]
    queries: Mapping[str, int]
    side: Half = "reward"
    name: str = "community"

    @classmethod
    def from_entries(
        cls,
        entries: Iterable[Entry],
        encoder: Encoder,
        prompts: Sequence[str],
        progress: Progress,
        side: Half = "reward",
    ) -> Community:
        """The reward of a crawl's entries; ``prompts`` are all queries, so that their near-duplicates are
        known."""
        cards: list[Card] = []
        texts: list[str] = []
        owner: list[int] = []
        for number, entry in enumerate(entries):
            cards.append(entry.card)
            bare_prompts = dict.fromkeys(_bare(sample.prompt) for sample in entry.samples)
            texts += [text for text in bare_prompts if text]
            owner += [number] * sum(map(bool, bare_prompts))
        queries = list(dict.fromkeys(prompts))
        labels = cluster_prompts([*texts, *map(_bare, queries)])
        clusters = labels[: len(texts)]
        whole = [*texts, *(_words(card) for card in cards)]
        batches = [whole[start : start + BATCH] for start in range(0, len(whole), BATCH)]
        vectors = np.concatenate([encoder.encode(batch) for batch in progress(batches, "sample prompts")])
        halves = [zlib.crc32((texts[i] if i < len(texts) else "").encode()) % 2 for i in clusters.tolist()]
        rows: dict[str, list[int]] = defaultdict(list)
        for place, number in enumerate([*owner, *range(len(cards))]):
            rows[cards[number].air].append(place)
        return cls(
            encoder,
            vectors.astype(np.float32),
            np.concatenate([clusters, np.full(len(cards), _CARD)]),
            np.array(halves + [0] * len(cards)),
            {air: np.array(places) for air, places in rows.items()},
            standings(cards),
            dict(zip(queries, labels[len(texts) :].tolist(), strict=True)),
            side,
        )

    def measure(self, prompt: str, airs: Sequence[str]) -> dict[str, Floats]:
        """``relevance`` (a cosine), ``rating`` and ``downloads`` (shares) of each model: [n] each.

        A model that the crawl does not know has 0 of everything.
        """
        vector = self.encoder.encode([_bare(prompt)])[0]
        nobody = PeerStanding(0.0, 0.0)
        standing = [self.standing.get(air, nobody) for air in airs]
        return {
            "relevance": np.array([self._relevance(vector, self.queries.get(prompt), air) for air in airs]),
            "rating": np.array([peer.rating for peer in standing]),
            "downloads": np.array([peer.downloads for peer in standing]),
        }

    def prepare(self, calls: Sequence[T2ICall], progress: Progress, share: tuple[int, int]) -> None:
        """Does nothing: all sample prompts are encoded already."""

    def score(self, prompt: str, calls: Sequence[T2ICall]) -> list[float]:
        measures = self.measure(prompt, [call.air for call in calls])
        return [float(value) for value in combine(measures)]

    def close(self) -> None:
        """Does nothing: the vectors are small and on no GPU."""

    def report(self) -> dict[str, Any]:
        return {"weights": WEIGHTS, "side": self.side, "documents": len(self.vectors)}

    def _relevance(self, vector: npt.NDArray[np.float32], cluster: int | None, air: str) -> float:
        rows = self.rows.get(air)
        if rows is None:
            return 0.0
        card = self.cluster[rows] == _CARD
        in_half = self.half[rows] == (0 if self.side == "reward" else 1)
        visible = rows[card | (in_half & (self.cluster[rows] != cluster))]
        return float((self.vectors[visible] @ vector).max(initial=0.0))


def combine(measured: Mapping[str, Floats]) -> Floats:
    """The scores of the compared models: [n]."""
    scaled = {**measured, "relevance": normalise(measured["relevance"])}
    scores: Floats = sum((weight * scaled[name] for name, weight in WEIGHTS.items()), np.zeros(1))
    return scores


def _bare(prompt: str) -> str:
    return " ".join(plain(strip_lora_tags(prompt)).split())


def _words(card: Card) -> str:
    return f"{card.name}: {', '.join(card.tags)}. {card.description}"
