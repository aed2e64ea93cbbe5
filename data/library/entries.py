"""From files to catalog entries: which are usable, why the others are not, and a card for each usable one.

    shelf = shelve(state.files)           # one line per file
    for entry in entries(state.files(), shelf, generation_data): …

A usable file is a complete and readable checkpoint, transformer or LoRA of a base model that some target
runs; a LoRA also needs a checkpoint in the library that runs it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from diffagent.data.air import AIR, CIVITAI, LOCAL
from diffagent.data.base_models import LISTED, backend, ecosystem_of, lora_fit, parts_of
from diffagent.data.catalog.cards import Entry, Names, card, compose, needed_words
from diffagent.data.catalog.cards import air as hub_air
from diffagent.data.catalog.filters import PassingVersion
from diffagent.data.catalog.samples import judge_image
from diffagent.data.catalog.texts import clean
from diffagent.data.library.bases import Base, base_of
from diffagent.data.library.kinds import LORAS, PLURALS, RUNNABLE
from diffagent.data.library.sidecars import SidecarNotes
from diffagent.data.library.state import File
from diffagent.data.library.training import words_of
from diffagent.data.prompts import is_sfw, strip_lora_tags
from diffagent.data.records import Card, ModelType, Sample, Usage

TARGETS = ("diffusers", "comfyui", "a1111", "civitai", "horde", "openai")
AIR_TYPES: Mapping[str, str] = {
    "checkpoint": "checkpoint", "transformer": "diffusionmodel", "LoRA": "lora", "LoCon": "lycoris",
    "LoHa": "lycoris", "LoKr": "lycoris", "DoRA": "dora",
}  # fmt: skip
_PARTS: Mapping[str, str] = {
    "VAE": "a part of other models, never chosen itself",
    "text encoder": "a part of other models, never chosen itself",
    "embedding": "named in prompts, never chosen itself",
    "hypernetwork": "no call names one",
    "unknown": "no model whose tensors are known",
}

MetaOf = Callable[[str], Mapping[str, Any] | None]
"""Converts a preview's text to generation data in Civitai's shape, or None."""


@dataclass(frozen=True)
class Line:
    """One file's kind and usability; ``why`` says why it is not usable, or has remarks."""

    shown: str
    path: str
    kind: str
    base: Base
    usable: bool
    why: str = ""
    air: str | None = None
    copy_of: str | None = None


@dataclass
class Shelf:
    """A line for each file, in order of path, and the checkpoints for entries' usage."""

    lines: list[Line] = field(default_factory=list)
    checkpoints: dict[str, str] = field(default_factory=dict)
    """The first ten digits of a checkpoint's hash, or its file name → its AIR."""

    @property
    def usable(self) -> int:
        return sum(line.usable for line in self.lines)

    @property
    def summary(self) -> str:
        """Returns the table in one line: "17 files: 9 usable, 3 VAEs, 2 pickles"."""
        others = Counter(line.kind for line in self.lines if not line.usable)
        files = len(self.lines)
        counts = [f"{self.usable:,} usable"]
        for kind, number in others.most_common():
            name = PLURALS.get(kind, kind) if number > 1 else kind
            counts.append(f"{number:,} {'not usable ' * (kind in RUNNABLE)}{name}")
        return f"{files:,} {'file' if files == 1 else 'files'}: {', '.join(counts)}"


def shelve(files: Callable[[], Iterable[File]]) -> Shelf:
    """Judges all files; ``files`` is called twice, because LoRAs depend on all checkpoints."""
    samples: dict[str, set[str]] = {}
    carriers: set[str] = set()
    names: set[str] = set()
    for file in files():
        facts = file.facts
        names.add(file.path.name.casefold())
        if facts.digest:
            samples.setdefault(facts.digest, set()).add(str(facts.sample))
        base = base_of(file)
        if facts.kind in ("checkpoint", "transformer") and _flaw(file, base) is None:
            carriers.add(str(base.name))
    shelf = Shelf()
    first_copies: dict[str, str] = {}
    for file in files():
        line = _line(file, samples, carriers, names, first_copies)
        shelf.lines.append(line)
        if line.usable and line.air and file.facts.kind in ("checkpoint", "transformer"):
            if file.sha256:
                shelf.checkpoints[file.sha256[:10]] = line.air
            shelf.checkpoints.setdefault(file.path.stem.casefold(), line.air)
    return shelf


def _line(
    file: File,
    samples: Mapping[str, set[str]],
    carriers: set[str],
    names: set[str],
    first_copies: dict[str, str],
) -> Line:
    kind, base = file.facts.kind, base_of(file)
    place = (file.shown, str(file.path), file.override.type or kind)
    flaw = _flaw(file, base)
    if flaw is None and kind in LORAS:
        flaw = _carrier_flaw(str(base.name), carriers)
    if flaw is not None:
        return Line(*place, base, False, flaw)
    air = str(_air(file, base, samples))
    if air in first_copies:
        return Line(*place, base, False, f"a copy of {first_copies[air]}", air, first_copies[air])
    first_copies[air] = file.shown
    return Line(*place, base, True, _remarks(file, base, names), air)


