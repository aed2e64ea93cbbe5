"""Sample images of a model item → :class:`~diffagent.data.records.Sample`, normalised.

In: an item of Civitai's models listing whose ``modelVersions[].images[]`` have ``meta`` (A1111's "generation
data" as parsed by Civitai). Out: one Sample per SFW image with a prompt. Numbers may come as text; missing
and out-of-range values are None, never guessed.

    {"prompt": "a fox, <lora:ink:0.8>", "Size": "512x768", "sampler": "DPM++ 2M Karras", "cfgScale": 7, …}
    {"prompt": "a fox", "civitaiResources": [{"type": "lora", "weight": 0.65, "modelVersionId": 249861}], …}
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from typing import Any

from diffagent.data import samplers
from diffagent.data.air import AIR, IN_TEXT
from diffagent.data.hubs.answers import flat_meta, is_placeholder
from diffagent.data.hubs.odd_rows import image_id
from diffagent.data.prompts import NETWORK_TAG, is_sfw, strip_lora_tags
from diffagent.data.records import SIDE_MAX, SIDE_MIN, SIDE_STEP, LoraUse, Sample

Meta = Mapping[str, Any]

GENERATED_MAX = 2048
"""Pixels; an image with a longer side was upscaled, and its generated size is unknown."""
SFW_LEVELS = 1 | 2
"""Civitai's bits of PG and PG-13; 4 is R, 8 X, 16 XXX, 32 blocked, 0 not rated yet."""
IMAGE_REASONS = ("nsfw image", "no image", "no generation data", "no prompt", "explicit words")
"""The reasons why an image is not a sample, in the order of the checks."""

_NUMBER = re.compile(r"\s*([-+]?\d{1,20}(?:\.\d{0,20})?)")
_SIZE = re.compile(r"\s*(\d{1,6})\s*[xX×]\s*(\d{1,6})")
_HEX = re.compile(r"[0-9a-f]{8,64}")
_ADDNET = re.compile(r"(.+?)\(([0-9a-fA-F]{8,64})\)\s*")
_LORA_KINDS = ("lora", "locon", "lycoris", "dora")
_UPSCALERS = ("Ultimate SD upscale", "SD upscale")
_HIRES = ("Hires upscale", "Hires resize", "Hires upscaler", "Hires steps", "First pass size")


def samples(
    item: Mapping[str, Any], versions: Container[int] | None = None, dropped: Counter[str] | None = None
) -> Iterator[Sample]:
    """Yields the samples of the item's SFW images with a prompt, in the item's order.

    Args:
        item: a model of the listing.
        versions: the ids of the versions to read; None: all.
        dropped: counts the images that are not samples, by reason.
    """
    for version in item.get("modelVersions") or ():
        if versions is not None and version["id"] not in versions:
            continue
        for image in version.get("images") or ():
            outcome = judge_image(image, version["id"])
            if isinstance(outcome, Sample):
                yield outcome
            elif dropped is not None:
                dropped[outcome] += 1


def sample(image: Mapping[str, Any], version_id: int) -> Sample | None:
    """Returns one image's Sample, or None without an id or a prompt, or if it is not SFW."""
    outcome = judge_image(image, version_id)
    return outcome if isinstance(outcome, Sample) else None


def judge_image(image: Mapping[str, Any], version_id: int) -> Sample | str:
    """Returns one image's Sample, or one of :data:`IMAGE_REASONS`."""
    if not image_is_sfw(image):
        return "nsfw image"
    if image.get("type") not in (None, "image"):
        return "no image"
    meta = flat_meta(image.get("meta"))
    number = image_id(image)
    if meta is None or number is None:
        return "no generation data"
    prompt = meta.get("prompt")
    if not isinstance(prompt, str) or not strip_lora_tags(prompt):
        return "no prompt"
    if not is_sfw(prompt):
        return "explicit words"
    return _read(meta, {**image, "id": number}, version_id)


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
        checkpoint_version_id=_checkpoint_version(meta),
        loras=_loras(meta, meta["prompt"]),
        inpainting=_is_inpainting(meta, checkpoint),
        img2img=_is_img2img(meta),
    )


