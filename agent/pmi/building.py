"""Automatic specification assignment (CGI paper, Eq. 3–5): models' sample images → specifications.

    examples (file, model, prompt) → Z = G(images), Q = T(prompts) → one record an image, appended

A model that the catalog does not have is added to it as a card with a ``huggingface:`` AIR and base model
``Other``; its text specification are its prompts. A broken image is reported and left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffagent.agent.importing import add_entries
from diffagent.agent.pmi.identifier import learnt_space, specification_path
from diffagent.agent.pmi.manifest import Example, by_model
from diffagent.agent.pmi.specification_file import (
    Encoders,
    Specification,
    SpecificationFile,
    prompt_key,
)
from diffagent.data.card_json import OTHER
from diffagent.data.cards import Entry
from diffagent.data.catalog import Catalog
from diffagent.data.errors import BadImage, BadInput, UnknownModel
from diffagent.data.image_encoder import Features, ImageEncoder
from diffagent.data.image_loading import load_image
from diffagent.data.records import Card, Sample
from diffagent.data.text_encoder import Encoder

LOCAL = "local"
"""The organisation in the AIR of a model whose name has none."""

Progress = Callable[[Iterable[Any]], Iterable[Any]]
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
    image_encoder: ImageEncoder,
    text_encoder: Encoder,
    text_name: str,
    text_digest: str,
    progress: Progress = iter,
    report: Report = lambda line: None,
) -> Built:
    """Specifications of all examples' models, beside the catalog; models that are there already are replaced.

    Raises:
        BadInput: no image could be read. BadSpecifications: other encoders made the catalog's specifications.
    """
    groups = by_model(examples)
    cards, added = _cards(groups, catalog_path, text_encoder)
    size = text_encoder.encode([" "]).shape[1]
    encoders = encoders_of(image_encoder, text_name, text_digest, size)
    path = specification_path(catalog_path, encoders.image, encoders.text)
    file = SpecificationFile.open(path) if path.is_file() else SpecificationFile.create(path, encoders)
    file.check(encoders)
    failures: list[str] = []
    usable = [one for one in examples if one.model in cards]
    if lacking := sorted(set(groups) - set(cards)):
        report(f"{len(lacking)} models are not in the catalog and are left out, such as {lacking[0]}")
    encoded = iter(_encoded(progress(usable), image_encoder, failures.append))
    kept: dict[str, list[tuple[Example, Features]]] = {}
    for example, features in encoded:
        kept.setdefault(example.model, []).append((example, features))
    for line in failures:
        report(line)
    if not kept:
        raise BadInput("no image could be read: see the lines above")
    made = [
        specification(
            cards[model].air,
            [e for e, _ in pairs],
            Features.concatenate([f for _, f in pairs]),
            text_encoder,
            size,
        )
        for model, pairs in kept.items()
    ]
    file.append(made)
    if len(file.airs) > 1:
        learnt_space(file)
    return Built(file, len(made), sum(map(len, made)), added, len(failures))


def encoders_of(image: ImageEncoder, text_name: str, text_digest: str, text_size: int) -> Encoders:
    """The pair as a file's header names it."""
    return Encoders(
        image.name,
        image.digest,
        image.content_size,
        image.style_size,
        image.crops,
        text_name,
        text_digest,
        text_size,
    )


def specification(
    air: str, examples: Sequence[Example], features: Features, text_encoder: Encoder, size: int
) -> Specification:
    """S = {Z, Q} of one model; Q is zero where an image has no prompt."""
    text = np.zeros((len(examples), size), np.float32)
    told = [n for n, one in enumerate(examples) if one.prompt.strip()]
    if told:
        text[told] = text_encoder.encode([examples[n].prompt for n in told])
    keys = np.array([prompt_key(one.prompt) for one in examples], np.uint64)
    return Specification(air, features.content, features.style, features.crops, text, keys)


def _encoded(
    examples: Iterable[Example], encoder: ImageEncoder, report: Report
) -> Iterator[tuple[Example, Features]]:
    """Each example that can be read with its features (of one row)."""
    for example in examples:
        try:
            yield example, encoder.encode([load_image(example.file)])
        except BadImage as error:
            report(str(error))


def _cards(
    groups: dict[str, list[Example]], path: Path, text_encoder: Encoder
) -> tuple[dict[str, Card], int]:
    """The catalog's card of each model, new ones added; the catalog is made where there is none."""
    exists = path.is_file()
    with Catalog.open(path, writable=True) if exists else Catalog.create(path) as catalog:
        known = {model: _find(catalog, model) for model in groups}
        new = [model for model, card in known.items() if card is None and not model.startswith("urn:air:")]
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
        return None if model.startswith("urn:air:") else catalog.by_air(new_card(model).air)


def new_card(model: str) -> Card:
    """A card of a model that is known by its name alone, ORG/REPO of the Hugging Face hub or a plain name."""
    organisation, _, repository = model.strip().rpartition("/")
    slug = re.sub(r"[\s:@]+", "-", repository).strip("-") or "model"
    owner = re.sub(r"[\s/:@]+", "-", organisation) or LOCAL
    return Card(
        name=model.strip(),
        type="Checkpoint",
        base_model=OTHER,
        air=f"urn:air:other:checkpoint:huggingface:{owner}/{slug}",
        description=f"{repository}, a text-to-image model"
        + (f" by {organisation}." if organisation else "."),
        tags=tuple(word for word in re.split(r"[\W_]+", repository.casefold()) if len(word) > 2),
        source="huggingface",
    )


def _samples(examples: Sequence[Example]) -> tuple[Sample, ...]:
    return tuple(Sample(n, 0, one.prompt) for n, one in enumerate(examples) if one.prompt.strip())
