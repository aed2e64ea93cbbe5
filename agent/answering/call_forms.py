"""The input forms of a call: itself, with its reasons, a target's request, a picture.

    diffagent call "a fox" > c.json                        the call
    diffagent call "a fox" --explain > c.json              {"call": …, …}; so does a row of diffagent route
    diffagent call "a fox" --target a1111 > c.json         the request of a target
    fox.png                                                its metadata

All become a :class:`CallInput`. A request is read in its target's spelling; fields that it lacks, such as the
sampler in OpenAI's API, get the base model's usual value and a note.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diffagent.agent.targets import TABLE, load
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadCall, BadInput, UnknownModel
from diffagent.data.metadata import picture
from diffagent.data.metadata.generation import Generation, ModelUse, recover
from diffagent.data.records import T2ICall

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif")
"""The suffixes of pictures."""
_FORMS = "give what diffagent call, call --target TARGET, call --explain or a row of diffagent route prints"


@dataclass(frozen=True)
class CallInput:
    """A call; ``target``: the API of the request that it came from, if any; ``notes`` on fields that the form
    lacked; ``generation``: a picture's metadata.
    """

    call: T2ICall
    target: str | None = None
    notes: tuple[str, ...] = ()
    generation: Generation | None = None


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its name or its first bytes."""
    if path.suffix.casefold() in PICTURES:
        return True
    with path.open("rb") as file:
        return file.read(4) in (b"\x89PNG", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1", b"RIFF")


def is_call(text: str) -> bool:
    """Whether a text is a call and not a prompt."""
    return text.lstrip().startswith("{")


def from_picture(source: Path | bytes, catalog: Catalog) -> CallInput:
    """Returns a picture's call: diffagent's own, if the file contains it; else that of any program's
    metadata.

    Raises:
        BadImage, BadInput, UnknownModel: as :func:`picture.read` and :func:`recover`.
    """
    call = own_call(source)
    if call is not None and all(catalog.by_air(air) for air in airs(call)):
        return CallInput(call, generation=_metadata_of(source))
    generation = picture.read(source)
    recovery = recover(generation, catalog)
    return CallInput(recovery.call, notes=recovery.notes, generation=generation)


def from_text(text: str, catalog: Catalog, name: str = "the text") -> CallInput:
    """Returns the call of a JSON text in any form.

    Raises:
        BadCall: the text is not a call. UnknownModel: the catalog lacks a model of a target's request.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadCall(f"{name} is not a T2I call: it is not JSON ({str(error)[:80]})", _FORMS) from None
    return from_json(value, catalog, name)


def from_json(value: Any, catalog: Catalog, name: str = "the text") -> CallInput:
    """Returns the call of a JSON value; errors of :func:`from_text`."""
    if not isinstance(value, Mapping):
        raise BadCall(f"{name} is not a T2I call: it is {type(value).__name__}, not an object", _FORMS)
    if isinstance(value.get("call"), Mapping):
        return CallInput(T2ICall.parse(value["call"]))
    if isinstance(value.get("error"), Mapping):
        raise BadCall(f"{name} is a row without a call: {value['error'].get('message')}")
    target = request_target(value)
    if target is not None:
        try:
            return _of_request(target, value, catalog)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            fault = f"{type(error).__name__} {error}"[:80]
            raise BadCall(f"{name} looks like a request of {target}, but is not one ({fault})") from None
    try:
        return CallInput(T2ICall.parse(dict(value)))
    except BadCall as error:
        raise BadCall(f"{name}: {error}", error.hint) from None


def request_target(value: Any) -> str | None:
    """Returns the target whose request a JSON value is, or None."""
    if not isinstance(value, Mapping) or isinstance(value.get("call"), Mapping):
        return None
    readings = ((target, load(target).reading) for target in TABLE)
    return next((target for target, how in readings if how is not None and how.is_request(value)), None)


def airs(call: T2ICall) -> tuple[str, ...]:
    """Returns the AIRs of a call's checkpoint and LoRAs."""
    return (call.base_checkpoint or call.air, *(lora.air for lora in call.loras))


def differences(generation: Generation, call: T2ICall, catalog: Catalog) -> list[str]:
    """Returns the differences between a picture's metadata and a call, a line each."""
    lines = []

    def compare(name: str, original: object, value: object) -> None:
        if original is not None and original != value:
            lines.append(f"{name}: {value} in place of {original}")

    for name in ("prompt", "negative_prompt", "steps", "cfg_scale", "seed", "width", "height", "clip_skip"):
        field = "sampling_steps" if name == "steps" else name
        compare(field, getattr(generation, name), getattr(call, field))
    checkpoint = catalog.by_air(call.base_checkpoint or call.air)
    if checkpoint is not None and not _is_use(generation.checkpoint, checkpoint.air, catalog):
        lines.append(f"checkpoint: {checkpoint.name} in place of {generation.checkpoint}")
    for use in generation.loras:
        if not any(_is_use(use, lora.air, catalog) for lora in call.loras):
            lines.append(f"LoRA: without {use}")
    for lora in call.loras:
        if not any(_is_use(use, lora.air, catalog) for use in generation.loras):
            lines.append(f"LoRA: with {lora.model}, which the picture was made without")
    return lines


def _is_use(use: ModelUse, air: str, catalog: Catalog) -> bool:
    cards = (
        *(catalog.by_hash(digest) for digest in use.hashes),
        catalog.by_file(use.name) if use.name else None,
        catalog.by_name(use.name) if use.name else None,
    )
    version = use.version_id is not None and air.endswith(f"@{use.version_id}")
    return version or any(card is not None and card.air == air for card in cards)


def own_call(source: Path | bytes) -> T2ICall | None:
    """Returns the call in a picture made by diffagent, or None."""
    with picture._open(source) as image:
        text = picture.texts(image).get("diffagent")
    if text is None:
        return None
    try:
        return T2ICall.parse(json.loads(text))
    except (BadInput, ValueError):
        return None


def _metadata_of(source: Path | bytes) -> Generation | None:
    try:
        return picture.read(source)
    except BadInput:
        return None


def _of_request(target: str, body: Mapping[str, Any], catalog: Catalog) -> CallInput:
    reading = load(target).reading
    assert reading is not None
    generation = reading.read(body, catalog)
    try:
        recovery = recover(generation, catalog)
    except UnknownModel as error:
        raise UnknownModel(str(error).replace("the picture's", "the request's"), error.hint) from None
    except BadInput as error:
        raise BadInput(str(error).replace("the picture's", "the request's"), error.hint) from None
    notes = tuple(note.replace("the metadata", "the request") for note in recovery.notes)
    return replace(CallInput(recovery.call, notes=notes), target=target)
