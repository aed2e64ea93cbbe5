"""Instruction–API pairs: one sample image of an entry becomes a row, or a reason why it does not.

    {"instruction": {"prompt": …, "negative_prompt": …}, "api": {the paper's nine fields}, "air": …,
     "source": {"image": 123, "version": 456}}

A pair must be true: this model made the image, from text, on an available checkpoint. So a checkpoint's image
must name the checkpoint by hash or version; a LoRA's image must invoke the LoRA and name an available
checkpoint of the same family (paper, section 3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffagent.data.air import AIR
from diffagent.data.catalog.cards import Entry, checkpoint_of, same_ecosystem
from diffagent.data.catalog.samples import invoked_lora
from diffagent.data.prompts import plain, strip_lora_tags, strip_trigger_words
from diffagent.data.records import Card, Sample

PAIR_REASONS = (
    "inpainting", "img2img", "checkpoint not named", "another checkpoint", "LoRA not invoked",
    "base checkpoint not named", "base checkpoint unavailable", "settings missing",
    "nothing left of the prompt",
)  # fmt: skip
"""The reasons why a sample is not a pair, in the order of the checks."""

Row = dict[str, Any]


def pair(entry: Entry, sample: Sample, checkpoints: Mapping[str, str]) -> Row | str:
    """Returns a row, or one of PAIR_REASONS.

    Args:
        entry: the entry whose sample it is.
        sample: one of the entry's samples.
        checkpoints: hash (lower case), or ``@`` and a version's id → AIR of every available checkpoint.
    """
    if sample.inpainting:
        return "inpainting"
    if sample.img2img:
        return "img2img"
    reason = _why_not_the_models(entry, sample, checkpoints)
    if reason is not None:
        return reason
    if None in (sample.width, sample.height, sample.sampler, sample.steps, sample.cfg_scale):
        return "settings missing"
    prompt = strip_trigger_words(strip_lora_tags(sample.prompt), entry.card.all_words)
    if len(plain(prompt)) <= 2:
        return "nothing left of the prompt"
    return _row(entry.card, sample, prompt)


def _why_not_the_models(entry: Entry, sample: Sample, checkpoints: Mapping[str, str]) -> str | None:
    """Returns why the image is not known to be made with the entry on an available checkpoint, or None."""
    checkpoint_hash, hashes = sample.checkpoint_hash, entry.card.hashes
    is_named = checkpoint_hash is not None or sample.checkpoint_version_id is not None
    versions = _versions(entry.card)
    if entry.card.type == "Checkpoint":
        if not is_named:
            return "checkpoint not named"
        is_own = (
            checkpoint_hash in hashes
            if checkpoint_hash is not None
            else sample.checkpoint_version_id in versions
        )
        return None if is_own else "another checkpoint"
    if invoked_lora(sample, hashes, entry.stems, versions) is None:
        return "LoRA not invoked"
    if not is_named:
        return "base checkpoint not named"
    base = checkpoint_of(sample, checkpoints)
    is_available = base is not None and same_ecosystem(base, entry.card.air)
    return None if is_available else "base checkpoint unavailable"


def _versions(card: Card) -> frozenset[int]:
    """The ids of an entry's Civitai versions."""
    ids = (AIR.parse(air).civitai_ids for air in (card.air, *card.older_airs))
    return frozenset(pair[1] for pair in ids if pair is not None)


def _row(card: Card, sample: Sample, prompt: str) -> Row:
    return {
        "instruction": {"prompt": prompt, "negative_prompt": strip_lora_tags(sample.negative_prompt)},
        "api": {
            "model": card.name,
            "type": card.type,
            "base_model": card.base_model,
            "width": sample.width,
            "height": sample.height,
            "sampling_method": sample.joined_sampler,
            "sampling_steps": sample.steps,
            "cfg_scale": sample.cfg_scale,
            "model_description": card.description,
        },
        "air": card.air,
        "source": {"image": sample.image_id, "version": sample.version_id},
    }
