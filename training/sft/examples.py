"""Examples: the token ids that a run trains on, made once and kept beside the weights.

    DABENCH/train.jsonl, RAW → pairs with candidates → dialogues of every epoch → token ids

The file names what it was made from, so that a run that goes on reads the same examples in the same order.
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
from diffagent.agent.answering.settings import by_family
from diffagent.agent.asking import reading
from diffagent.agent.choosing.prefilter import Ranker
from diffagent.agent.engines.decode import Vocabulary
from diffagent.data.errors import BadInput
from diffagent.data.records import Card
from diffagent.training.fitting.plain_requests import choices, read_graded, readings
from diffagent.training.fitting.ranker import gather
from diffagent.training.sft.dialogues import Example, converse, in_batches, tokenise
from diffagent.training.sft.listing import Listed, list_held_out, list_train, plain_list, read_rows

if TYPE_CHECKING:
    from diffagent.agent.engines.chat import Chat
    from diffagent.training.sft.recipe import Recipe

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
FILE = "examples.jsonl"


@dataclass(frozen=True)
class Examples:
    """In the order of training, and held out; ``digest`` is of the DABench files, ``letters`` the token ids
    of the candidates' labels."""

    train: list[Example]
    held_out: list[Example]
    digest: str
    letters: tuple[int, ...] = ()


def examples(
    recipe: Recipe,
    dabench: Path,
    raw: Path | None,
    chat: Chat,
    out: Path,
    progress: Progress,
    catalog: Path | None = None,
) -> Examples:
    """Those of ``out``, where they were made for the same recipe and data; else new ones, kept there.

    ``catalog``: where a recipe of the memory form alone finds its models; default: the one that ships.

    Raises:
        BadInput: DABench is missing, or a recipe with candidates is given no crawl.
    """
    from filelock import FileLock

    digest = data_digest(dabench)
    key = _key(recipe, digest, chat, raw is not None)
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / f".{FILE}.lock"):  # several processes of one run wait for the first
        kept = _read(out / FILE, key, digest)
        if kept is None:
            kept = _make(recipe, dabench, raw, chat, digest, progress, catalog)
            _write(kept, out / FILE, key)
    return replace(kept, letters=tuple(Vocabulary(chat).label_ids(LABELS)))


def data_digest(dabench: Path) -> str:
    """SHA-256 over the train and align parts."""
    found = hashlib.sha256()
    for name in ("train", "align"):
        path = dabench / f"{name}.jsonl"
        if not path.is_file():
            raise BadInput(
                f"{dabench} has no {path.name}", "build it with diffagent data build RAW -o DABENCH"
            )
        found.update(path.read_bytes())
    return found.hexdigest()


def _make(
    recipe: Recipe,
    dabench: Path,
    raw: Path | None,
    chat: Chat,
    digest: str,
    progress: Progress,
    catalog: Path | None,
) -> Examples:
    rows = read_rows(dabench / "train.jsonl")
    if recipe.rows is not None:
        drawn = np.random.default_rng([recipe.seed, 2]).permutation(len(rows))[: recipe.rows]
        rows = [rows[i] for i in sorted(drawn)]
    align = read_rows(dabench / "align.jsonl")
    chosen = np.random.default_rng(recipe.seed).permutation(len(align))[: recipe.held_out]
    align = [align[i] for i in sorted(chosen)]
    if recipe.mix.memory < 1:
        cards, train, held_out = _listed(recipe, rows, align, raw, progress)
    else:
        cards = _cards_of(catalog)
        known = {card.air: card for card in cards}
        train, held_out = plain_list(rows, known), plain_list(align, known)
    usual, k, vocabulary = by_family(cards), recipe.listing.k, Vocabulary(chat)
    asked = read_graded() if recipe.readings + recipe.choices else []
    of_air = {card.air: card for card in _cards_of(catalog)} if asked else {}
    made: list[Example] = []
    for epoch in range(recipe.epochs):
        rng = np.random.default_rng([recipe.seed, epoch])
        told = converse(train, usual, recipe.mix, k, rng)
        trained = [one for one in asked if one.split == "train"]
        for _ in range(recipe.readings):
            told += readings(trained)
        for _ in range(recipe.choices):
            told += choices(trained, of_air, rng)
        told = [told[i] for i in rng.permutation(len(told))]
        tokens = [tokenise(one, chat, vocabulary) for one in progress(told, f"dialogues, epoch {epoch + 1}")]
        made += in_batches(tokens, recipe.batch, rng)
    rng = np.random.default_rng([recipe.seed, recipe.epochs])
    told = converse(held_out, usual, recipe.mix, k, rng)
    aligned = [one for one in asked if one.split == "align"][: recipe.held_out // 2]
    told += [*readings(aligned), *choices(aligned, of_air, rng)]
    held = [tokenise(one, chat, vocabulary) for one in told]
    return Examples(made, in_batches(held, recipe.batch, rng), digest)


def _listed(
    recipe: Recipe, rows: Sequence[Any], align: Sequence[Any], raw: Path | None, progress: Progress
) -> tuple[Sequence[Card], list[Listed], list[Listed]]:
    from diffagent.data.catalog.corpus import read_entries
    from diffagent.data.catalog.filters import Scope
    from diffagent.data.encoders.kept_vectors import KeptVectors
    from diffagent.data.encoders.text_encoder import TextEncoder
    from diffagent.data.hubs.raw import RawFolder

    if raw is None:
        raise BadInput(
            f"recipe {recipe.name} trains on candidates, which are found among the prompts of the crawl",
            "pass --raw RAW, the folder that DABENCH was built from",
        )
    encoder = KeptVectors(TextEncoder.load())
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


def _key(recipe: Recipe, digest: str, chat: Chat, with_raw: bool) -> str:
    stored = recipe.to_json()
    data = {name: stored[name] for name in ("mix", "listing", "epochs", "batch", "held_out", "seed")}
    data |= {name: stored[name] for name in ("readings", "choices", "rows")}
    source = hashlib.sha256(chat.source.encode()).hexdigest()
    kept = [one.name for one in fields(Example)]
    asked = answer.SYSTEM, memory.MEMORY_SYSTEM, reading.SYSTEM
    return hashlib.sha256(json.dumps([data, digest, source, with_raw, kept, asked]).encode()).hexdigest()


def _read(path: Path, key: str, digest: str) -> Examples | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8") as lines:
        if json.loads(next(lines, "{}") or "{}").get("key") != key:
            return None
        stored = [json.loads(line) for line in lines]
    kept = {
        part: [
            Example(**{name: value for name, value in one.items() if name != "part"})
            for one in stored
            if one["part"] == part
        ]
        for part in ("train", "held_out")
    }
    return Examples(kept["train"], kept["held_out"], digest)


def _write(made: Examples, path: Path, key: str) -> None:
    """Under a temporary name first, so that a kill leaves no half file."""
    scratch = path.with_suffix(".tmp")
    with scratch.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps({"key": key}) + "\n")
        for part, listed in (("train", made.train), ("held_out", made.held_out)):
            for one in listed:
                stream.write(json.dumps({"part": part, **vars(one)}) + "\n")
    scratch.replace(path)