def _flaw(file: File, base: Base) -> str | None:
    """Returns why a file is not usable by itself, or None."""
    facts = file.facts
    if facts.problem is not None:
        return facts.problem
    if facts.kind not in RUNNABLE:
        return _PARTS.get(facts.kind, "no call names one yet")
    if facts.flaws:
        return f"not for text-to-image: {', '.join(facts.flaws)}"
    if base.name is None:
        return "its base model is unknown: set it with diffagent library set FILE --base-model NAME"
    if base.name not in LISTED or not any(backend(base.name, target) for target in TARGETS):
        return f"no target runs {base.name}"
    if facts.format == "gguf" and not _gguf_loaders(base.name):
        return f"no target loads {base.name} as GGUF: get it as safetensors"
    return None


def _gguf_loaders(base: str) -> list[str]:
    """The programs that load a base model's transformer from a GGUF file and its other parts separately."""
    forge = str(backend(base, "a1111") or "").title()
    comfyui = "ComfyUI with ComfyUI-GGUF" if backend(base, "comfyui") == "parts" else ""
    return [name for name in (comfyui, forge if forge.startswith("Forge") else "") if name]


def _carrier_flaw(base: str, carriers: Iterable[str]) -> str | None:
    if any(lora_fit(lora=base, checkpoint=checkpoint) for checkpoint in carriers):
        return None
    return f"no checkpoint of the library runs LoRAs of {base}: add one"


def _remarks(file: File, base: Base, names: set[str]) -> str:
    """Remarks on a usable file: doubts, and the missing files that it needs."""
    remarks = [base.doubt] if base.doubt else []
    if file.facts.format == "gguf":
        remarks.append(f"for {' or '.join(_gguf_loaders(str(base.name)))}")
    if file.facts.kind == "transformer":
        parts = [part for part in parts_of(str(base.name)) if part.file]
        missing = [
            str(part.file)
            for part in parts
            if not {str(part.file).casefold(), *map(str.casefold, part.also)} & names
        ]
        if missing or not parts:
            what = f"{', '.join(missing)}: not here" if missing else "text encoders and a VAE"
            remarks.append(f"runs with {what}")
    if file.facts.prediction == "v":
        remarks.append("v-prediction")
    return "; ".join(remarks)


def _air(file: File, base: Base, samples: Mapping[str, set[str]]) -> AIR:
    """The hub's AIR of a file, or else one by header and size; different files with equal headers also get a
    few digits of their contents."""
    kind = AIR_TYPES[file.facts.kind]
    assert base.name is not None
    ecosystem, digest = ecosystem_of(base.name), str(file.facts.digest)
    ids = _ids(file)
    if ids is not None:
        return AIR(ecosystem, kind, CIVITAI, str(ids[0]), str(ids[1]))
    suffix = str(file.facts.sample)[:8] if len(samples.get(digest, ())) > 1 else None
    return AIR(ecosystem, kind, LOCAL, digest, file=suffix)


def _ids(file: File) -> tuple[int, int] | None:
    """The hub's model id and version id, by its answer or by a sidecar with the file's full hash."""
    version = (file.hub or {}).get("version")
    if version:
        return int(version["modelId"]), int(version["id"])
    notes = file.notes
    if notes.model_id and notes.version_id and notes.sha256 and notes.sha256 == file.sha256:
        return notes.model_id, notes.version_id
    return None


def entries(files: Iterable[File], shelf: Shelf, meta_of: MetaOf) -> Iterator[Entry]:
    """Yields an entry for every usable file, names unique."""
    lines = {line.path: line for line in shelf.lines if line.usable}
    names = Names()
    for file in files:
        line = lines.get(str(file.path))
        if line is not None:
            yield _entry(file, line, shelf, names, meta_of)


def _entry(file: File, line: Line, shelf: Shelf, names: Names, meta_of: MetaOf) -> Entry:
    samples = _samples(file, meta_of)
    kind: ModelType = "LoRA" if file.facts.kind in LORAS else "Checkpoint"
    entry_card = _hub_card(file, line, kind, samples) or _own_card(file, line, kind, samples)
    usage = _usage(file, samples, shelf)
    override = file.override
    words = override.trigger_words
    entry_card = replace(
        entry_card,
        name=names.claim(clean(override.name or entry_card.name) or file.path.stem, *_nearer(file)),
        usage=usage,
        sha256=file.sha256 or entry_card.sha256,
        autov2=(file.sha256 or entry_card.sha256 or "")[:10] or None,
        file_name=file.path.name,
        hashes=_hashes(file, entry_card),
        aliases=tuple(dict.fromkeys(a for a in (file.path.stem, *_local_air(file)) if a != entry_card.name)),
        trigger_words=entry_card.trigger_words if words is None else words,
        optional_words=entry_card.optional_words if words is None else (),
    )
    if words is not None and entry_card.attributes is None:
        entry_card = replace(
            entry_card, description=compose(kind, entry_card.base_model, entry_card.tags, words)
        )
    stems = frozenset({file.path.stem.casefold()})
    return Entry(entry_card, samples, stems, _about(file))


