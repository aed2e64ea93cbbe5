"""Listed pairs: other projects' example prompts as instruction–API pairs of base models that a crawl of 2023
lacks.

    flux_loras.json     LoRAs of Flux.1 D with example prompts; their settings are the base model's usual ones
    hosted_t2i.jsonl    hosted models with an example call each

    pairs = read_listed(Path("hub2026"), catalog.cards())
    pairs.rows[0]["source"]    {"list": "hosted_t2i", "name": "owner/flux-dev", "settings": "given",
                                "guidance": 3.5}

A pair must be true (paper, section 3.1), so a list's model must be an entry of the catalog: the base model
itself, a model of that name, or the LoRA of that repository. The prompts are other people's work: they are
read from the user's folder and never shipped.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffagent.data.base_models import BaseModelFacts, find, side_of
from diffagent.data.catalog.splits import NEAR, cluster_prompts
from diffagent.data.dabench.pairs import Row
from diffagent.data.errors import BadInput
from diffagent.data.prompts import is_sfw, plain, strip_lora_tags, strip_trigger_words
from diffagent.data.records import Card, legal_side
from diffagent.data.samplers import join, read

LISTS = ("flux_loras.json", "hosted_t2i.jsonl")
"""The files of a folder that are read, where present."""
SIDE = 1024
"""The least usual side of a base model, in pixels: a crawl has enough pairs of smaller ones."""
REASONS = (
    "model is not in the catalog", "base model is older", "example has an input image", "no prompt",
    "explicit", "nothing left of the prompt", "repeated",
)  # fmt: skip
"""The reasons why an example is not a pair, in the order of the checks."""
_SAMPLERS: Mapping[str, str] = {"dpmsolvermultistep": "DPM++ 2M", "karrasdpm": "DPM++ 2M Karras"}
"""Scheduler names that the table of samplers lacks."""
_IMAGES = re.compile(r"(?:^|_)(?:image|mask|control_image|init_image|edit_image|main_face_image)(?:_\d)?$")
_VERSION = re.compile(r"(?<![\d.])[ _-]?v?\d+(?:\.\d+)*$", re.I)


@dataclass(frozen=True)
class ListedPairs:
    """The pairs' ``rows``, and the number of ``dropped`` examples by list and reason."""

    rows: tuple[Row, ...]
    dropped: Mapping[tuple[str, str], int]

    def stages(self) -> list[dict[str, Any]]:
        """Two stages of a funnel: the examples with their drops, and the pairs."""
        dropped: Counter[str] = Counter()
        for (_, reason), count in self.dropped.items():
            dropped[reason] += count
        reasons = {reason: dropped[reason] for reason in REASONS if dropped[reason]}
        return [
            {"stage": "examples of lists", "count": len(self.rows) + dropped.total(), "dropped": reasons},
            {"stage": "listed pairs", "count": len(self.rows), "dropped": {}},
        ]

    def counts(self) -> dict[str, Any]:
        """Pairs by list and base model, and dropped examples by list and reason."""
        pairs = Counter(f"{row['source']['list']}, {row['api']['base_model']}" for row in self.rows)
        drops = {f"{name}, {reason}": count for (name, reason), count in sorted(self.dropped.items())}
        return {"pairs": dict(sorted(pairs.items())), "left out": drops}


@dataclass
class _Entries:
    """A catalog's entries by their names in lists."""

    cards: Sequence[Card]
    by_repository: dict[str, Card] = field(default_factory=dict)
    by_name: dict[str, Card] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for card in sorted(self.cards, key=lambda card: -card.stats.downloads):
            for alias in (*card.aliases, card.air):
                self.by_repository.setdefault(_key(alias), card)
            if card.type == "Checkpoint":
                self.by_name.setdefault(_key(card.name), card)

    def lora(self, repository: str) -> Card | None:
        """The LoRA of a repository, "owner/name"."""
        card = self.by_repository.get(_key(repository))
        return card if card is not None and card.type == "LoRA" else None

    def checkpoint(self, hosted: str) -> Card | None:
        """The base model of a hosted model's name, or else the model of that name, perhaps in another
        version."""
        row = find(hosted)
        if row is not None:
            cards = (self.by_repository.get(_key(row.repository or "")), self.by_name.get(_key(row.name)))
            return next((card for card in cards if card and card.base_model == row.name), None)
        return self.by_name.get(_key(hosted)) or self.by_name.get(_key(_VERSION.sub("", hosted)))


