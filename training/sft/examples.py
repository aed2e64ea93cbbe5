"""Examples: the token ids that a run trains on, computed once and stored beside the weights.

    DABENCH/train.jsonl, RAW → pairs with candidates → dialogues of every epoch → token ids

The file has a digest of its sources, so that a resumed run reads the same examples in the same order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diffagent.agent.answering import answer, memory
from diffagent.agent.answering.answer import LABELS
from diffagent.agent.asking import reading
from diffagent.agent.choosing.prefilter import Ranker
from diffagent.agent.engines.decode import Vocabulary
from diffagent.data.catalog.usage import by_family
from diffagent.data.errors import BadInput
from diffagent.data.records import Card
from diffagent.training.corpora.plain_requests import read_graded
from diffagent.training.corpora.train_samples import gather
from diffagent.training.sft.dialogues import TrainingExample, converse, in_batches, tokenise
from diffagent.training.sft.listing import ListedPair, list_held_out, list_train, plain_list, read_rows
from diffagent.training.sft.request_dialogues import choices, readings

if TYPE_CHECKING:
    from diffagent.agent.engines.chat import Chat
    from diffagent.training.sft.recipe import SftRecipe

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
FILE = "examples.jsonl"


@dataclass(frozen=True)
class Examples:
    """The examples in the order of training, and the held-out ones; ``digest`` is that of the DABench files,
    ``letters`` are the token ids of the candidates' labels."""

    train: list[TrainingExample]
    held_out: list[TrainingExample]
    digest: str
    letters: tuple[int, ...] = ()


def examples(
    recipe: SftRecipe,
    dabench: Path,
    raw: Path | None,
    chat: Chat,
    out: Path,
    progress: Progress,
    catalog: Path | None = None,
) -> Examples:
    """The examples in ``out`` where they fit recipe and data; otherwise new ones, which are stored there.

    ``catalog``: the models of a recipe that has only the memory form; default: the catalog that ships.

    Raises:
        BadInput: DABench is missing, or a recipe with candidates lacks a crawl.
    """
    from filelock import FileLock

    digest = data_digest(dabench)
    key = _key(recipe, digest, chat, raw is not None)
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / f".{FILE}.lock"):  # several processes of one run wait for the first
        data = _read_examples(out / FILE, key, digest)
        if data is None:
            data = _make(recipe, dabench, raw, chat, digest, progress, catalog)
            _write_examples(data, out / FILE, key)
    return replace(data, letters=tuple(Vocabulary(chat).label_ids(LABELS)))


