"""The prefilter: ranks a whole catalog for a prompt and returns the best k as candidates.

In: prompt and negative prompt. Out: k :class:`Candidate` with calibrated log-probabilities. A small mixture
of perceptrons ranks the features of :mod:`diffagent.agent.choosing.matching`; it was fitted on the train part
only (``diffagent train prefilter``), each query matched against a catalog without its own image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from diffagent.agent.choosing.fitted import stored_weights
from diffagent.agent.choosing.gathering import CatalogTerms, gather
from diffagent.agent.choosing.kept_index import LARGE, KeptIndex
from diffagent.agent.choosing.likely_media import LikelyMedia
from diffagent.agent.choosing.matching import FEATURES, Matcher, Requirement
from diffagent.agent.choosing.ranking import greatest, log_sum_exp
from diffagent.agent.choosing.suitability import MATCHED, TextMatch
from diffagent.agent.choosing.term_lists import TermIndex
from diffagent.agent.choosing.whitening import WhitenedSpace
from diffagent.data.catalog.catalog import ALL, Filter
from diffagent.data.catalog.specification import KIND, WORDS, Floats, PackedSpecification
from diffagent.data.collecting import uncollected
from diffagent.data.cores import one_numpy_thread
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.errors import BadCatalog, BadInput
from diffagent.data.prompts import strip_lora_tags
from diffagent.data.records import Card

if TYPE_CHECKING:
    from diffagent.data.catalog.catalog import Catalog


CLIP = 4.0
"""Standard deviations at which a feature is clipped: nothing was fitted beyond."""

BLOCK = 1 << 17
"""Models scored per block: one product takes some 50 MB."""


@dataclass(frozen=True)
class Candidate:
    """A model from the prefilter: ``score`` is its log-probability over the allowed catalog."""

    card: Card
    score: float


def including(candidates: Sequence[Candidate], card: Card) -> list[Candidate]:
    """Returns the candidates including a card; a missing one replaces the last, with its score."""
    if any(candidate.card == card for candidate in candidates):
        return list(candidates)
    return [*candidates[:-1], Candidate(card, candidates[-1].score if candidates else 0.0)]


@dataclass(frozen=True)
class Ranker:
    """A mixture of E perceptrons, experts for kinds of queries (whole prompts, a few typed words).

        p(model | query) = Σ_e p(e | query) · softmax over models of expert e's score

    Each has one hidden layer over standardised features: ``mean``, ``scale`` [F]; ``hidden`` [E, F, H],
    ``hidden_bias`` [E, 1, H]; ``out`` [E, H, 1]; ``linear`` [E, F, 1]. The gate tells the kind from
    the greatest value of each feature over the models: ``gate_hidden`` [F, G], ``gate_hidden_bias`` [G],
    ``gate`` [G, E], ``gate_bias`` [E].
    """

    mean: Floats
    scale: Floats
    hidden: Floats
    hidden_bias: Floats
    out: Floats
    linear: Floats
    gate_hidden: Floats
    gate_hidden_bias: Floats
    gate: Floats
    gate_bias: Floats

    def __call__(self, features: Floats) -> Floats:
        """Returns log-probabilities [M] of a catalog's M models from their features [M, F]."""
        if not len(features):
            return np.zeros(0, np.float32)
        highest = features.max(0)
        most = np.clip((highest - self.mean) / self.scale, -CLIP, CLIP)
        kind = np.maximum(most @ self.gate_hidden + self.gate_hidden_bias, 0) @ self.gate + self.gate_bias
        varies = highest > features.min(0)  # constant ones, such as the query's, are computed once
        score = np.concatenate(
            [
                self._scores(features[at : at + BLOCK].T, varies, most)
                for at in range(0, len(features), BLOCK)
            ],
            axis=1,
        )
        logits = _log_softmax(score) + _log_softmax(kind)[:, None]
        most = logits.max(0)
        log_probabilities: Floats = most + np.log(np.exp(logits - most).sum(0))
        return log_probabilities

    @cached_property
    def _stacked(self) -> tuple[Floats, Floats]:
        """The weights of all experts' units and linear parts, for one product: [E·H + E, F]; the units'
        biases, and zeros for the linear parts: [E·H + E]."""
        units = self.hidden.transpose(0, 2, 1).reshape(-1, self.hidden.shape[1])
        weights = np.concatenate([units, self.linear[..., 0]])
        return weights, np.pad(self.hidden_bias.ravel(), (0, len(self.linear)))

    def _scores(self, table: Floats, varies: npt.NDArray[np.bool_], same: Floats) -> Floats:
        """Returns each expert's scores of some models, [E, models].

        Args:
            table: the features of the models, a row each: [F, models].
            varies: whether a feature differs between models: [F].
            same: the standardised values of constant features: [F].
        """
        weights, bias = self._stacked
        constant = bias + weights[:, ~varies] @ same[~varies]
        x = np.ones((np.count_nonzero(varies) + 1, table.shape[1]), np.float32)  # the last for the constant
        standard = x[:-1]
        np.subtract(table[varies], self.mean[varies, None], out=standard)
        standard /= self.scale[varies, None]
        np.clip(standard, -CLIP, CLIP, out=standard)
        both = np.column_stack([weights[:, varies], constant]) @ x
        units, scores = both[: -len(self.out)], both[-len(self.out) :]
        np.maximum(units, 0, out=units)
        for score, out, activation in zip(scores, self.out, np.split(units, len(scores)), strict=True):
            score += out[:, 0] @ activation
        return scores

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Loads an ``.npz`` file; default: the packaged one.

        Raises:
            BadCatalog: the weights were fitted for other features than this version's.
        """
        source = path or Path(str(files("diffagent.agent") / "default" / "ranker.npz"))
        stored = stored_weights(source, FEATURES, "diffagent train prefilter")
        return cls(**{field.name: stored[field.name].astype(np.float32) for field in fields(cls)})

    def save(self, path: Path) -> None:
        np.savez_compressed(
            path, features=np.array(FEATURES), **{k: v.astype(np.float16) for k, v in vars(self).items()}
        )


@dataclass(frozen=True)
class Prefilter:
    """A catalog's cards with their specifications, ready to match."""

    cards: Sequence[Card]
    matcher: Matcher
    ranker: Ranker
    encoder: Encoder

    @classmethod
    def of(cls, catalog: Catalog, encoder: Encoder, ranker: Ranker | None = None) -> Self:
        """Builds from a catalog's entries that answer a request without a base model."""
        cards, matcher = read_matcher(catalog, Filter(among=catalog.unasked))
        return cls(cards, matcher, ranker or Ranker.load(), encoder)

    def require(self, prompt: str, negative: str = "") -> Requirement:
        """Returns the requirement of a prompt, without its LoRA tags."""
        return Requirement.of(strip_lora_tags(prompt), strip_lora_tags(negative), self.encoder)

    def scores(self, requirement: Requirement) -> Floats:
        """Returns logits of every model: float32 [M]."""
        with one_numpy_thread():
            return self.ranker(self.matcher.features(requirement))

    @cached_property
    def likely_media(self) -> LikelyMedia | None:
        """The fit of the likely media; None where it is of another encoder."""
        return LikelyMedia.fitted_with(self.encoder)

    def match(self, prompt: str, negative: str = "") -> TextMatch:
        """Returns what a prompt tells of every model: the suitability's columns of the matcher's features,
        the ranker's log-probabilities from all of them, and the likely media."""
        at = [FEATURES.index(name) for name in MATCHED]
        requirement = self.require(prompt, negative)
        media = self.likely_media
        with one_numpy_thread():
            table = self.matcher.features(requirement)
            likely = media(requirement.embedding) if media else None
            return TextMatch(table[:, at], self.ranker(table), likely)

    def rank(
        self,
        requirement: Requirement,
        k: int = 16,
        allow: npt.NDArray[np.bool_] | None = None,
        evidence: npt.NDArray[np.float64] | None = None,
    ) -> list[Candidate]:
        """Returns the k most probable models among the allowed ones ([M] booleans; default: all).

        ``evidence`` [M]: further log-evidence per model, such as from example images; −inf excludes one.

        Raises:
            BadInput: no model is allowed, or k is below 1.
        """
        if k < 1:
            raise BadInput(f"k is {k}, but at least one candidate is needed: pass -k 1 or more")
        logits = self.scores(requirement).astype(np.float64)
        if evidence is not None:
            logits += evidence
        return best_candidates(self.cards, logits, allow, k)

    def allowing(self, keep: Callable[[Card], bool]) -> npt.NDArray[np.bool_]:
        """Returns the mask of cards that ``keep`` accepts: booleans [M]."""
        return np.fromiter((keep(card) for card in self.cards), bool, len(self.cards))


