"""Trainers' metadata in a model file: ``ss_*`` of kohya's scripts and their successors.

    of_training(header.metadata).words   -> (("inkfox", 1.0), ("snow", 0.4), …)

``ss_tag_frequency`` counts the captions' words by folder of pictures, ``ss_dataset_dirs`` has the folders'
sizes. A folder's name is "REPEATS_WORDS"; its words are the caption of pictures without one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diffagent.data.prompts import is_sfw

MOST_WORDS = 40
"""The number of the captions' most frequent words that are used."""
LONGEST_WORD = 60
_FOLDER = re.compile(r"\s*(\d{1,5})[_ ]+(.+)")
_TEXT_OF_COMMON = """
1girl|1boy|2girls|2boys|solo|girl|boy|man|woman|female|male|person|people|looking at viewer|smile|open mouth
long hair|short hair|blush|simple background|white background|breasts|highres|absurdres|masterpiece
best quality|standing|sitting|upper body|full body|closed mouth|indoors|outdoors|portrait|photo|a|the|image
picture|multiple girls|multiple boys|no humans|monochrome|greyscale|realistic
"""
_COMMON = frozenset(_TEXT_OF_COMMON.strip().replace("\n", "|").split("|"))
"""Words in captions of any subject, which are never trigger words."""


@dataclass(frozen=True)
class Training:
    """A training's metadata: ``base`` is the architecture and ``trained_on`` the checkpoint's file, both in
    the trainer's spelling.

    ``words`` are the captions' words with their shares of the pictures, most frequent first; ``concept`` has
    the words of the folders' names.
    """

    base: str | None = None
    trained_on: str | None = None
    words: tuple[tuple[str, float], ...] = ()
    concept: tuple[str, ...] = ()
    title: str | None = None
    hashes: tuple[str, ...] = ()
    """Other programs' hashes of the file: A1111's hash of the tensors, AutoV3."""
    v_prediction: bool | None = None

    @property
    def trigger_words(self) -> tuple[str, ...]:
        """The specific words in nearly all captions, or else the folder's."""
        words = [word for word, share in self.words if share >= 0.85 and word.casefold() not in _COMMON]
        if words:
            return tuple(words[:3])
        return self.concept[:1] if not self.words else ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """The specific words of the captions, most frequent first."""
        return tuple(word for word, _ in self.words if word.casefold() not in _COMMON)[:16]


def of_training(metadata: Mapping[str, str]) -> Training:
    """Reads the training in a safetensors file's metadata; damaged fields are empty."""
    words, concept = _captions(metadata)
    hashes = (metadata.get("sshs_model_hash"), metadata.get("sshs_legacy_hash"))
    return Training(
        base=_text(metadata.get("ss_base_model_version")),
        trained_on=_stem(metadata.get("ss_sd_model_name")),
        words=words,
        concept=concept,
        title=_text(metadata.get("ss_output_name")),
        hashes=tuple(h for value in hashes if (h := _hash(value))),
        v_prediction={"true": True, "false": False}.get(
            str(metadata.get("ss_v_parameterization")).casefold()
        ),
    )


def _captions(metadata: Mapping[str, str]) -> tuple[tuple[tuple[str, float], ...], tuple[str, ...]]:
    frequency, folders = _object(metadata.get("ss_tag_frequency")), _object(metadata.get("ss_dataset_dirs"))
    counts: Counter[str] = Counter()
    pictures = 0
    concept: dict[str, None] = {}
    for folder, words in frequency.items():
        if not isinstance(words, dict):
            continue
        size = folders.get(folder)
        images = size.get("img_count") if isinstance(size, dict) else None
        valid = {word: n for word, n in words.items() if isinstance(n, int) and 0 < n < 1 << 40}
        pictures += images if isinstance(images, int) and images > 0 else max(valid.values(), default=0)
        for word, count in valid.items():
            counts[" ".join(word.replace("_", " ").split())] += count
    for folder in (*frequency, *folders):
        if (match := _FOLDER.fullmatch(folder[:200])) and is_sfw(match[2]):
            concept.setdefault(" ".join(match[2].replace("_", " ").split()))
    shares = [
        (word, round(min(1.0, count / pictures), 3))
        for word, count in counts.most_common(10 * MOST_WORDS)
        if pictures and 1 < len(word) <= LONGEST_WORD and is_sfw(word)
    ]
    return tuple(shares[:MOST_WORDS]), tuple(concept)[:8]


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: str | None) -> str | None:
    text = " ".join((value or "").split())[:200]
    return None if text in ("", "None") else text


def _stem(value: str | None) -> str | None:
    name = _text(value)
    return name and re.sub(r"\.(?:safetensors|ckpt|pt|gguf)$", "", re.split(r"[/\\]", name)[-1], flags=re.I)


def _hash(value: str | None) -> str | None:
    digest = (value or "").casefold().removeprefix("0x")
    is_one = re.fullmatch(r"[0-9a-f]{8,64}", digest) and not digest.startswith("e3b0c44298fc")  # of nothing
    return digest[:12] if is_one else None


def words_of(values: Sequence[str]) -> tuple[str, ...]:
    """The distinct words, each in its first spelling."""
    first: dict[str, str] = {}
    for value in values:
        first.setdefault(value.casefold(), value)
    return tuple(first.values())
