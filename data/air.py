"""AIRs, names of models across hubs: ``urn:air:ECOSYSTEM:TYPE:SOURCE:ID[@VERSION][+FILE][.FORMAT]``.

    AIR.parse("urn:air:sdxl:lora:civitai:12@34+56.safetensors")
    AIR("sdxl", "lora", "civitai", "12", "34", "56", "safetensors")

This module alone parses and builds AIRs. ``str`` returns the text, with the words before the identifier in
lower case. Grammar: Civitai's ``src/shared/utils/air.ts`` and its developer documentation. Identifiers differ
by source:

    civitai:ID@VERSION[+FILE][.FORMAT]         numbers
    huggingface:ORG/REPO[@REVISION/FILE][+FILE]  a file as a path; repositories have dots, so no format
    horde:NAME                                 AI Horde's name of a model, blanks included
    local:SHA256[.FORMAT]                      64 hexadecimal digits
    other sources                              identifiers without blanks, @ and +
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, WithJsonSchema

from diffagent.data.errors import BadInput

PREFIX = "urn:air:"
IN_TEXT = re.compile(r"urn:air:\S+", re.I)
"""Finds AIRs without blanks in running text."""
SHAPE = (
    f"{PREFIX}ECOSYSTEM:TYPE:SOURCE with SOURCE civitai:ID@VERSION, huggingface:ORG/REPO, horde:NAME or "
    "local:SHA256"
)
CIVITAI, HUGGINGFACE, HORDE, LOCAL = "civitai", "huggingface", "horde", "local"

MODEL_TYPES: Mapping[str, Literal["Checkpoint", "LoRA"]] = {
    "checkpoint": "Checkpoint",
    "diffusionmodel": "Checkpoint",
    "unet": "Checkpoint",
    "lora": "LoRA",
    "lycoris": "LoRA",
    "dora": "LoRA",
}
"""AIR type → the type in a call; a call can name these only."""

_WORD = r"[a-z0-9_./-]+"
_HEAD = re.compile(rf"urn:air:({_WORD}):({_WORD}):({_WORD}):(.+)", re.I | re.S)
_FORMATS = "safetensors|ckpt|pt|pth|bin|gguf|onnx|diffusers|coreml|zip|other"
_SUFFIX = rf"(?:\.(?P<format>(?i:{_FORMATS})))?"
_PLAIN = re.compile(rf"(?P<id>[^\s@+]+?)(?:@(?P<version>[^\s@+]+?))?(?:\+(?P<file>[^\s@+]+?))?{_SUFFIX}")
_TAILS: Mapping[str, re.Pattern[str]] = {
    CIVITAI: re.compile(
        r"(?P<id>[0-9]{1,18})(?:@(?P<version>[0-9]{1,18}))?(?:\+(?P<file>[0-9]{1,18}))?"
        r"(?:\.(?P<format>[A-Za-z][A-Za-z0-9]*))?"
    ),
    HUGGINGFACE: re.compile(
        r"(?P<id>[^\s/:@+]{1,96}/[^\s/:@+]{1,96})(?:@(?P<version>refs/[^\s/@+]+/[^\s/@+]+|(?!refs/)[^\s/@+]+))?"
        r"(?:(?(version)[/+]|\+)(?P<file>[^\s/]\S*))?(?P<format>(?!))?"
    ),
    HORDE: re.compile(r"(?P<id>\S(?:[^\r\n]*\S)?)(?P<version>(?!))?(?P<file>(?!))?(?P<format>(?!))?"),
    LOCAL: re.compile(
        rf"(?P<id>[0-9a-fA-F]{{64}})(?P<version>(?!))?(?:\+(?P<file>[^\s@+]+?))?{_SUFFIX}"
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AIR:
    """One model's name; a part that the text lacks is None.

    Raises:
        BadInput: the parts are not those of an AIR, or would be parsed as other parts.
    """

    ecosystem: str
    type: str
    source: str
    id: str
    version: str | None = None
    file: str | None = None
    format: str | None = None

    def __post_init__(self) -> None:
        if _parts(str(self)) != self._fields():
            raise BadInput(f"these parts do not make an AIR: {self._fields()}: it is {SHAPE}")

    def __str__(self) -> str:
        text = f"{PREFIX}{self.ecosystem}:{self.type}:{self.source}:{self.key}"
        if self.file is not None:
            path = self.source == HUGGINGFACE and self.version is not None
            text += ("/" if path else "+") + self.file
        return text + (f".{self.format}" if self.format is not None else "")

    @classmethod
    def parse(cls, text: str) -> AIR:
        """Returns the AIR of a text; results are cached.

        Raises:
            BadInput: the text is not an AIR.
        """
        return _parse(text)

    @classmethod
    def read(cls, text: str) -> AIR | None:
        """Returns the AIR of a text, or None where the text is not one."""
        return _parse(text) if _parts(text) is not None else None

    @property
    def key(self) -> str:
        """The identifier at the source, with the version where there is one: "12@34"."""
        return self.id if self.version is None else f"{self.id}@{self.version}"

    @property
    def model(self) -> AIR:
        """The same AIR without a file and its format, as the catalog names a model."""
        return self if self.file is None is self.format else replace(self, file=None, format=None)

    @property
    def model_type(self) -> Literal["Checkpoint", "LoRA"] | None:
        """The type as a call spells it; None for types that a call cannot name."""
        return MODEL_TYPES.get(self.type)

    @property
    def civitai_ids(self) -> tuple[int, int] | None:
        """Civitai's numbers of model and version, where both are given."""
        if self.source != CIVITAI or self.version is None:
            return None
        return int(self.id), int(self.version)

    @property
    def url(self) -> str | None:
        """The model's web page; None where its source has none."""
        if self.source == HUGGINGFACE:
            return f"https://huggingface.co/{self.id}"
        if self.source != CIVITAI:
            return None
        version = "" if self.version is None else f"?modelVersionId={self.version}"
        return f"https://civitai.com/models/{self.id}{version}"

    def _fields(self) -> tuple[str | None, ...]:
        return (self.ecosystem, self.type, self.source, self.id, self.version, self.file, self.format)