def best_candidates(
    cards: Sequence[Card],
    logits: npt.NDArray[np.float64],
    allow: npt.NDArray[np.bool_] | None,
    k: int,
) -> list[Candidate]:
    """Returns the k allowed entries with the highest logits [M], with log-probabilities over all allowed.

    Raises:
        BadInput: no entry is allowed.
    """
    logits = logits if allow is None else np.where(allow, logits, -np.inf)
    if not np.isfinite(logits).any():
        raise BadInput(
            "no model of the catalog passes these filters", "loosen --base-model, --type or --commercial"
        )
    order = greatest(logits, k)
    total = log_sum_exp(logits)
    return [Candidate(cards[i], float(logits[i] - total)) for i in order if np.isfinite(logits[i])]


def read_matcher(catalog: Catalog, selection: Filter = ALL) -> tuple[list[Card], Matcher]:
    """Reads the cards and specifications of a catalog, or a selection, ready to match (about 1 s for 5,700
    models).

    Raises:
        BadCatalog: an entry has no specification, or a damaged one.
    """
    entries = catalog.entries(selection)
    cards = [card for _, card in entries]
    gathered, space = _index(catalog, entries, selection)
    matcher = Matcher.from_terms(cards, gathered, space, partial(_words, catalog, selection))
    matcher.warm()
    return cards, matcher


