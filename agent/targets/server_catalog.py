"""A catalog with a server's other models: models that the catalog does not know become entries.

    lists of the server → files that the catalog lacks → their metadata → entries → a copy of the catalog

A file is described by its name, the metadata that the server gives (A1111 in its lists, ComfyUI by
``/view_metadata``), and its header where the server runs on this machine and tells the file's path (A1111 in
its lists, ComfyUI by its folders). One of them has to tell the base model: a model without one is left out
and reported, as is a file whose header shows that it makes no pictures from text. The catalog is cached, and
built again when the server's models or the catalog change.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from diffagent.agent.executors.wire import Wire, is_local
from diffagent.agent.targets.installed_models import BACKOFF, LIFETIME, match_models, read_lists
from diffagent.agent.targets.parts import UNGGUF
from diffagent.data.air import AIR, LOCAL
from diffagent.data.base_models import LISTED, by_file_name, by_header, ecosystem_of, families, find
from diffagent.data.catalog.cards import Entry, compose
from diffagent.data.catalog.catalog import Catalog, default_catalog
from diffagent.data.errors import DiffAgentError, TargetError
from diffagent.data.library.bases import fits
from diffagent.data.library.headers import read_header
from diffagent.data.library.kinds import RUNNABLE, FileVerdict, judge
from diffagent.data.metadata.infotext import stem
from diffagent.data.prompts import is_sfw
from diffagent.data.records import Card, ModelType
from diffagent.data.weights.weights import home

if TYPE_CHECKING:
    from diffagent.data.encoders.text_encoder import Encoder

_TAGS = 12
"""The most training tags of a LoRA."""
_SHOWN = 20
"""The most names in a message."""
MOST_METADATA = 200
"""The most files whose metadata is read, one request each."""


@dataclass(frozen=True)
class ServerFile:
    """A model's file as a server lists it.

    ``paths``: where it may be on the server's machine, in the server's order; ``folder``: ComfyUI's name of
    the folder in a request for metadata; ``verdict``: what the file's header shows, where it is readable.
    """

    name: str
    kind: ModelType
    digest: str | None = None
    paths: tuple[str, ...] = ()
    folder: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    verdict: FileVerdict | None = None

    @property
    def file_name(self) -> str:
        """The name without its folder and with a suffix."""
        last = re.split(r"[/\\]", self.name)[-1]
        return last if last.lower().endswith((".safetensors", ".ckpt", ".gguf")) else f"{last}.safetensors"


class ServerCatalog(NamedTuple):
    """The result: ``path`` of the catalog with the server's own models; their names ``added``; ``left_out``:
    files without a known base model; ``unfit``: files that make no pictures from text, with the reason."""

    path: Path
    added: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()

    def lines(self, url: str) -> Iterator[str]:
        """Yields messages about the server's models."""
        if self.added:
            models = f"{len(self.added)} model{'s' * (len(self.added) > 1)}"
            yield f"{url} has {models} that the catalog did not know: {_some(self.added)}"
        if self.left_out:
            *_, (_, folder) = families()
            yield (
                f"left out of {url}'s models: {_some(self.left_out)}: nothing tells their base model: put it "
                f"into the file's name or folder, such as {folder}/NAME.safetensors, or read the server's "
                "folder with diffagent library DIR"
            )
        if self.unfit:
            yield f"left out of {url}'s models, for no text becomes a picture with them: {_some(self.unfit)}"