def _nearer(file: File) -> tuple[str, ...]:
    """Suffixes that tell apart models of one name: the folder, then the contents."""
    parent = file.path.parent
    inside = "" if parent == file.root else parent.relative_to(file.root).as_posix() if (
        parent.is_relative_to(file.root)) else parent.name  # fmt: skip
    near = [clean(inside)] if inside else []
    return (*near, str(file.facts.digest)[:8])


def _own_card(file: File, line: Line, kind: ModelType, samples: Sequence[Sample]) -> Card:
    notes, facts = file.notes, file.facts
    words = tuple(w for w in (notes.trigger_words or facts.spec.trigger_words or facts.training.trigger_words)
                  if is_sfw(w))  # fmt: skip
    by_hand = bool(notes.trigger_words) and "A1111" in notes.sources
    needed = words if by_hand or kind == "Checkpoint" else needed_words(words, [s.prompt for s in samples])
    tags = tuple(
        tag for tag in words_of([*notes.tags, *facts.spec.tags, *facts.training.subjects]) if is_sfw(tag)
    )[:24]
    base, ids = str(line.base.name), _ids(file)
    return Card(
        name=clean(notes.name or facts.spec.name or facts.training.title or file.path.stem) or file.path.stem,
        type=kind,
        base_model=base,
        air=str(line.air),
        model_id=ids[0] if ids else None,
        version_id=ids[1] if ids else None,
        version_name=notes.version_name or "",
        tags=tags,
        trigger_words=needed,
        description=compose(kind, base, tags, words),
        source=CIVITAI if ids else LOCAL,
        optional_words=tuple(word for word in words if word not in needed),
    )


def _hub_card(file: File, line: Line, kind: ModelType, samples: Sequence[Sample]) -> Card | None:
    """The card of the hub's answer; None where it is missing or malformed."""
    version, item = ((file.hub or {}).get(name) for name in ("version", "item"))
    if not version or not item:
        return None
    base = str(line.base.name)
    try:
        model_file = next(f for f in version["files"] if str(f["hashes"]["SHA256"]).casefold() == file.sha256)
        candidate = PassingVersion(kind, base, version, model_file, (version,))
        hub_card = card(item, candidate, Names(), Usage(), samples)
        assert hub_air(item, base, candidate)
    except (KeyError, TypeError, StopIteration, AttributeError):
        return None
    return replace(hub_card, air=str(line.air), source=CIVITAI)


def _local_air(file: File) -> tuple[str, ...]:
    """The AIR that the file had before the look-up at the hub, an alias."""
    base = base_of(file)
    if _ids(file) is None or base.name is None:
        return ()
    return (str(_air(replace(file, hub=None, notes=SidecarNotes()), base, {})),)


def _hashes(file: File, entry_card: Card) -> tuple[str, ...]:
    file_hashes = [file.sha256, file.sha256[:10]] if file.sha256 else []
    return tuple(dict.fromkeys([*file_hashes, *entry_card.hashes, *file.facts.training.hashes]))


def _about(file: File) -> str:
    texts = (file.notes.about, file.facts.spec.about)
    return " ".join(text for text in texts if text)[:4000]


def _samples(file: File, meta_of: MetaOf) -> tuple[Sample, ...]:
    """The samples of the preview and the sidecar's images."""
    images = [dict(image) for image in file.notes.images]
    meta = meta_of(file.text) if file.text else None
    if meta is not None:
        images.insert(0, {"id": len(images), "meta": dict(meta)})
    outcomes = (judge_image(image, 0) for image in images)
    return tuple(
        sample for sample in outcomes if isinstance(sample, Sample) and strip_lora_tags(sample.prompt)
    )


def _usage(file: File, samples: Sequence[Sample], shelf: Shelf) -> Usage:
    counts: dict[str, Counter[Any]] = {name: Counter() for name in Usage.__dataclass_fields__}
    for sample in samples:
        for name in ("sampler", "steps", "cfg_scale", "clip_skip"):
            value = getattr(sample, name)
            if value is not None:
                counts[name][value] += 1
        if sample.width and sample.height and not sample.img2img:
            counts["size"][f"{sample.width}x{sample.height}"] += 1
        if file.facts.kind in LORAS:
            keys = ((sample.checkpoint_hash or "")[:10], (sample.checkpoint_name or "").casefold())
            carrier = next((shelf.checkpoints[key] for key in keys if key in shelf.checkpoints), None)
            if carrier:
                counts["checkpoints"][carrier] += 1
    if file.facts.kind in LORAS and file.notes.weight is not None:
        counts["lora_weight"][file.notes.weight] += 1
    return Usage(**{name: dict(counter.most_common()) for name, counter in counts.items()})
