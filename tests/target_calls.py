"""An invented catalog of models that image APIs can run, calls on them, and what each target carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffagent.agent.targets import TARGETS, emit
from diffagent.data.catalog import Catalog
from diffagent.data.records import SAMPLERS, Card, Stats, T2ICall

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
    Card("Pickled", "Checkpoint", "SD 1.5", "urn:air:sd1:checkpoint:horde:Pickled One", sha256="e5" * 32,
         autov2="e5" * 5, file_name="pickled.ckpt", source="horde", hashes=("e5" * 32,)),
)  # fmt: skip

AURORA, BASALT, INK_FOX, GRAND_XL, PICKLED = CARDS


def invented_catalog(path: Path) -> Catalog:
    with Catalog.create(path) as catalog:
        catalog.add(CARDS)
    return Catalog.open(path)


def call_of(card: Card, base: Card = AURORA, **fields: Any) -> T2ICall:
    """A call with every field set; keyword arguments override."""
    lora = card.type == "LoRA"
    values: dict[str, Any] = {
        "model": card.name,
        "type": card.type,
        "base_model": card.base_model,
        "width": 512,
        "height": 768,
        "sampling_method": "DPM++ 2M Karras",
        "sampling_steps": 24,
        "cfg_scale": 6.5,
        "model_description": card.description,
        "prompt": "a fox in the snow",
        "negative_prompt": "blurry, lowres",
        "clip_skip": 2,
        "seed": 7,
        "air": card.air,
        "base_checkpoint": base.air if lora else None,
        "lora_weight": 0.75 if lora else None,
    }
    return T2ICall.parse(values | fields)


FIELDS = {
    "model, air": ("air",),
    "LoRA, its weight": ("lora_weight",),
    "base_checkpoint": ("base_checkpoint",),
    "width, height": ("width", "height"),
    "sampling_method": ("sampling_method",),
    "sampling_steps": ("sampling_steps",),
    "cfg_scale": ("cfg_scale",),
    "prompt": ("prompt",),
    "negative_prompt": ("negative_prompt",),
    "clip_skip": ("clip_skip",),
    "seed": ("seed",),
}


def carried_table(catalog: Catalog) -> str:
    """The README's table: what each target carries of a LoRA call with all its fields, in Markdown.

    "SD 1.x": with those base models alone. "nearest": carried in part of its range, elsewhere
    refused, or replaced with ``--nearest``.
    """
    targets = TARGETS[1:]
    lost, bent, of_sd1 = {}, {}, {}
    for target in targets:
        lora = set(emit(call_of(INK_FOX), target, catalog).not_carried)
        plain = set(emit(call_of(AURORA, prompt="a (fox:1.2)"), target, catalog).not_carried)
        lost[target] = plain | ({"lora_weight"} if "lora_weight" in lora else set())
        named = {GRAND_XL.air: "Grand XL"}
        of_sd1[target] = set(emit(call_of(GRAND_XL), target, catalog, names=named).not_carried) - plain - lora
        odd = {"width": 520, "height": 776, "cfg_scale": 25.0}
        strange = [call_of(AURORA, **odd), call_of(INK_FOX, base=BASALT)]
        if "sampling_method" not in plain:
            strange += [call_of(AURORA, sampling_method=name) for name in SAMPLERS]
        bent[target] = {
            field for call in strange for field in emit(call, target, catalog, nearest=True).not_carried
        } - lora
    lines = ["| field | " + " | ".join(targets) + " |", "|---" * (len(targets) + 1) + "|"]
    for title, names in FIELDS.items():
        cells = []
        for target in targets:
            gone, near, sd1 = (fields[target] & set(names) for fields in (lost, bent, of_sd1))
            part = "prompt" in names and gone
            cells.append(
                "no weights" if part else "–" if gone else "SD 1.x" if sd1 else "nearest" if near else "yes"
            )
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def lacking_samplers(catalog: Catalog) -> str:
    """The README's list of samplers that targets lack, a line a target."""
    lines = []
    for target in TARGETS[1:]:
        missing = {}
        for name in SAMPLERS:
            emitted = emit(call_of(AURORA, sampling_method=name), target, catalog, nearest=True)
            reason = emitted.reasons.get("sampling_method", "")
            if " in place of " in reason:
                missing[name] = reason.split(" in place of ")[0]
        if missing:
            lines.append(f"| {target} | " + ", ".join(f"{a} → {b}" for a, b in missing.items()) + " |")
    return "\n".join(["| target | lacks → `--nearest` |", "|---|---|", *lines])


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        invented = invented_catalog(Path(folder) / "invented.sqlite")
        print(carried_table(invented), lacking_samplers(invented), sep="\n\n")
