"""Short names: models' names in at most 16 characters, without brackets and versions.

"AIO Pixel Art [LoRA] v1.2 | 像素" -> "AIO Pixel Art"
"""

from __future__ import annotations

import re

NAME_CHARACTERS = 16
_ASIDE = re.compile(r"[\[(【（{<][^\])】）}>]*(?:[\])】）}>]|$)")
_BAR = re.compile(r"\s[-–—~]+\s|[|丨:/]")
_FILLER = re.compile(r"(?i)\b(?:lora|locon|lycoris|loha|v?\d+(?:\.\d+)*[a-z]?)\b")
_SIGNS = " ,.:;-_/+*&~#=<>"
_NOT_LATIN = re.compile(r"[^\x20-\u024f]+")


def short_name(name: str) -> str:
    """Returns a name in at most 16 characters: without brackets, versions, "LoRA", the part after a bar and
    signs at its ends; beside Latin letters no other script, whose characters cost up to three tokens each."""
    bare = _ASIDE.sub(" ", name)
    parts = [" ".join(_FILLER.sub(" ", part).split()) for part in _BAR.split(bare)]
    latin = [" ".join(_NOT_LATIN.sub(" ", part).split()).strip(_SIGNS) for part in parts]
    name_part = next((part for part in latin if sum(map(str.isalpha, part)) > 2), " ".join(name.split()))
    if len(name_part) <= NAME_CHARACTERS:
        return name_part
    cut = name_part[: NAME_CHARACTERS + 1].rpartition(" ")[0]
    return cut if len(cut) > NAME_CHARACTERS // 2 else name_part[:NAME_CHARACTERS]
