"""An invented catalog of models that image APIs can run, calls on them, and what each target carries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffagent.agent.targets import TARGETS
from diffagent.agent.targets.emitting import emit
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.records import Card, Stats, T2ICall
from diffagent.data.samplers import SAMPLING_METHODS, SCHEDULERS, Sampler, split

CARDS = (
    Card("Aurora", "Checkpoint", "SD 1.5", "urn:air:sd1:checkpoint:civitai:11@12", 11, 12,
         sha256="a1" * 32, autov2="a1" * 5, file_name="aurora_v2.safetensors", stats=Stats(downloads=50),
         hashes=("a1" * 32, "a1" * 5), aliases=("Aurora Horde",), description="Aurora, invented."),
    Card("Basalt", "Checkpoint", "SD 1.5", "urn:air:sd1:checkpoint:civitai:21@22", 21, 22,
         sha256="b2" * 32, autov2="b2" * 5, file_name="basalt.safetensors", stats=Stats(downloads=90),
         hashes=("b2" * 32, "b2" * 5), description="Basalt, invented."),
    Card("Ink Fox", "LoRA", "SD 1.5", "urn:air:sd1:lora:civitai:31@32", 31, 32,
         sha256="c3" * 32, autov2="c3" * 5, file_name="ink-fox.safetensors",
         hashes=("c3" * 32, "c3" * 5), trigger_words=("inkfox",), description="Ink Fox, invented."),
    Card("Grand XL", "Checkpoint", "SDXL 1.0", "urn:air:sdxl:checkpoint:civitai:41@42", 41, 42,
         sha256="d4" * 32, autov2="d4" * 5, file_name="sub/grandXL.safetensors",
         hashes=("d4" * 32, "d4" * 5), description="Grand XL, invented."),
    Card("Chalk Owl", "LoRA", "SD 1.5", "urn:air:sd1:lora:civitai:51@52", 51, 52,
         sha256="f6" * 32, autov2="f6" * 5, file_name="sub/chalk_owl.safetensors",
         hashes=("f6" * 32, "f6" * 5), description="Chalk Owl, invented."),
    Card("Pickled", "Checkpoint", "SD 1.5", "urn:air:sd1:checkpoint:horde:Pickled One", sha256="e5" * 32,
         autov2="e5" * 5, file_name="pickled.ckpt", source="horde", hashes=("e5" * 32,)),
)  # fmt: skip

AURORA, BASALT, INK_FOX, GRAND_XL, CHALK_OWL, PICKLED = CARDS


def invented_catalog(path: Path) -> Catalog:
    with Catalog.create(path) as catalog:
        catalog.add(CARDS)
    return Catalog.open(path)


def call_of(
    card: Card,
    base: Card = AURORA,
    sampler: str | Sampler = "DPM++ 2M Karras",
    weight: float = 0.75,
    more: Sequence[tuple[Card, float]] = (),
    **fields: Any,
) -> T2ICall:
    """A call with every field of its base model set, and ``more`` LoRAs behind the first; keyword arguments
    override."""
    lora = card.type == "LoRA"
    method, scheduler = split(sampler) if isinstance(sampler, str) else sampler
    values: dict[str, Any] = {
        "model": card.name,
        "type": card.type,
        "base_model": card.base_model,
        "width": 512,
        "height": 768,
        "sampling_method": method,
        "scheduler": scheduler,
        "sampling_steps": 24,
        "cfg_scale": 6.5,
        "model_description": card.description,
        "prompt": "a fox in the snow",
        "negative_prompt": "blurry, lowres",
        "clip_skip": 2,
        "seed": 7,
        "air": card.air,
        "base_checkpoint": base.air if lora else None,
        "loras": [
            {"model": card_.name, "air": card_.air, "weight": strength, "trigger_words": card_.trigger_words}
            for card_, strength in ([(card, weight), *more] if lora else [])
        ],
    }
    return T2ICall.parse(values | fields)


FIELDS = {
    "model, air": ("air",),
    "LoRAs, their weights": ("loras",),
    "base_checkpoint": ("base_checkpoint",),
    "width, height": ("width", "height"),
    "sampling_method": ("sampling_method",),
    "scheduler": ("scheduler",),
    "sampling_steps": ("sampling_steps",),
    "cfg_scale": ("cfg_scale",),
    "guidance": ("guidance",),
    "prompt": ("prompt",),
    "negative_prompt": ("negative_prompt",),
    "clip_skip": ("clip_skip",),
    "seed": ("seed",),
}


LISTED = (
    *(Sampler(method) for method in SAMPLING_METHODS),
    *(Sampler("DPM++ 2M", scheduler) for scheduler in SCHEDULERS),
)
"""Each sampler without a schedule, and each schedule with one sampler."""


def carried_table(catalog: Catalog) -> str:
    """The table in docs/targets.md: what each target carries of a LoRA call with all its fields, in Markdown.

    "SD 1.x": with those base models alone. "nearest": carried in part of its range, elsewhere
    refused, or replaced with ``--nearest``.
    """
    targets = TARGETS[1:]
    losses, changes, of_sd1 = {}, {}, {}
    for target in targets:
        lora = set(emit(call_of(INK_FOX), target, catalog).not_carried)
        plain = set(emit(call_of(AURORA, prompt="a (fox:1.2)", guidance=3.5), target, catalog).not_carried)
        losses[target] = plain | ({"loras"} if "loras" in lora else set())
        card_names = {GRAND_XL.air: "Grand XL"}
        of_sd1[target] = (
            set(emit(call_of(GRAND_XL), target, catalog, names=card_names).not_carried) - plain - lora
        )
        odd: dict[str, Any] = {"width": 520, "height": 776, "cfg_scale": 25.0}
        strange = [call_of(AURORA, **odd), call_of(INK_FOX, base=BASALT)]
        if "sampling_method" not in plain:
            strange += [call_of(AURORA, sampler=sampler) for sampler in LISTED]
        changes[target] = {
            field for call in strange for field in emit(call, target, catalog, nearest=True).not_carried
        } - lora
    lines = ["| field | " + " | ".join(targets) + " |", "|---" * (len(targets) + 1) + "|"]
    for title, names in FIELDS.items():
        cells = []
        for target in targets:
            lacking, near, sd1 = (fields[target] & set(names) for fields in (losses, changes, of_sd1))
            part = "prompt" in names and lacking
            cells.append(
                "no weights"
                if part
                else "–"
                if lacking
                else "SD 1.x"
                if sd1
                else "nearest"
                if near
                else "yes"
            )
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


USUAL = (
    "Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE",
    "DPM++ 2M SDE", "DPM fast", "DPM adaptive", "DDIM", "PLMS", "UniPC", "LCM", "LMS Karras",
    "DPM2 Karras", "DPM2 a Karras", "DPM++ 2S a Karras", "DPM++ 2M Karras", "DPM++ SDE Karras",
    "DPM++ 2M SDE Karras",
)  # fmt: skip
"""The samplers that most images of a crawl of 2023 are made with."""


def lacking_samplers(catalog: Catalog) -> str:
    """The list in docs/targets.md of usual samplers that targets lack, a line a target."""
    lines = []
    for target in TARGETS[1:]:
        missing = {}
        for sampler in map(split, USUAL):
            near = emit(call_of(AURORA, sampler=sampler), target, catalog, nearest=True).call.sampler
            if near != sampler:
                missing[sampler] = near
        if missing:
            lines.append(f"| {target} | " + ", ".join(f"{a} → {b}" for a, b in missing.items()) + " |")
    return "\n".join(["| target | lacks → `--nearest` |", "|---|---|", *lines])


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        invented = invented_catalog(Path(folder) / "invented.sqlite")
        print(carried_table(invented), lacking_samplers(invented), sep="\n\n")