def _index(
    catalog: Catalog, entries: Sequence[tuple[int, Card]], selection: Filter = ALL, large: int = LARGE
) -> tuple[CatalogTerms, WhitenedSpace]:
    """Gathers the entries' specifications; cached where there are very many."""
    index_cache = KeptIndex.of(catalog.path, selection) if len(entries) >= large else None
    if index_cache is not None and (index := index_cache.read()) and len(index[0].count) == len(entries):
        return index
    with uncollected():
        gathered = gather(_specifications(catalog, entries, selection))
    space = WhitenedSpace.of(gathered.vectors)
    if index_cache is not None:
        index_cache.write(gathered, space)
    return gathered, space


def _specifications(
    catalog: Catalog, entries: Sequence[tuple[int, Card]], selection: Filter
) -> Iterator[PackedSpecification]:
    """Yields the entries' specifications, in order.

    Raises:
        BadCatalog: an entry has no specification, or a damaged one.
    """
    stored = catalog.features(KIND, selection)
    entry, blob = next(stored, (-1, b""))
    missing = []
    for number, card in entries:
        while -1 < entry < number:
            entry, blob = next(stored, (-1, b""))
        if entry == number:
            yield PackedSpecification.read(blob)
        else:
            missing.append(card.name)
    if missing:
        raise BadCatalog(
            f"{len(missing)} entries have no text specification (the first: {missing[0]})",
            "build the catalog with diffagent catalog import, or add entries with diffagent catalog add",
        )


def _words(catalog: Catalog, selection: Filter) -> TermIndex:
    """Returns the index of the selected entries' bare words."""
    return gather(
        (PackedSpecification.read(blob) for _, blob in catalog.features(KIND, selection)), WORDS
    ).prompts


def _log_softmax(values: Floats) -> Floats:
    shifted = values - values.max(axis=-1, keepdims=True)
    log_probabilities: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return log_probabilities
