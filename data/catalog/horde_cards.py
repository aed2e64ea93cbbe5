"""AI Horde's models as catalog entries, merged with those of a crawl.

A Horde model whose file is in the crawl (by SHA-256), or whose home page is a crawled model of the same
family, adds its name as an alias and its styles' parameters to that entry. The others become entries with the
source "horde" and no community statistics. Inpainting models, models without a hash, and models that Civitai
flags as NSFW or a real person are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from diffagent.data.air import AIR, CIVITAI, HORDE
from diffagent.data.base_models import canonical_name, ecosystem_of, family_of
from diffagent.data.catalog.cards import Entry, Names, Survey, compose
from diffagent.data.catalog.filters import Scope
from diffagent.data.catalog.texts import clean
from diffagent.data.hubs.horde import HordeModel
from diffagent.data.prompts import is_sfw
from diffagent.data.records import Card, Usage

_SETTINGS = ("sampler", "steps", "cfg_scale", "clip_skip")


def merge_horde(
    entries: Iterable[Entry], models: Iterable[HordeModel], first_pass: Survey, scope: Scope | None = None
) -> Iterator[Entry]:
    """Yields the crawl's entries with Horde's additions, then Horde's own in the order of ``models``."""
    pending = {model.name: model for model in models if _is_wanted(model, first_pass, scope or Scope())}
    names = Names()
    for entry in entries:
        card = entry.card
        for model in [model for model in pending.values() if _is_same(model, card)]:
            del pending[model.name]
            card = _with_horde(card, model)
        names.claim(card.name, card.air)
        yield entry._replace(card=card)
    for model in pending.values():
        yield Entry(horde_card(model, names))


def horde_checkpoints(
    models: Iterable[HordeModel], first_pass: Survey, scope: Scope | None = None
) -> dict[str, str]:
    """Hash → AIR of Horde's own safetensors checkpoints, as :func:`merge_horde` lists them."""
    names, airs = Names(), {}
    for model in models:
        if _is_wanted(model, first_pass, scope or Scope()) and str(model.file).casefold().endswith(
            ".safetensors"
        ):
            card = horde_card(model, names)
            airs.update(dict.fromkeys(card.hashes, card.air))
    return airs


def horde_card(model: HordeModel, names: Names) -> Card:
    """Returns the entry of a Horde model, which must have a hash."""
    assert model.sha256 is not None
    base_model, name = canonical_name(model.baseline), clean(model.name)
    air = AIR(ecosystem_of(base_model), "checkpoint", HORDE, model.name)
    if model.civitai_model is not None and model.civitai_version is not None:
        air = replace(air, source=CIVITAI, id=str(model.civitai_model), version=str(model.civitai_version))
    tags = () if model.style in ("", "other") else (model.style,)
    words = tuple(word for word in (clean(word) for word in model.trigger_words) if word)
    unique_name = names.claim(name, "horde")
    return Card(
        name=unique_name,
        type="Checkpoint",
        base_model=base_model,
        air=str(air),
        model_id=model.civitai_model,
        version_id=model.civitai_version,
        sha256=model.sha256,
        autov2=model.sha256[:10],
        file_name=clean(model.file),
        tags=tags,
        trigger_words=words,
        usage=style_usage(model),
        description=compose("Checkpoint", base_model, tags, words),
        source="horde",
        hashes=(model.sha256, model.sha256[:10]),
        aliases=() if unique_name == model.name else (model.name,),
    )


def style_usage(model: HordeModel) -> Usage:
    """Counts the parameters that styles recommend, each style once.

    Styles that load LoRAs do not count: a fast LoRA's eight steps are not the model's.
    """
    counts: dict[str, Counter[Any]] = {name: Counter() for name in (*_SETTINGS, "size")}
    for style in model.styles:
        if style.loras:
            continue
        for name in _SETTINGS:
            value = getattr(style, name)
            if value is not None:
                counts[name][float(value) if name == "cfg_scale" else value] += 1
        if style.width and style.height:
            counts["size"][f"{style.width}x{style.height}"] += 1
    if model.requirements.get("clip_skip"):
        counts["clip_skip"][int(model.requirements["clip_skip"])] += 1
    return Usage(**{name: dict(counter.most_common()) for name, counter in counts.items()})


def _is_wanted(model: HordeModel, first_pass: Survey, scope: Scope) -> bool:
    if model.sha256 is None or model.inpainting or canonical_name(model.baseline) not in scope.base_models:
        return False
    flagged = model.sha256 in first_pass.flagged_hashes or model.civitai_model in first_pass.flagged_ids
    return not flagged and is_sfw(model.name)


def _is_same(model: HordeModel, card: Card) -> bool:
    if card.type != "Checkpoint" or family_of(card.base_model) != family_of(model.baseline):
        return False
    return model.sha256 in card.hashes or (
        model.civitai_model is not None and model.civitai_model == card.model_id
    )


def _with_horde(card: Card, model: HordeModel) -> Card:
    styles = style_usage(model)
    merged = {
        name: dict((Counter(getattr(card.usage, name)) + Counter(getattr(styles, name))).most_common())
        for name in (*_SETTINGS, "size")
    }
    aliases = card.aliases if model.name == card.name else (*card.aliases, model.name)
    return replace(card, usage=replace(card.usage, **merged), aliases=aliases)
