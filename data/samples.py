"""Sample images of a model item → :class:`~diffagent.data.records.Sample`, normalised.

In: an item of Civitai's models listing whose ``modelVersions[].images[]`` carry ``meta`` (A1111's
"generation data" as Civitai parses it). Out: one Sample per SFW image with a prompt. Numbers may come as
text, and what is missing or out of range is None, never a guess.

    {"prompt": "a fox, <lora:ink:0.8>", "Size": "512x768", "sampler": "DPM++ 2M Karras", "cfgScale": 7, …}
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from typing import Any

from diffagent.data import samplers
from diffagent.data.prompts import NETWORK_TAG, is_sfw, strip_lora_tags
from diffagent.data.records import SIDE_MIN, SIDE_STEP, LoraUse, Sample

Meta = Mapping[str, Any]

GENERATED_MAX = 2048
"""Pixels; a longer side is of an upscaled image, whose size as generated nothing tells."""
IMAGE_REASONS = ("nsfw image", "no generation data", "no prompt", "explicit words")
"""Why an image is no sample, in the order they are checked."""

_NUMBER = re.compile(r"\s*([-+]?\d{1,20}(?:\.\d{0,20})?)")
_SIZE = re.compile(r"\s*(\d{1,6})\s*[xX×]\s*(\d{1,6})")
_HEX = re.compile(r"[0-9a-f]{8,64}")
_ADDNET = re.compile(r"(.+?)\(([0-9a-fA-F]{8,64})\)\s*")
_UPSCALERS = ("Ultimate SD upscale", "SD upscale")
_HIRES = ("Hires upscale", "Hires resize", "Hires upscaler", "Hires steps", "First pass size")


def samples(
    item: Mapping[str, Any], versions: Container[int] | None = None, dropped: Counter[str] | None = None
) -> Iterator[Sample]:
    """Every SFW image of the item that carries a prompt, versions and images in the item's order.

    Args:
        item: a model of the listing.
        versions: the ids of the versions whose images are wanted; None: of all.
        dropped: counts the images that are no sample, by reason.
    """
    for version in item.get("modelVersions") or ():
        if versions is not None and version["id"] not in versions:
            continue
        for image in version.get("images") or ():
            found = judge_image(image, version["id"])
            if isinstance(found, Sample):
                yield found
            elif dropped is not None:
                dropped[found] += 1


def sample(image: Mapping[str, Any], version_id: int) -> Sample | None:
    """One image's Sample; None without an id or a prompt, or where the image or its prompt is not SFW."""
    found = judge_image(image, version_id)
    return found if isinstance(found, Sample) else None


def judge_image(image: Mapping[str, Any], version_id: int) -> Sample | str:
    """One image's Sample, or which of :data:`IMAGE_REASONS` keeps it from being one."""
    if not _image_is_sfw(image):
        return "nsfw image"
    meta = image.get("meta")
    if isinstance(meta, dict) and "prompt" not in meta and isinstance(meta.get("meta"), dict):
        meta = meta["meta"]
    if not isinstance(meta, dict) or not isinstance(image.get("id"), int):
        return "no generation data"
    prompt = meta.get("prompt")
    if not isinstance(prompt, str) or not strip_lora_tags(prompt):
        return "no prompt"
    if not is_sfw(prompt):
        return "explicit words"
    return _read(meta, image, version_id)


def _read(meta: Meta, image: Mapping[str, Any], version_id: int) -> Sample:
    width, height = _size(meta, image)
    checkpoint = _checkpoint_name(meta)
    negative = meta.get("negativePrompt")
    clip_skip = meta.get("Clip skip", meta.get("clipSkip"))
    sampler = samplers.read(meta.get("sampler"), meta.get("Schedule type", meta.get("scheduler")))
    return Sample(
        image_id=image["id"],
        version_id=version_id,
        prompt=meta["prompt"],
        negative_prompt=negative if isinstance(negative, str) else "",
        sampler=sampler and sampler.method,
        scheduler=sampler and sampler.scheduler,
        steps=_whole(meta.get("steps"), 1, 150),
        cfg_scale=_number(meta.get("cfgScale"), 1, 30),
        width=width,
        height=height,
        clip_skip=_whole(clip_skip, 1, 12),
        seed=_whole(meta.get("seed"), 0, 2**32 - 1),
        checkpoint_hash=_checkpoint_hash(meta),
        checkpoint_name=checkpoint,
        loras=_loras(meta, meta["prompt"]),
        inpainting=_is_inpainting(meta, checkpoint),
        img2img=_is_img2img(meta),
    )


def invoked_lora(sample: Sample, hashes: Container[str], stems: Container[str]) -> LoraUse | None:
    """The use of one LoRA among those that an image names, or None where it is not invoked.

    Args:
        sample: an image of the LoRA's own gallery.
        hashes: every hash of its files, lower case.
        stems: its file names as :func:`stem` gives them.

    A LoRA that is the only one named is taken for it: uploaders rename files before publishing.
    """
    used = [lora for lora in sample.loras if lora.weight != 0]
    by_hash = [lora for lora in used if lora.hash is not None and lora.hash in hashes]
    by_name = [lora for lora in used if stem(lora.name) in stems]
    return next(iter(by_hash or by_name or (used if len(used) == 1 else ())), None)


def stem(file_name: str) -> str:
    """A file name for comparison: no folder, no model suffix, letters and digits only."""
    name = re.split(r"[/\\]", file_name)[-1].casefold()
    name = re.sub(r"\.(?:safetensors|ckpt|pt|pth|bin)$", "", name)
    return re.sub(r"[\W_]+", "", name)


