"""Parts: the text encoders and the VAE that a model runs with, looked up among a server's files.

In: the parts of a base model's row (:class:`~diffagent.data.base_model_facts.Part`) and a server's files by
folder. Out: the server's names of them. A file in another precision matches too:
``t5xxl_fp8_e4m3fn.safetensors`` in place of ``t5xxl_fp16.safetensors``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from diffagent.data.base_model_facts import BaseModelFacts, Part, Role

Files = Mapping[str, Sequence[str]]
"""ComfyUI's name of a folder → a server's files there; empty: the server was not asked."""

GGUF = ".gguf"
GGUF_FOLDERS = {"diffusion_models": "unet_gguf", "text_encoders": "clip_gguf"}
"""Folder → the list of its GGUF files, which the custom nodes ComfyUI-GGUF add."""
UNGGUF = {part: folder for folder, part in GGUF_FOLDERS.items()}
_PRECISION = re.compile(
    r"[-_. ](?:fp?32|fp?16|bf16|fp8|fp4|nvfp4|mxfp8|int8|int4|nf4|e4m3fn|e5m2|scaled|mixed|fp8mixed|convrot"
    r"|i?q\d(?:_[a-z0-9])*)(?=[-_. ]|$)",
    re.I,
)


def of_role(row: BaseModelFacts | None, role: Role) -> tuple[Part, ...]:
    """Returns a base model's parts of one role, in order."""
    return tuple(part for part in (row.parts if row is not None else None) or () if part.role == role)


def server_files(files: Files, folder: str) -> tuple[str, ...]:
    """Returns a server's files in a folder, in any format."""
    return (*files.get(folder, ()), *files.get(GGUF_FOLDERS.get(folder, ""), ()))


def server_name(part: Part, files: Files) -> str | None:
    """Returns a server's name of a part: the usual name where the server was not asked, None if it lacks
    it."""
    usual = tuple(filter(None, (part.file, *part.also)))
    if not files:
        return next(iter(usual), None)
    there = server_files(files, part.folder)
    by_name = {_base(name): name for name in reversed(there)}
    exact = (by_name[name.casefold()] for name in usual if name.casefold() in by_name)
    keys = {_key(name) for name in usual}
    return next(exact, None) or next((name for name in there if _key(name) in keys), None)


def missing(parts: Iterable[Part], files: Files) -> list[str]:
    """Returns the parts that a server lacks, in words."""
    return [
        f"{part.file or ' or '.join(part.also)} in {part.folder}"
        for part in parts
        if server_name(part, files) is None
    ]


def _base(name: str) -> str:
    return re.split(r"[/\\]", name)[-1].casefold()


def _key(name: str) -> str:
    """Returns the part of a name that files of the same tensors in several precisions share."""
    stem = re.sub(r"\.(?:safetensors|sft|gguf|pt|pth|bin)$", "", _base(name))
    return re.sub(r"[-_. ]", "", _PRECISION.sub("", stem))