def with_server_models(
    catalog: str | Path | None,
    target: str,
    url: str | None,
    *,
    encoder: Encoder | None = None,
    lifetime: float = LIFETIME,
    folder: Path | None = None,
) -> ServerCatalog:
    """Returns the catalog with a server's other models, or the catalog itself where it knows them all.

    Args:
        catalog: a catalog's file; None: the default catalog.
        target: a target with lists.
        url: the server's address; None: the default.
        lifetime: seconds for which cached lists are used.
        folder: where such catalogs and lists are stored; default: in the cache.

    Raises:
        BadInput: the target has no lists. TargetError: the server does not answer.
    """
    path = Path(catalog) if catalog else default_catalog()
    folder = folder or home() / "installed"
    address, lists = read_lists(target, url, lifetime=lifetime, cache=folder)
    if target == "horde":  # a public service: the catalog knows its models or not
        return ServerCatalog(path)
    with Catalog.open(path) as opened:
        new = [
            file
            for file in files_of(lists)
            if match_models([{"name": file.name, "hash": file.digest}], opened)[1]
        ]
    if not new:
        return ServerCatalog(path)
    if is_local(address):
        new = list(map(read_here, new))
    unfit = tuple(f"{file.name} ({flaw})" for file in new if (flaw := _flaw(file)))
    new = asyncio.run(_with_metadata(address, [file for file in new if not _flaw(file)]))
    bases = list(map(base_model_of, new))
    cards = [_card(file, base, address) for file, base in zip(new, bases, strict=True) if base is not None]
    left_out = tuple(file.name for file, base in zip(new, bases, strict=True) if base is None)
    if not cards:
        return ServerCatalog(path, (), left_out, unfit)
    server = hashlib.sha256(f"{target} {address}".encode()).hexdigest()[:12]
    facts = path.stat()
    content = json.dumps(
        [str(path.resolve()), facts.st_mtime_ns, facts.st_size, [asdict(card) for card in cards]], default=str
    )
    out = folder / f"{server}-{hashlib.sha256(content.encode()).hexdigest()[:12]}.sqlite"
    if not out.is_file():
        _make(path, out, cards, encoder)
        for other in folder.glob(f"{server}-*.sqlite"):
            if other != out:
                other.unlink(missing_ok=True)
    return ServerCatalog(out, tuple(card.name for card in cards), left_out, unfit)


def files_of(lists: Mapping[str, Any]) -> Iterator[ServerFile]:
    """Yields the models of a server's lists, of any program."""
    folders: Mapping[str, Any] = lists.get("files") or lists
    places: Mapping[str, Sequence[str]] = lists.get("places") or {}
    for name, kind in _FOLDERS.items():
        for entry in folders.get(name) or ():
            if isinstance(entry, str):
                folder = UNGGUF.get(name, name)
                paths = tuple(f"{place}/{entry}" for place in places.get(folder, ()))
                yield ServerFile(entry, kind, paths=paths, folder=folder)
                continue
            metadata = entry.get("metadata")
            yield ServerFile(
                entry["name"],
                kind,
                entry.get("hash") or None,
                (entry["path"],) if entry.get("path") else (),
                metadata=metadata if isinstance(metadata, Mapping) else {},
            )


_FOLDERS: Mapping[str, ModelType] = {
    "checkpoints": "Checkpoint", "diffusion_models": "Checkpoint", "unet_gguf": "Checkpoint", "loras": "LoRA"
}  # fmt: skip


def read_here(file: ServerFile) -> ServerFile:
    """Returns a file with the verdict on its header, where it is on this machine and readable."""
    for path in map(Path, file.paths):
        try:
            header = read_header(path) if path.is_file() else None
        except (OSError, DiffAgentError):
            continue
        if header is not None:
            return replace(file, metadata={**header.metadata, **file.metadata}, verdict=judge(header, path))
    return file


def _flaw(file: ServerFile) -> str | None:
    """Returns why a file does not make pictures from text, by its header; None where it may."""
    if file.verdict is None or file.verdict.kind == "unknown":
        return None
    return ", ".join(file.verdict.flaws) or (None if file.verdict.kind in RUNNABLE else file.verdict.kind)


