"""Builds the library's catalog of the usable files, and replaces the old one when it is complete.

    state → a line per file → entries → attributes → specifications → catalog.sqlite

Nothing is built if nothing changed. A language model describes what the models are for, or else the shipped
classifier.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.importing import add_entries
from diffagent.data.descriptions.descriptions import DescriptionsFile, read_descriptions, with_descriptions
from diffagent.data.descriptions.plain_attributes import with_plain_attributes
from diffagent.data.descriptions.sources import Source
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.errors import BadCatalog, BadInput
from diffagent.data.library.entries import Shelf, entries, shelve
from diffagent.data.library.state import CATALOG, READER, State, library_home
from diffagent.data.metadata.generation import Generation
from diffagent.data.metadata.infotext import parse
from diffagent.data.metadata.picture import from_text

if TYPE_CHECKING:
    from diffagent.data.descriptions.describe import DescribeJob

BATCH = 256
"""Entries per batch of the encoder: a library's card has up to 20 prompts."""
_SIGNATURE = "library"
DESCRIPTIONS = "descriptions.jsonl"
"""The language model's descriptions, beside the catalog."""

Progress = Callable[[Iterable[Any], int], Iterable[Any]]


def build(
    state: State,
    load_encoder: Callable[[], Encoder],
    job: DescribeJob | None = None,
    folder: Path | None = None,
    progress: Progress = lambda items, total: items,
) -> Shelf:
    """Brings the library's catalog up to date; returns a line for each file.

    Without usable files the catalog is removed.
    """
    path = (folder or library_home()) / CATALOG
    shelf = shelve(state.files)
    if not shelf.usable:
        path.unlink(missing_ok=True)
        return shelf
    descriptions = path.with_name(DESCRIPTIONS)
    if job is not None:
        _describe(state, shelf, job, descriptions)
    signature = _signature(state, shelf, descriptions)
    if _signature_of(path) == signature:
        return shelf
    catalog_entries = entries(state.files(), shelf, generation_data)
    if descriptions.is_file():
        catalog_entries = with_descriptions(catalog_entries, read_descriptions(descriptions))
    encoder = load_encoder()
    with Catalog.create(path) as catalog:
        stream = iter(progress(with_plain_attributes(catalog_entries, encoder, batch=BATCH), shelf.usable))
        while group := tuple(islice(stream, BATCH)):
            add_entries(catalog, group, encoder)
        catalog.set_meta("held_out", "none")
        catalog.set_meta(_SIGNATURE, signature)
    return shelf


def generation_data(text: str) -> Mapping[str, Any] | None:
    """Returns a preview's text as generation data in Civitai's shape, or None."""
    if text.lstrip().startswith("{"):
        try:
            return _of_generation(from_text(text))
        except BadInput:
            return None
    infotext = parse(text)
    if not infotext.settings:
        return None
    names = {"Steps": "steps", "Sampler": "sampler", "CFG scale": "cfgScale", "Seed": "seed"}
    settings = {names.get(name, name): value for name, value in infotext.settings.items()}
    return {**settings, "prompt": infotext.prompt, "negativePrompt": infotext.negative_prompt}


def _of_generation(generation: Generation) -> Mapping[str, Any]:
    size = f"{generation.width}x{generation.height}" if generation.width and generation.height else None
    meta = {
        "prompt": generation.prompt, "negativePrompt": generation.negative_prompt, "steps": generation.steps,
        "cfgScale": generation.cfg_scale, "seed": generation.seed, "sampler": generation.sampler,
        "Schedule type": generation.schedule, "Model": generation.checkpoint.name, "Size": size,
    }  # fmt: skip
    return {name: value for name, value in meta.items() if value not in (None, "")}


def _describe(state: State, shelf: Shelf, job: DescribeJob, path: Path) -> None:
    """Asks a language model what the models are for, once per model; its answers are stored."""
    from diffagent.data.descriptions.describe import describe

    with DescriptionsFile(path) as file:
        describe(map(Source.of, entries(state.files(), shelf, generation_data)), job, file)


def _signature(state: State, shelf: Shelf, descriptions: Path) -> str:
    """A digest of the catalog's inputs."""
    digest = hashlib.sha256(str(READER).encode())
    if descriptions.is_file():
        digest.update(descriptions.read_bytes())
    usable = {line.path: line for line in shelf.lines if line.usable}
    for file in state.files():
        line = usable.get(str(file.path))
        if line is not None:
            is_on_hub = bool((file.hub or {}).get("version"))
            parts = (
                line.air,
                line.path,
                file.mtime,
                file.stamp,
                file.sha256,
                is_on_hub,
                line.base,
                file.override,
            )
            digest.update(repr(parts).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def _signature_of(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        with Catalog.open(path) as catalog:
            return catalog.get_meta(_SIGNATURE)
    except BadCatalog:
        return None