def _image_is_sfw(image: Mapping[str, Any]) -> bool:
    return image.get("nsfw") in (None, False, "None") and image.get("nsfwLevel") in (None, "None", 1)


def _number(value: object, low: float, high: float) -> float | None:
    """The number that a value starts with ("2," is 2), or None outside low…high."""
    if isinstance(value, str):
        match = _NUMBER.match(value)
        value = float(match.group(1)) if match else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if low <= value <= high else None


def _whole(value: object, low: int, high: int) -> int | None:
    number = _number(value, low, high)
    return int(number) if number is not None and number == int(number) else None


def _size(meta: Meta, image: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The size before any hires fix; the latent grid floors each side to a multiple of 8."""
    size = _generated_size(meta, image)
    if size is None:
        return None, None
    width, height = (int(side) // SIDE_STEP * SIDE_STEP for side in size)
    if all(SIDE_MIN <= side <= GENERATED_MAX for side in (width, height)):
        return width, height
    return None, None


def _generated_size(meta: Meta, image: Mapping[str, Any]) -> tuple[float, float] | None:
    stated, first = _pair(meta.get("Size")), _pair(meta.get("First pass size"))
    if first is not None:  # A1111 before 2023: Size is the final one
        return first if min(first) > 0 else _automatic_first_pass(stated)
    if stated is not None:
        return stated
    width, height = (_number(image.get(side), 1, 65536) for side in ("width", "height"))
    if width is None or height is None:
        return None
    if not any(key in meta for key in _HIRES):
        return width, height
    upscale = _number(meta.get("Hires upscale"), 1, 16)
    return (round(width / upscale), round(height / upscale)) if upscale else None


def _pair(value: object) -> tuple[float, float] | None:
    match = _SIZE.match(value) if isinstance(value, str) else None
    return (int(match.group(1)), int(match.group(2))) if match else None


def _automatic_first_pass(final: tuple[float, float] | None) -> tuple[float, float] | None:
    """A1111's first pass where it was left 0x0: the area of 512x512, sides rounded up to 64."""
    if final is None or min(final) <= 0:
        return None
    scale = math.sqrt(512 * 512 / (final[0] * final[1]))
    return math.ceil(scale * final[0] / 64) * 64, math.ceil(scale * final[1] / 64) * 64


def _clean_hash(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    text = value.strip().casefold().removeprefix("0x")
    return text if _HEX.fullmatch(text) else None


def _hashes(meta: Meta) -> Meta:
    """A1111's newer table of hashes, keyed "model", "vae", "lora:NAME"."""
    found = meta.get("hashes")
    return found if isinstance(found, dict) else {}


def _resources(meta: Meta, kind: str) -> Iterator[Mapping[str, Any]]:
    found = meta.get("resources")
    for entry in found if isinstance(found, list) else ():
        if isinstance(entry, dict) and entry.get("type") == kind:
            yield entry


def _checkpoint_hash(meta: Meta) -> str | None:
    candidates = [meta.get("Model hash"), _hashes(meta).get("model")]
    candidates += [entry.get("hash") for entry in _resources(meta, "model")]
    return next((found for found in map(_clean_hash, candidates) if found), None)


def _checkpoint_name(meta: Meta) -> str | None:
    model = meta.get("Model")
    candidates = [model.get("name") if isinstance(model, dict) else model]
    candidates += [entry.get("name") for entry in _resources(meta, "model")]
    return next((name.strip() for name in candidates if isinstance(name, str) and name.strip()), None)


def _loras(meta: Meta, prompt: str) -> tuple[LoraUse, ...]:
    """Each LoRA once, in the order named: prompt tags, resources, then the AddNet extension's fields."""
    found: dict[str, LoraUse] = {}

    def add(name: object, weight: float | None, digest: str | None) -> None:
        if isinstance(name, str) and name.strip():
            name = name.strip()
            known = found.get(name.casefold(), LoraUse(name))
            weight = known.weight if known.weight is not None else weight
            found[name.casefold()] = LoraUse(known.name, weight, known.hash or digest)

    for tag in NETWORK_TAG.finditer(prompt):
        if tag.group(1).casefold() != "hypernet":
            name, *rest = tag.group(2).split(":")
            add(name, _number(rest[0], -2, 2) if rest else 1.0, None)
    for entry in _resources(meta, "lora"):
        add(entry.get("name"), _number(entry.get("weight"), -2, 2), _clean_hash(entry.get("hash")))
    for name, digest in _hashes(meta).items():
        kind, _, rest = str(name).partition(":")
        if kind == "lora":
            add(rest, None, _clean_hash(digest))
    for i in range(1, 6):
        match = _ADDNET.fullmatch(str(meta.get(f"AddNet Model {i}", "")))
        if match and meta.get(f"AddNet Module {i}") == "LoRA":
            weight = meta.get(f"AddNet Weight A {i}", meta.get(f"AddNet Weight {i}"))
            add(match.group(1), _number(weight, -2, 2), _clean_hash(match.group(2)))
    return tuple(found.values())


def _is_inpainting(meta: Meta, checkpoint: str | None) -> bool:
    """A mask, or an inpainting checkpoint; tiled upscalers write "Mask blur" without either."""
    if "inpaint" in (checkpoint or "").casefold() or "Conditional mask weight" in meta:
        return True
    return "Mask blur" in meta and not any(str(key).startswith(_UPSCALERS) for key in meta)


def _is_img2img(meta: Meta) -> bool:
    return "Denoising strength" in meta and not any(key in meta for key in _HIRES)