def invoked_lora(
    sample: Sample, hashes: Container[str], stems: Container[str], versions: Container[int] = ()
) -> LoraUse | None:
    """Returns the use of one LoRA in an image, or None where the image does not invoke it.

    Args:
        sample: an image of the LoRA's own gallery.
        hashes: every hash of its files, lower case.
        stems: its file names as :func:`stem` gives them.
        versions: the ids of its versions.

    The only LoRA that an image names is taken for it, unless by another version: uploaders rename files
    before publishing.
    """
    used = [lora for lora in sample.loras if lora.weight != 0]
    by_version = [lora for lora in used if lora.version_id is not None and lora.version_id in versions]
    by_hash = [lora for lora in used if lora.hash is not None and lora.hash in hashes]
    by_name = [lora for lora in used if lora.name and stem(lora.name) in stems]
    alone = [lora for lora in used if len(used) == 1 and (lora.version_id is None or not versions)]
    return next(iter(by_version or by_hash or by_name or alone), None)


def stem(file_name: str) -> str:
    """The key of a file name: no folder, no model suffix, letters and digits only."""
    name = re.split(r"[/\\]", file_name)[-1].casefold()
    name = re.sub(r"\.(?:safetensors|ckpt|pt|pth|bin)$", "", name)
    return re.sub(r"[\W_]+", "", name)


def image_is_sfw(image: Mapping[str, Any]) -> bool:
    """Whether the hub rates the image PG or PG-13 and flags neither a minor nor a real person.

    The level is a bit mask today (``browsingLevel``, or a numeric ``nsfwLevel``); it was one of four names
    before, and a flag before that. The newest one present holds.
    """
    if image.get("minor") or image.get("poi"):
        return False
    for name in ("browsingLevel", "nsfwLevel"):
        level = image.get(name)
        if isinstance(level, int) and not isinstance(level, bool):
            return bool(level & SFW_LEVELS) and not level & ~SFW_LEVELS
    return image.get("nsfw") in (None, False, "None") and image.get("nsfwLevel") in (None, "None")


