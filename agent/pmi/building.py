"""Automatic specification assignment (CGI paper, Eq. 3–5): models' sample images → specifications.

    examples (file, model, prompt) → Z = G(images), Q = T(prompts) → one record an image, appended

A model that the catalog does not have is added to it as a card with a ``huggingface:`` AIR and base model
``Other``; its text specification are its prompts. A broken image is reported and left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from diffagent.agent.pmi.feature_cache import Pair, Progress, kept_features
from diffagent.agent.pmi.identifier import learnt_space, specification_path
from diffagent.agent.pmi.manifest import Example, by_model
from diffagent.agent.pmi.specification_file import SpecificationFile
from diffagent.data.air import AIR, HUGGINGFACE, is_air
from diffagent.data.base_models import OTHER
from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.importing import add_entries
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.errors import BadInput, UnknownModel
from diffagent.data.records import Card, Sample

LOCAL = "local"
"""The organisation in the AIR of a model whose name has none."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """What a build did: the file, its models and images, cards that were added, images left out."""

    file: SpecificationFile
    models: int
    images: int
    added: int
    failed: int


def build(
    examples: Sequence[Example],
    catalog_path: Path,
    pair: Pair,
    progress: Progress = iter,
    report: Report = lambda line: None,
) -> Built:
    """Specifications of all examples' models, beside the catalog; models that are there already are replaced.

    Raises:
        BadInput: no image could be read. BadSpecifications: other encoders made the catalog's specifications.
    """
    groups = by_model(examples)
    encoders = pair.encoders
    path = specification_path(catalog_path, encoders.image, encoders.text)
    if path.is_file():
        SpecificationFile.open(path).check(encoders)
    cards, added = _cards(groups, catalog_path, pair.text)
    if lacking := sorted(set(groups) - set(cards)):
        report(f"{len(lacking)} models are not in the catalog and are left out, such as {lacking[0]}")
    usable = [one for one in examples if one.model in cards]
    kept, faults = kept_features(usable, [cards[one.model].air for one in usable], pair, progress)
    for line in faults:
        report(line)
    made = [one for one in kept.specifications() if one.air]
    if not made:
        raise BadInput("no image could be read: see the lines above")
    file = SpecificationFile.open(path) if path.is_file() else SpecificationFile.create(path, encoders)
    file.append(made)
    if len(file.airs) > 1:
        learnt_space(file)
    images = sum(map(len, made))
    return Built(file, len(made), images, added, len(usable) - images)


def _cards(
    groups: dict[str, list[Example]], path: Path, text_encoder: Encoder
) -> tuple[dict[str, Card], int]:
    """The catalog's card of each model, new ones added; the catalog is made where there is none."""
    exists = path.is_file()
    with Catalog.open(path, writable=True) if exists else Catalog.create(path) as catalog:
        known = {model: _find(catalog, model) for model in groups}
        new = [model for model, card in known.items() if card is None and not is_air(model)]
        entries = [Entry(new_card(model), _samples(groups[model])) for model in new]
        if entries:
            add_entries(catalog, entries, text_encoder)
        for model, entry in zip(new, entries, strict=True):
            known[model] = catalog.by_air(entry.card.air)
    return {model: card for model, card in known.items() if card is not None}, len(new)


def _find(catalog: Catalog, model: str) -> Card | None:
    try:
        return catalog.find(model) if len(catalog) else None
    except UnknownModel:
        return None if is_air(model) else catalog.by_air(new_card(model).air)


def new_card(model: str) -> Card:
    """A card of a model that is known by its name alone, ORG/REPO of the Hugging Face hub or a plain name."""
    organisation, _, repository = model.strip().rpartition("/")
    slug = re.sub(r"[\s:@+]+", "-", repository).strip("-") or "model"
    owner = re.sub(r"[\s/:@+]+", "-", organisation) or LOCAL
    return Card(
        name=model.strip(),
        type="Checkpoint",
        base_model=OTHER.name,
        air=str(AIR(OTHER.ecosystem, "checkpoint", HUGGINGFACE, f"{owner}/{slug}")),
        description=f"{repository}, a text-to-image model"
        + (f" by {organisation}." if organisation else "."),
        tags=tuple(word for word in re.split(r"[\W_]+", repository.casefold()) if len(word) > 2),
        source="huggingface",
    )


def _samples(examples: Sequence[Example]) -> tuple[Sample, ...]:
    return tuple(Sample(n, 0, one.prompt) for n, one in enumerate(examples) if one.prompt.strip())
