"""Listing: each training pair with the candidates that the prefilter offers for its prompt.

In: rows of DABench and the corpus of the crawl that they come from. Out: :class:`ListedPair` pairs. The
catalog never holds a query's image or a near-duplicate: its whole cluster is left out, by the folds of
:mod:`diffagent.training.corpora.train_samples`, so the lists are as poor as those of new prompts. Some
queries lack their negative prompt, some are cut to a few words, as people type in a chat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass

from diffagent.agent.choosing.matching import Matcher, Requirement
from diffagent.agent.choosing.prefilter import Candidate, Ranker
from diffagent.data import json_rows
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.errors import BadInput
from diffagent.data.records import Card
from diffagent.training.corpora.train_samples import Corpus, requirement_of, seen_by, shorten

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
Row = Mapping[str, Any]
Share = Annotated[float, Field(ge=0, le=1)]
STRICT = ConfigDict(extra="forbid")
"""Of the dataclasses that a recipe's file is read into: an unknown key is an error."""


@dataclass(frozen=True)
class ListedPair:
    """A pair: the prompt, the model that the image was made with, its parameters (the row's ``api``), and the
    prefilter's candidates, best first; none where no catalog was searched."""

    prompt: str
    card: Card
    api: Mapping[str, Any]
    candidates: tuple[Candidate, ...] = ()

    @property
    def cards(self) -> list[Card]:
        """The cards of the candidates."""
        return [candidate.card for candidate in self.candidates]


@pydantic_dataclass(frozen=True, config=STRICT)
class ListingConfig:
    """The lists: ``k`` candidates (and one in reserve), and the shares of queries that are cut to a few words
    and that lack their negative prompt."""

    k: Annotated[int, Field(ge=2)] = 16
    short: Share = 0.15
    without_negative: Share = 0.35
    folds: Annotated[int, Field(ge=2)] = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if self.short + self.without_negative > 1:
            raise BadInput(
                f"short is {self.short} and without_negative is {self.without_negative}: "
                "give shares from 0 that come to at most 1"
            )


def read_rows(path: Path) -> list[Row]:
    """The rows of one DABench file.

    Raises:
        BadInput: the file is missing or empty, or a line is not a row; names the line.
    """
    rows = list(json_rows.read_rows(path, _row, "a row of DABench", "give a folder of diffagent data build"))
    if not rows:
        raise BadInput(f"{path} has no rows: build DABench from a larger crawl")
    return rows


def _row(row: Row) -> Row:
    missing = {"instruction", "api", "air"} - set(row)
    if missing:
        raise KeyError(f"no {', '.join(sorted(missing))}")
    return row


def plain_list(rows: Iterable[Row], cards: Mapping[str, Card]) -> list[ListedPair]:
    """Pairs without candidates, for the rows whose AIR is among ``cards``."""
    return [
        ListedPair(row["instruction"]["prompt"], cards[row["air"]], row["api"])
        for row in rows
        if row["air"] in cards
    ]


def list_train(
    rows: Sequence[Row],
    corpus: Corpus,
    ranker: Ranker,
    encoder: Encoder,
    config: ListingConfig,
    progress: Progress,
) -> list[ListedPair]:
    """The rows of the train part with their candidates, in the rows' order, without those whose image is not
    in the corpus (DABench splits by cluster; the corpus holds nine rows in ten).

    Raises:
        BadInput: the crawl has no row's image.
    """
    places = _places(rows, corpus)
    if not places:
        raise BadInput(
            f"none of {len(rows)} rows comes from this crawl: "
            "give the RAW folder that the rows were built from"
        )
    offer_mask = _offered(corpus)
    pairs: dict[int, ListedPair] = {}
    for fold in sorted({int(corpus.cluster_fold[at]) for at in places.values()}):
        matcher = seen_by(corpus, fold)
        queries = [n for n, at in places.items() if corpus.cluster_fold[at] == fold]
        for n in progress(queries, f"candidates, fold {fold + 1} of {config.folds}"):
            rng = np.random.default_rng([config.seed, n])
            text, requirement = _query(corpus, places[n], encoder, config, rng)
            best = _best(corpus, matcher, ranker, requirement, offer_mask, config.k + 1)
            pairs[n] = ListedPair(text, corpus.cards[corpus.model[places[n]]], rows[n]["api"], best)
    return [pairs[n] for n in sorted(pairs)]


def list_held_out(
    rows: Sequence[Row], corpus: Corpus, ranker: Ranker, encoder: Encoder, k: int, progress: Progress
) -> list[ListedPair]:
    """Rows outside the train part with their candidates, against the whole corpus."""
    models = _models(corpus)
    matcher, offer_mask = seen_by(corpus, None), _offered(corpus)
    pairs = []
    for row in progress([row for row in rows if row["air"] in models], "candidates, held out"):
        instruction = row["instruction"]
        requirement = Requirement.of(instruction["prompt"], instruction["negative_prompt"], encoder)
        best = _best(corpus, matcher, ranker, requirement, offer_mask, k + 1)
        pairs.append(ListedPair(instruction["prompt"], corpus.cards[models[row["air"]]], row["api"], best))
    return pairs


def _models(corpus: Corpus) -> dict[str, int]:
    return {card.air: model for model, card in enumerate(corpus.cards)}


def _places(rows: Sequence[Row], corpus: Corpus) -> dict[int, int]:
    """Row → its document in the corpus, for the rows that have one."""
    models = _models(corpus)
    documents = {
        (int(model), *texts): at
        for at, (model, texts) in enumerate(zip(corpus.model, corpus.texts, strict=True))
    }
    keys: Iterator[tuple[int, str, str]] = (
        (models.get(row["air"], -1), row["instruction"]["prompt"], row["instruction"]["negative_prompt"])
        for row in rows
    )
    return {n: documents[key] for n, key in enumerate(keys) if key in documents}


def _query(
    corpus: Corpus, at: int, encoder: Encoder, config: ListingConfig, rng: np.random.Generator
) -> tuple[str, Requirement]:
    text, draw = corpus.texts[at][0], rng.random()
    if draw < config.short:
        text = shorten(text, corpus.cards[corpus.model[at]], rng)
        return text, Requirement.of(text, "", encoder)
    with_negative = draw >= config.short + config.without_negative
    return text, requirement_of(corpus.docs[at], with_negative=with_negative)


def _offered(corpus: Corpus) -> npt.NDArray[np.bool_]:
    """The models that a call may name, which excludes pickles: booleans [M]."""
    return np.array([not card.is_pickle for card in corpus.cards])


def _best(
    corpus: Corpus,
    matcher: Matcher,
    ranker: Ranker,
    requirement: Requirement,
    offer_mask: npt.NDArray[np.bool_],
    count: int,
) -> tuple[Candidate, ...]:
    scores = np.where(offer_mask, ranker(matcher.features(requirement)), -np.inf)
    order = np.argsort(-scores, kind="stable")[:count]
    order = order[np.isfinite(scores[order])]
    return tuple(Candidate(corpus.cards[i], float(scores[i])) for i in order)
