"""Automatic specification assignment (CGI paper, Eq. 3–5): models' sample images → specifications.

    examples (file, model, prompt) → Z = G(images), Q = T(prompts) → one record per image, appended

A model that the catalog lacks is added as a card with a ``huggingface:`` AIR and base model ``Other``; its
prompts are its text specification. A broken image is reported and skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from diffagent.agent.pmi.feature_cache import EncoderPair, Progress, cached_features
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
"""The organisation in the AIR of a model whose name lacks one."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class BuildReport:
    """The report of a build: the file, its models and images, added cards, failed images."""

    file: SpecificationFile
    models: int
    images: int
    added: int
    failed: int


def build(
    examples: Sequence[Example],
    catalog_path: Path,
    pair: EncoderPair,
    progress: Progress = iter,
    report: Report = lambda line: None,
) -> BuildReport:
    """Builds the specifications of all examples' models beside the catalog; replaces existing models.

    Raises:
        BadInput: no image is readable. BadSpecifications: the catalog's specifications have other encoders.
    """
    groups = by_model(examples)
    encoders = pair.encoders
    path = specification_path(catalog_path, encoders.image, encoders.text)
    if path.is_file():
        SpecificationFile.open(path).check(encoders)
    cards, added = _cards(groups, catalog_path, pair.text)
    if lacking := sorted(set(groups) - set(cards)):
        report(f"{len(lacking)} models are not in the catalog and are left out, such as {lacking[0]}")
    usable = [example for example in examples if example.model in cards]
    record_file, faults = cached_features(
        usable, [cards[example.model].air for example in usable], pair, progress
    )
    for line in faults:
        report(line)
    specifications = [specification for specification in record_file.specifications() if specification.air]
    if not specifications:
        raise BadInput("no image could be read: see the lines above")
    file = SpecificationFile.open(path) if path.is_file() else SpecificationFile.create(path, encoders)
    file.append(specifications)
    if len(file.airs) > 1:
        learnt_space(file)
    images = sum(map(len, specifications))
    return BuildReport(file, len(specifications), images, added, len(usable) - images)


def _cards(
    groups: dict[str, list[Example]], path: Path, text_encoder: Encoder
) -> tuple[dict[str, Card], int]:
    """Returns each model's card, after adding new ones; creates the catalog if it does not exist."""
    exists = path.is_file()
    with Catalog.open(path, writable=True) if exists else Catalog.create(path) as catalog:
        card_of = {model: _find(catalog, model) for model in groups}
        new = [model for model, card in card_of.items() if card is None and not is_air(model)]
        entries = [Entry(new_card(model), _samples(groups[model])) for model in new]
        if entries:
            add_entries(catalog, entries, text_encoder)
        for model, entry in zip(new, entries, strict=True):
            card_of[model] = catalog.by_air(entry.card.air)
    return {model: card for model, card in card_of.items() if card is not None}, len(new)


def _find(catalog: Catalog, model: str) -> Card | None:
    try:
        return catalog.find(model) if len(catalog) else None
    except UnknownModel:
        return None if is_air(model) else catalog.by_air(new_card(model).air)


def new_card(model: str) -> Card:
    """Returns the card of a model with only a name, ORG/REPO of the Hugging Face hub or a plain name."""
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
    return tuple(Sample(n, 0, example.prompt) for n, example in enumerate(examples) if example.prompt.strip())