def base_model_of(file: ServerFile) -> str | None:
    """Returns the base model that a file's header, metadata or name tells; None where none does."""
    if file.verdict is not None and file.verdict.base_model is not None:
        return _if_listed(file.verdict.base_model)
    metadata = {str(key): value for key, value in file.metadata.items() if isinstance(value, str)}
    base = by_header({}, metadata)
    if base is None and (row := find(metadata.get("ss_base_model_version", ""))) is not None:
        base = row.name
    base_by_name = by_file_name(" ".join([file.name, metadata.get("ss_sd_model_name", "")]))
    if base is None:
        return _if_listed(base_by_name)
    return _if_listed(base_by_name if base_by_name is not None and fits(base, base_by_name) else base)


def _if_listed(base_model: str | None) -> str | None:
    return base_model if base_model in LISTED else None


async def _with_metadata(url: str, files: list[ServerFile]) -> list[ServerFile]:
    """Returns the files with ComfyUI's metadata, where the server has it."""
    silent = [file for file in files if file.folder and file.verdict is None][:MOST_METADATA]
    if not silent:
        return files
    by_name: dict[str, Mapping[str, Any]] = {}
    async with Wire(url, remedy="start the server", backoff=BACKOFF, timeout=15) as wire:
        for file in silent:
            try:
                metadata = await wire.get(f"/view_metadata/{file.folder}", {"filename": file.name})
            except TargetError:
                continue
            if isinstance(metadata, Mapping):
                by_name[file.name] = metadata
    return [replace(file, metadata=by_name.get(file.name, file.metadata)) for file in files]


def _card(file: ServerFile, base_model: str, url: str) -> Card:
    digest = (file.digest or "").casefold()
    identity = digest or hashlib.sha256(f"{url} {file.kind} {file.name}".encode()).hexdigest()
    metadata = file.metadata
    phrase = metadata.get("modelspec.trigger_phrase")
    words = tuple(w.strip() for w in str(phrase).split(",") if w.strip() and is_sfw(w)) if phrase else ()
    tags = tuple(_training_tags(metadata))
    title = metadata.get("modelspec.title")
    name = " ".join(title.split()) if isinstance(title, str) and title.strip() else stem(file.file_name)
    kind = "checkpoint" if file.kind == "Checkpoint" else "lora"
    return Card(
        name=name[:120],
        type=file.kind,
        base_model=base_model,
        air=str(AIR(ecosystem_of(base_model), kind, LOCAL, identity)),
        sha256=digest if len(digest) == 64 else None,
        autov2=digest[:10] or None,
        file_name=file.file_name,
        tags=tags,
        trigger_words=words,
        description=compose(file.kind, base_model, tags, words),
        source=LOCAL,
        hashes=tuple(dict.fromkeys(filter(None, (digest, digest[:10])))),
        aliases=tuple(alias for alias in (stem(file.file_name),) if alias != name),
    )


def _training_tags(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Yields the most frequent tags of kohya's ``ss_tag_frequency``: {folder: {tag: count}}, as JSON or
    not."""
    frequencies = metadata.get("ss_tag_frequency")
    if isinstance(frequencies, str):
        try:
            frequencies = json.loads(frequencies)
        except ValueError:
            return
    counts: dict[str, int] = {}
    for tags in frequencies.values() if isinstance(frequencies, Mapping) else ():
        for tag, count in tags.items() if isinstance(tags, Mapping) else ():
            if isinstance(count, int) and is_sfw(str(tag)):
                counts[str(tag).strip()] = counts.get(str(tag).strip(), 0) + count
    yield from sorted(filter(None, counts), key=lambda tag: -counts[tag])[:_TAGS]


def _make(catalog: Path, out: Path, cards: list[Card], encoder: Encoder | None) -> None:
    """Copies a catalog, adds entries, and moves the copy into place when it is complete."""
    from diffagent.data.catalog.importing import add_entries
    from diffagent.data.descriptions.plain_attributes import with_plain_attributes
    from diffagent.data.encoders.text_encoder import TextEncoder

    encoder = encoder or TextEncoder.load()
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    shutil.copyfile(catalog, part)
    try:
        with Catalog.open(part, writable=True) as opened:
            add_entries(opened, with_plain_attributes(map(Entry, cards), encoder), encoder)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _some(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
