"""Table 1 of the paper: hallucination of answers from memory, fine-tuned beside aligned.

In: sets of prompts, for DABench's pairs with the model that each image was made with, and systems. The
question is the prompt alone, and the answer is the language model's greedy text, without a grammar. Out, for
each set and system: the share of answers that are not callable with a 95 % bootstrap interval over prompts,
the number of different models in the others, and for pairs the recall at 1, beside that of a constant
answer, the most frequent model of the set.

A system that always names the same model never hallucinates, so the three figures belong together. LoRA tags
and the true model's trigger words are removed from the prompts of pairs.
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
from diffagent.training.corpora.held_out_pairs import read_pairs, sample
from diffagent.training.evaluation.hallucination import AT_ONCE, judge, read_prompts
from diffagent.training.evaluation.image_table import gain
from diffagent.training.evaluation.selection import same_model

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
LONGEST = 160
"""The limit of an answer in tokens; the longest in a catalog of 5,716 models has 144."""


@dataclass(frozen=True)
class PromptSet:
    """A set of prompts; ``true``: the AIR of the model that each image was made with, empty where it is
    unknown."""

    name: str
    prompts: tuple[str, ...]
    true: tuple[str, ...] = ()


@dataclass(frozen=True)
class MemoryAnswers:
    """A system's answers to a set, by prompt: the name of the model, None where the answer is not callable
    (``flaws`` has the first reasons), and whether it is the true one."""

    names: tuple[str | None, ...]
    hits: tuple[bool, ...]
    flaws: tuple[str, ...]


def read_prompt_set(path: Path, catalog: Catalog, limit: int | None, seed: int) -> PromptSet:
    """The prompts of a file, at most ``limit`` drawn at random; pairs need a model of the catalog.

    Raises:
        BadInput: the file has no prompts.
    """
    if not _has_pairs(path):
        return PromptSet(path.stem, tuple(read_prompts(path, limit, seed)))
    cards = {pair.air: card for pair in read_pairs(path) if (card := catalog.by_air(pair.air))}
    texts, true = [], []
    for pair in sample([row for row in read_pairs(path) if row.air in cards], limit, seed):
        bare = strip_lora_tags(pair.prompt)
        if text := (strip_trigger_words(bare, cards[pair.air].all_words) or bare).strip():
            texts.append(text)
            true.append(pair.air)
    if not texts:
        raise BadInput(f"{path} has no pair whose model this catalog has: give that of the crawl")
    return PromptSet(path.stem, tuple(texts), tuple(true))


def _has_pairs(path: Path) -> bool:
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    with path.open(encoding="utf-8") as lines:
        return '"air"' in next(lines, "")


def enhance_set(prompt_set: PromptSet, engine: Engine, progress: Progress) -> PromptSet:
    """The set with enriched prompts, as the paper does with captions."""
    texts = [enhance(text, engine) for text in progress(prompt_set.prompts, f"enhance {prompt_set.name}")]
    return replace(prompt_set, name=f"{prompt_set.name}, enhanced", prompts=tuple(texts))


def answers(engine: Engine, catalog: Catalog, prompt_set: PromptSet, progress: Progress) -> MemoryAnswers:
    """A system's answers to a set."""
    names: list[str | None] = []
    flaws = []
    for start in progress(range(0, len(prompt_set.prompts), AT_ONCE), prompt_set.name):
        questions = [memory.question(text) for text in prompt_set.prompts[start : start + AT_ONCE]]
        for text in engine.generate_many(questions, LONGEST, AT_ONCE):
            fields, flaw = judge(text, (), catalog)
            names.append(str(fields["model"]) if flaw is None else None)
            flaws += [] if flaw is None else [flaw]
    cards = [catalog.by_name(name) if name is not None else None for name in names]
    hits = [
        card is not None and same_model(card, catalog.by_air(air))
        for card, air in zip(cards, prompt_set.true, strict=False)
    ]
    return MemoryAnswers(tuple(names), tuple(hits), tuple(flaws[:3]))


def table(
    answers_by_set: Mapping[str, Mapping[str, MemoryAnswers]], prompt_sets: Sequence[PromptSet], seed: int = 0
) -> dict[str, Any]:
    """Set → system → its row, in percent; ``gain``: the last system less the first, paired over prompts.

    ``answers_by_set``: set → system → its answers, both in order.
    """
    return {
        prompt_set.name: _set(answers_by_set[prompt_set.name], prompt_set, seed) for prompt_set in prompt_sets
    }


def _set(systems: Mapping[str, MemoryAnswers], prompt_set: PromptSet, seed: int) -> dict[str, Any]:
    rows: dict[str, Any] = {"n": len(prompt_set.prompts)}
    if prompt_set.true:
        ((_, most),) = Counter(prompt_set.true).most_common(1)
        rows["most_used"] = {"recall": round(100 * most / len(prompt_set.true), 2)}
    measures_by_system = {name: _measures(set_answers) for name, set_answers in systems.items()}
    for name, set_answers in systems.items():
        rows[name] = {part: gain(values, seed) for part, values in measures_by_system[name].items()}
        rows[name] |= {
            "models": len({model for model in set_answers.names if model is not None}),
            "flaws": [*set_answers.flaws],
        }
    if len(measures_by_system) > 1:
        first, *_, last = measures_by_system.values()
        rows["gain"] = {part: gain(last[part] - first[part], seed) for part in first}
    return rows


def _measures(set_answers: MemoryAnswers) -> dict[str, Any]:
    measures = {"hallucination": np.array([float(name is None) for name in set_answers.names])}
    return measures | ({"recall": np.array(set_answers.hits, float)} if set_answers.hits else {})


def lines(rows: Mapping[str, Any]) -> str:
    """The table as text, a line for each set and system."""
    text_lines = []
    for name, row in rows.items():
        most = f"; the most used model {row['most_used']['recall']} %" if "most_used" in row else ""
        text_lines.append(f"{name}, n = {row['n']}{most}")
        for system, figures in row.items():
            if system in ("n", "most_used"):
                continue
            parts = [
                f"{part} {figures[part]['mean']} % ({figures[part]['ci95'][0]} to {figures[part]['ci95'][1]})"
                for part in ("hallucination", "recall")
                if part in figures
            ]
            parts += [f"{figures['models']} models"] if "models" in figures else []
            text_lines.append(f"  {system:12} {', '.join(parts)}")
    return "\n".join(text_lines)