def data_digest(dabench: Path) -> str:
    """The SHA-256 of the train and align parts."""
    digest = hashlib.sha256()
    for name in ("train", "align"):
        path = dabench / f"{name}.jsonl"
        if not path.is_file():
            raise BadInput(
                f"{dabench} has no {path.name}", "build it with diffagent data build RAW -o DABENCH"
            )
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _make(
    recipe: SftRecipe,
    dabench: Path,
    raw: Path | None,
    chat: Chat,
    digest: str,
    progress: Progress,
    catalog: Path | None,
) -> Examples:
    rows = read_rows(dabench / "train.jsonl")
    if recipe.rows is not None:
        places = np.random.default_rng([recipe.seed, 2]).permutation(len(rows))[: recipe.rows]
        rows = [rows[i] for i in sorted(places)]
    align = read_rows(dabench / "align.jsonl")
    chosen = np.random.default_rng(recipe.seed).permutation(len(align))[: recipe.held_out]
    align = [align[i] for i in sorted(chosen)]
    if recipe.mix.memory < 1:
        cards, train, held_out = _list_candidates(recipe, rows, align, raw, progress)
    else:
        cards = _cards_of(catalog)
        cards_by_air = {card.air: card for card in cards}
        train, held_out = plain_list(rows, cards_by_air), plain_list(align, cards_by_air)
    usual, k, vocabulary = by_family(cards), recipe.listing.k, Vocabulary(chat)
    requests = read_graded() if recipe.readings + recipe.choices else []
    of_air = {card.air: card for card in _cards_of(catalog)} if requests else {}
    examples_in_order: list[TrainingExample] = []
    for epoch in range(recipe.epochs):
        rng = np.random.default_rng([recipe.seed, epoch])
        dialogues = converse(train, usual, recipe.mix, k, rng)
        train_requests = [request for request in requests if request.split == "train"]
        for _ in range(recipe.readings):
            dialogues += readings(train_requests)
        for _ in range(recipe.choices):
            dialogues += choices(train_requests, of_air, rng)
        dialogues = [dialogues[i] for i in rng.permutation(len(dialogues))]
        tokens = [
            tokenise(dialogue, chat, vocabulary)
            for dialogue in progress(dialogues, f"dialogues, epoch {epoch + 1}")
        ]
        examples_in_order += in_batches(tokens, recipe.batch, rng)
    rng = np.random.default_rng([recipe.seed, recipe.epochs])
    dialogues = converse(held_out, usual, recipe.mix, k, rng)
    align_requests = [request for request in requests if request.split == "align"][: recipe.held_out // 2]
    dialogues += [*readings(align_requests), *choices(align_requests, of_air, rng)]
    held_out_examples = [tokenise(dialogue, chat, vocabulary) for dialogue in dialogues]
    return Examples(examples_in_order, in_batches(held_out_examples, recipe.batch, rng), digest)


def _list_candidates(
    recipe: SftRecipe, rows: Sequence[Any], align: Sequence[Any], raw: Path | None, progress: Progress
) -> tuple[Sequence[Card], list[ListedPair], list[ListedPair]]:
    from diffagent.data.catalog.corpus import read_entries
    from diffagent.data.catalog.filters import Scope
    from diffagent.data.encoders.text_encoder import TextEncoder
    from diffagent.data.encoders.vector_cache import VectorCache
    from diffagent.data.hubs.raw import RawFolder

    if raw is None:
        raise BadInput(
            f"recipe {recipe.name} trains on candidates, which are found among the prompts of the crawl",
            "pass --raw RAW, the folder that DABENCH was built from",
        )
    encoder = VectorCache(TextEncoder.load())
    entries = progress(read_entries(RawFolder(raw), Scope(), "both"), "crawl")
    corpus = gather(entries, encoder, recipe.listing.folds)
    ranker = Ranker.load()
    train = list_train(rows, corpus, ranker, encoder, recipe.listing, progress)
    held_out = list_held_out(align, corpus, ranker, encoder, recipe.listing.k, progress)
    return corpus.cards, train, held_out


def _cards_of(path: Path | None) -> list[Card]:
    from diffagent.data.catalog.catalog import Catalog

    with Catalog.open(path) if path else Catalog.open() as catalog:
        return [card for _, card in catalog.entries()]


def _key(recipe: SftRecipe, digest: str, chat: Chat, with_raw: bool) -> str:
    stored = recipe.to_json()
    data = {name: stored[name] for name in ("mix", "listing", "epochs", "batch", "held_out", "seed")}
    data |= {name: stored[name] for name in ("readings", "choices", "rows")}
    source = hashlib.sha256(chat.source.encode()).hexdigest()
    columns = [column.name for column in fields(TrainingExample)]
    systems = answer.SYSTEM, memory.MEMORY_SYSTEM, reading.SYSTEM
    return hashlib.sha256(json.dumps([data, digest, source, with_raw, columns, systems]).encode()).hexdigest()


def _read_examples(path: Path, key: str, digest: str) -> Examples | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8") as lines:
        if json.loads(next(lines, "{}") or "{}").get("key") != key:
            return None
        stored = [json.loads(line) for line in lines]
    parts = {
        part: [
            TrainingExample(**{name: value for name, value in row.items() if name != "part"})
            for row in stored
            if row["part"] == part
        ]
        for part in ("train", "held_out")
    }
    return Examples(parts["train"], parts["held_out"], digest)


def _write_examples(data: Examples, path: Path, key: str) -> None:
    """Writes under a temporary name first, so that a kill leaves no partial file."""
    scratch = path.with_suffix(".tmp")
    with scratch.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps({"key": key}) + "\n")
        for part, part_examples in (("train", data.train), ("held_out", data.held_out)):
            for example in part_examples:
                stream.write(json.dumps({"part": part, **vars(example)}) + "\n")
    scratch.replace(path)
