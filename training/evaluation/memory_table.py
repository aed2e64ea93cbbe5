"""Table 1 of the paper: hallucination of answers from memory, fine-tuned beside aligned.

In: sets of prompts, of DABench's pairs with the model that each image was made with, and systems. The prompt
stands alone, and the language model answers by its greedy text, without a grammar. Out, of each set and
system: the share of answers that are not callable with a 95 % bootstrap interval over prompts, how many
different models the others name, and of pairs the recall at 1, beside that of an answer that never changes:
the model that most of the set's pairs name.

A system that names the same model each time hallucinates never; so the three figures belong together. LoRA
tags and the true model's trigger words are removed from the prompts of pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from diffagent.agent.answering import memory
from diffagent.agent.asking.enhance import enhance
from diffagent.agent.engines import Engine
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput
from diffagent.data.prompts import strip_lora_tags, strip_trigger_words
from diffagent.training.evaluation.hallucination import AT_ONCE, judge, read_prompts
from diffagent.training.evaluation.image_table import gain
from diffagent.training.evaluation.selection import read_pairs, same_model, sample

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
LONGEST = 160
"""Tokens of an answer; the longest of a catalog of 5,716 models has 144."""


@dataclass(frozen=True)
class Asked:
    """A set of prompts; ``true``: the AIR of the model that each image was made with, none where nobody
    knows."""

    name: str
    prompts: tuple[str, ...]
    true: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """What one system made of a set, a prompt at a time: the model that it names, None where the answer is
    not callable (``flaws`` says why, the first of them), and whether it is the true one."""

    named: tuple[str | None, ...]
    hits: tuple[bool, ...]
    flaws: tuple[str, ...]


def read_asked(path: Path, catalog: Catalog, limit: int | None, seed: int) -> Asked:
    """The prompts of a file, at most ``limit`` drawn at random; of pairs those whose model the catalog has.

    Raises:
        BadInput: the file holds no prompts.
    """
    if not _has_pairs(path):
        return Asked(path.stem, tuple(read_prompts(path, limit, seed)))
    known = {pair.air: card for pair in read_pairs(path) if (card := catalog.by_air(pair.air))}
    texts, true = [], []
    for pair in sample([one for one in read_pairs(path) if one.air in known], limit, seed):
        bare = strip_lora_tags(pair.prompt)
        if text := (strip_trigger_words(bare, known[pair.air].all_words) or bare).strip():
            texts.append(text)
            true.append(pair.air)
    if not texts:
        raise BadInput(f"{path} has no pair whose model this catalog has: give that of the crawl")
    return Asked(path.stem, tuple(texts), tuple(true))


def _has_pairs(path: Path) -> bool:
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    with path.open(encoding="utf-8") as lines:
        return '"air"' in next(lines, "")


def enhanced(asked: Asked, engine: Engine, progress: Progress) -> Asked:
    """The set with enriched prompts, as the paper makes of captions."""
    texts = [enhance(text, engine) for text in progress(asked.prompts, f"enhance {asked.name}")]
    return replace(asked, name=f"{asked.name}, enhanced", prompts=tuple(texts))


def answers(engine: Engine, catalog: Catalog, asked: Asked, progress: Progress) -> Said:
    """One system's answers to a set."""
    named: list[str | None] = []
    flaws = []
    for start in progress(range(0, len(asked.prompts), AT_ONCE), asked.name):
        questions = [memory.question(text) for text in asked.prompts[start : start + AT_ONCE]]
        for text in engine.generate_many(questions, LONGEST, AT_ONCE):
            fields, flaw = judge(text, (), catalog)
            named.append(str(fields["model"]) if flaw is None else None)
            flaws += [] if flaw is None else [flaw]
    cards = [catalog.by_name(name) if name is not None else None for name in named]
    hits = [
        card is not None and same_model(card, catalog.by_air(air))
        for card, air in zip(cards, asked.true, strict=False)
    ]
    return Said(tuple(named), tuple(hits), tuple(flaws[:3]))


def table(found: Mapping[str, Mapping[str, Said]], asked: Sequence[Asked], seed: int = 0) -> dict[str, Any]:
    """Set → system → its row, in percent; ``gain``: the last system less the first, paired over prompts.

    ``found``: set → system → its answers, both in order.
    """
    return {one.name: _set(found[one.name], one, seed) for one in asked}


def _set(systems: Mapping[str, Said], asked: Asked, seed: int) -> dict[str, Any]:
    rows: dict[str, Any] = {"n": len(asked.prompts)}
    if asked.true:
        ((_, most),) = Counter(asked.true).most_common(1)
        rows["most_used"] = {"recall": round(100 * most / len(asked.true), 2)}
    measured = {name: _measures(said) for name, said in systems.items()}
    for name, said in systems.items():
        rows[name] = {part: gain(values, seed) for part, values in measured[name].items()}
        rows[name] |= {"models": len({one for one in said.named if one is not None}), "flaws": [*said.flaws]}
    if len(measured) > 1:
        first, *_, last = measured.values()
        rows["gain"] = {part: gain(last[part] - first[part], seed) for part in first}
    return rows


def _measures(said: Said) -> dict[str, Any]:
    found = {"hallucination": np.array([float(one is None) for one in said.named])}
    return found | ({"recall": np.array(said.hits, float)} if said.hits else {})


def lines(rows: Mapping[str, Any]) -> str:
    """The table as text, a line a set and system."""
    written = []
    for name, row in rows.items():
        most = f"; the most used model {row['most_used']['recall']} %" if "most_used" in row else ""
        written.append(f"{name}, n = {row['n']}{most}")
        for system, said in row.items():
            if system in ("n", "most_used"):
                continue
            parts = [
                f"{part} {said[part]['mean']} % ({said[part]['ci95'][0]} to {said[part]['ci95'][1]})"
                for part in ("hallucination", "recall")
                if part in said
            ]
            parts += [f"{said['models']} models"] if "models" in said else []
            written.append(f"  {system:12} {', '.join(parts)}")
    return "\n".join(written)