def read_listed(folder: Path, cards: Sequence[Card]) -> ListedPairs:
    """Reads the pairs of a folder's lists, each with its split.

    Near-duplicate prompts form a cluster that stays on one side: SHA-256 of the cluster's first prompt by its
    letters, modulo 10, is 0 for test, 1 for align, else train.

    Raises:
        BadInput: the folder has none of the lists, or one is malformed.
    """
    paths = [path for name in LISTS if (path := folder / name).is_file()]
    if not paths:
        raise BadInput(f"{folder} has none of {', '.join(LISTS)}: give the folder of the lists")
    entries, drops = _Entries(cards), Counter[tuple[str, str]]()
    rows: list[Row] = []
    prompts: set[tuple[str, str]] = set()
    for path in paths:
        name = path.name.split(".")[0]
        for row in _EXAMPLES[path.name](_read(path), entries):
            reason = row if isinstance(row, str) else _fault(row, prompts)
            if reason is None and not isinstance(row, str):
                prompts.add((row["air"], plain(row["instruction"]["prompt"]).casefold()))
                rows.append(row)
            else:
                drops[name, str(reason)] += 1
    return ListedPairs(tuple(_with_splits(rows)), drops)


def _fault(row: Row, prompts: set[tuple[str, str]]) -> str | None:
    """Returns why a row is not a pair, or None."""
    prompt = row["instruction"]["prompt"]
    if not is_sfw(prompt):
        return "explicit"
    if len(plain(prompt)) <= 2:
        return "nothing left of the prompt"
    return "repeated" if (row["air"], plain(prompt).casefold()) in prompts else None


def _with_splits(rows: Sequence[Row]) -> Iterator[Row]:
    prompts = [row["instruction"]["prompt"] for row in rows]
    labels = cluster_prompts(prompts, NEAR).tolist() if rows else []
    first: dict[int, str] = {}
    for prompt, label in zip(prompts, labels, strict=True):
        first[label] = min(prompt, first.get(label, prompt))
    for row, label in zip(rows, labels, strict=True):
        tenth = int(hashlib.sha256(first[label].encode("utf-8", "replace")).hexdigest(), 16) % 10
        yield {**row, "split": "test" if tenth == 0 else "align" if tenth == 1 else "train"}


def _flux_loras(rows: Iterable[Mapping[str, Any]], entries: _Entries) -> Iterator[Row | str]:
    for row in rows:
        repository = str(row["repo"]).replace("_", "/", 1)
        card = entries.lora(repository)
        for prompt in row["prompts"]:
            yield (
                "model is not in the catalog"
                if card is None
                else _row(card, str(prompt), {}, {"list": "flux_loras", "name": repository})
            )


def _hosted(rows: Iterable[Mapping[str, Any]], entries: _Entries) -> Iterator[Row | str]:
    for row in rows:
        inputs = row.get("example_input") or {}
        card = _of_hosted(row, inputs, entries)
        if card is None:
            yield "model is not in the catalog"
        elif side_of(card.base_model) < SIDE:
            yield "base model is older"
        elif any(value and _IMAGES.search(key) for key, value in inputs.items()):
            yield "example has an input image"
        elif not isinstance(inputs.get("prompt"), str):
            yield "no prompt"
        else:
            usual = {name: field.get("default") for name, field in (row.get("input_defaults") or {}).items()}
            settings = {name: value for name, value in {**usual, **inputs}.items() if value is not None}
            source = {"list": "hosted_t2i", "name": f"{row['owner']}/{row['name']}"}
            yield _row(card, inputs["prompt"], settings, source)