def _number(value: object, low: float, high: float) -> float | None:
    """The leading number of a value ("2," is 2), or None outside low…high."""
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
    """The size before any hires fix, with each side floored to the latent grid's multiple of 8."""
    size = _generated_size(meta, image)
    if size is None:
        return None, None
    width, height = (int(side) // SIDE_STEP * SIDE_STEP for side in size)
    # ComfyUI's size is that of the empty latent image, before any upscaler
    most = SIDE_MAX if meta.get("Version") == "ComfyUI" or meta.get("engine") == "ComfyUI" else GENERATED_MAX
    if all(SIDE_MIN <= side <= most for side in (width, height)):
        return width, height
    return None, None


def _generated_size(meta: Meta, image: Mapping[str, Any]) -> tuple[float, float] | None:
    size, first_pass = _pair(meta.get("Size")), _pair(meta.get("First pass size"))
    if first_pass is not None:  # A1111 before 2023: Size is the final one
        return first_pass if min(first_pass) > 0 else _automatic_first_pass(size)
    if size is not None:
        return size
    width, height = (_number(meta.get(side), 1, 65536) for side in ("width", "height"))
    if width is not None and height is not None:
        return width, height
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
    return text if _HEX.fullmatch(text) and not is_placeholder(text) else None


def _hashes(meta: Meta) -> Meta:
    """A1111's newer table of hashes: "model", "vae", "lora:NAME", in some tools "LORA:NAME"."""
    table = meta.get("hashes")
    return table if isinstance(table, dict) else {}


def _resources(meta: Meta, kind: str) -> Iterator[Mapping[str, Any]]:
    resources = meta.get("resources")
    for entry in resources if isinstance(resources, list) else ():
        if isinstance(entry, dict) and entry.get("type") == kind:
            yield entry


def _checkpoint_hash(meta: Meta) -> str | None:
    candidates = [meta.get("Model hash"), _hashes(meta).get("model")]
    candidates += [entry.get("hash") for entry in _resources(meta, "model")]
    return next((digest for digest in map(_clean_hash, candidates) if digest), None)


def _checkpoint_name(meta: Meta) -> str | None:
    model = meta.get("Model")
    candidates = [model.get("name") if isinstance(model, dict) else model]
    candidates += [entry.get("name") for entry in _resources(meta, "model")]
    models = meta.get("models")
    candidates += models[:1] if isinstance(models, list) else []
    return next((name.strip() for name in candidates if isinstance(name, str) and name.strip()), None)


def _on_site(meta: Meta) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the models that an image names by Civitai's version ids: kind in lower case, and the entry."""
    extra = meta.get("extra")
    for resources in (
        meta.get("civitaiResources"),
        extra.get("resources") if isinstance(extra, dict) else None,
    ):
        for entry in resources if isinstance(resources, list) else ():
            if isinstance(entry, dict):
                yield str(entry.get("type") or "").casefold(), entry


def _version_id(value: object) -> int | None:
    return _whole(value, 1, 2**53)


def _checkpoint_version(meta: Meta) -> int | None:
    ids = (_version_id(entry.get("modelVersionId")) for kind, entry in _on_site(meta) if kind == "checkpoint")
    return next((number for number in ids if number is not None), None)


def _loras(meta: Meta, prompt: str) -> tuple[LoraUse, ...]:
    """Each LoRA once, in this order: prompt tags, resources, hashes, the AddNet extension's fields, ComfyUI's
    graph, then those that Civitai's own generator names by version."""
    uses: dict[str, LoraUse] = {}

    def add(name: object, weight: float | None, digest: str | None, version: int | None = None) -> None:
        if not isinstance(name, str) or not (name.strip() or version):
            return
        name = name.strip()
        key = next((key for key, lora in uses.items() if version and lora.version_id == version), "")
        key = key or name.casefold() or f"@{version}"
        use = uses.get(key, LoraUse(name))
        weight = use.weight if use.weight is not None else weight
        uses[key] = LoraUse(use.name, weight, use.hash or digest, use.version_id or version)

    for tag in NETWORK_TAG.finditer(prompt):
        if tag.group(1).casefold() != "hypernet":
            name, *rest = tag.group(2).split(":")
            if tag.group(2).lstrip().startswith("urn"):  # the site's own tags name AIRs
                name, rest = _air_and_weight(tag.group(2))
            add(_plain_name(name), _number(rest[0], -2, 2) if rest else 1.0, None, _air_version(name))
    for entry in _resources(meta, "lora"):
        add(entry.get("name"), _number(entry.get("weight"), -2, 2), _clean_hash(entry.get("hash")))
    for name, digest in _hashes(meta).items():
        kind, _, rest = str(name).partition(":")
        if kind.casefold() == "lora":
            add(rest, None, _clean_hash(digest))
    for i in range(1, 6):
        match = _ADDNET.fullmatch(str(meta.get(f"AddNet Model {i}", "")))
        if match and meta.get(f"AddNet Module {i}") == "LoRA":
            weight = meta.get(f"AddNet Weight A {i}", meta.get(f"AddNet Weight {i}"))
            add(match.group(1), _number(weight, -2, 2), _clean_hash(match.group(2)))
    resources = meta.get("additionalResources")
    for entry in resources if isinstance(resources, list) else ():
        if isinstance(entry, dict) and str(entry.get("type")).casefold() in _LORA_KINDS:
            name, weight = entry.get("name"), _number(entry.get("strength"), -2, 2)
            add(_plain_name(name), weight, None, _air_version(name))
    for kind, entry in _on_site(meta):
        number = _version_id(entry.get("modelVersionId"))
        if kind in _LORA_KINDS and number is not None:
            weight = _number(entry.get("weight", entry.get("strength")), -2, 2)
            add(_text(entry.get("modelName")), 1.0 if weight is None else weight, None, number)
    return tuple(uses.values())


def _air_and_weight(text: str) -> tuple[str, list[str]]:
    """The AIR and the weight of ``urn:air:sdxl:lora:civitai:12@34:0.8``."""
    head, _, last = text.rpartition(":")
    return (head, [last]) if AIR.read(head.strip()) and _NUMBER.fullmatch(last.strip()) else (text, [])


def _air_version(name: object) -> int | None:
    """The Civitai version of a name that is an AIR, or None."""
    air = AIR.read(name.strip()) if isinstance(name, str) and IN_TEXT.fullmatch(name.strip()) else None
    return air.civitai_ids[1] if air is not None and air.civitai_ids is not None else None


def _plain_name(name: object) -> str:
    """The name; "" where it is an AIR, whose version is used instead."""
    return "" if _air_version(name) else _text(name)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _is_inpainting(meta: Meta, checkpoint: str | None) -> bool:
    """Whether there is a mask or an inpainting checkpoint; tiled upscalers write "Mask blur" without
    either."""
    if "inpaint" in (checkpoint or "").casefold() or "Conditional mask weight" in meta:
        return True
    return "Mask blur" in meta and not any(str(key).startswith(_UPSCALERS) for key in meta)


def _is_img2img(meta: Meta) -> bool:
    return "Denoising strength" in meta and not any(key in meta for key in _HIRES)