def is_air(text: str) -> bool:
    """Whether a text is meant as an AIR, well formed or not."""
    return text.strip().casefold().startswith(PREFIX)


def source_of(text: str) -> str:
    """The source of an AIR.

    Raises:
        BadInput: the text is not an AIR.
    """
    parts = _parts(text)
    return AIR.parse(text).source if parts is None else str(parts[2])


def _parts(text: str) -> tuple[str | None, ...] | None:
    """The seven fields of a text; None where it is not an AIR."""
    head = _HEAD.fullmatch(text)
    if head is None:
        return None
    ecosystem, kind, source = (word.lower() for word in head.groups()[:3])
    tail = _TAILS.get(source, _PLAIN).fullmatch(head[4])
    if tail is None:
        return None
    number = tail["id"].lower() if source == LOCAL else tail["id"]
    form = tail["format"].lower() if tail["format"] else None
    return ecosystem, kind, source, number, tail["version"], tail["file"], form


@lru_cache(maxsize=1 << 16)
def _parse(text: str) -> AIR:
    parts = _parts(text)
    if parts is None:
        excerpt = text if len(text) <= 80 else text[:77] + "…"
        raise BadInput(f"not an AIR: {excerpt!r}: it is {SHAPE}")
    return AIR(*parts)  # type: ignore[arg-type]  # the first four are text


def _of_a_model(text: str) -> str:
    """Checks the AIR of a catalog entry or a call and returns it as ``str`` prints it."""
    try:
        air = AIR.parse(text)
    except BadInput as error:
        raise ValueError(str(error)) from None
    if air.model_type is None:
        raise ValueError(f"{text!r} names a {air.type}: a call names {', '.join(MODEL_TYPES)}")
    if air.source == CIVITAI and air.version is None:
        raise ValueError(f"{text!r} has no version: write civitai:ID@VERSION")
    return str(air)


ModelAir = Annotated[
    str,
    AfterValidator(_of_a_model),
    WithJsonSchema({"type": "string", "pattern": r"^urn:air:[^:]+:[^:]+:[^:]+:.+$"}),
]
"""A pydantic field: the AIR of a checkpoint or LoRA, kept as text."""