def _of_hosted(row: Mapping[str, Any], inputs: Mapping[str, Any], entries: _Entries) -> Card | None:
    """The entry of a hosted model: the LoRA of its example or of its name, else the checkpoint."""
    repositories = [inputs.get("lora_weights"), inputs.get("hf_lora"), f"{row['owner']}/{row['name']}"]
    lora = next(
        (card for name in repositories if isinstance(name, str) and (card := entries.lora(name))), None
    )
    if lora is not None or any(isinstance(name, str) for name in repositories[:2]):
        return lora
    return entries.checkpoint(str(row["name"]))


def _row(card: Card, prompt: str, settings: Mapping[str, Any], source: Mapping[str, Any]) -> Row:
    row = find(card.base_model)
    assert row is not None
    guided = row.guidance
    scale = _number(settings, "guidance_scale", "guidance", "cfg")
    distilled = guided is not None and guided.kind == "distilled"
    cfg = scale if scale is not None and not distilled and scale >= 1 else _usual_cfg(row)
    width, height = _size(settings, row)
    negative = str(settings.get("negative_prompt") or "") if row.dialect.negative is not False else ""
    return {
        "instruction": {
            "prompt": strip_trigger_words(strip_lora_tags(prompt), card.all_words),
            "negative_prompt": strip_lora_tags(negative),
        },
        "api": {
            "model": card.name,
            "type": card.type,
            "base_model": card.base_model,
            "width": width,
            "height": height,
            "sampling_method": _sampler(settings, row),
            "sampling_steps": int(_number(settings, "num_inference_steps", "steps") or row.steps or 25),
            "cfg_scale": float(cfg),
            "model_description": card.description,
        },
        "air": card.air,
        "source": {
            **source,
            "settings": "given" if settings else "usual",
            "guidance": (scale or (guided.usual if guided else None)) if distilled else None,
        },
    }


def _usual_cfg(row: BaseModelFacts) -> float:
    return row.guidance.usual if row.guidance is not None and row.guidance.kind == "cfg" else 1.0


def _number(settings: Mapping[str, Any], *names: str) -> float | None:
    """The first of the settings that is a number above 0."""
    values = (settings.get(name) for name in names)
    return next((float(number) for number in values if isinstance(number, int | float) and number > 0), None)


def _size(settings: Mapping[str, Any], row: BaseModelFacts) -> tuple[int, int]:
    """The width and height of the settings, or the base model's usual size of their ratio."""
    width, height = (settings.get(name) for name in ("width", "height"))
    match = re.fullmatch(r"(\d+):(\d+)", str(settings.get("aspect_ratio", "")))
    if match is None and isinstance(width, int) and isinstance(height, int):
        return legal_side(width), legal_side(height)
    shapes = row.shapes or ((1024, 1024),)
    if match is None:
        return shapes[0]
    ratio = int(match[1]) / int(match[2])
    return min(shapes, key=lambda size: abs(size[0] / size[1] - ratio))


def _sampler(settings: Mapping[str, Any], row: BaseModelFacts) -> str:
    name = str(settings.get("scheduler") or settings.get("sampler") or "")
    sampler = read(_SAMPLERS.get(name.casefold(), name)) if name else None
    usual = row.samplers[0] if row.samplers else "Euler"
    return usual if sampler is None else join(sampler) or usual


def _key(name: str) -> str:
    return re.sub(r"[^a-z\d/]", "", name.casefold())


def _read(path: Path) -> list[Mapping[str, Any]]:
    """Reads the objects of a JSON list or of JSON lines.

    Raises:
        BadInput: it is neither.
    """
    text = path.read_text("utf-8")
    try:
        rows = json.loads(text) if path.suffix == ".json" else list(map(json.loads, text.splitlines()))
    except ValueError as error:
        raise BadInput(f"{path} is not JSON ({error}): fetch the list again") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadInput(f"{path} is not a list of objects: fetch the list again")
    return rows


_EXAMPLES = {"flux_loras.json": _flux_loras, "hosted_t2i.jsonl": _hosted}
