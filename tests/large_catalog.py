"""A catalog made many times as large: each copy of an entry has ids, hashes, names and documents of its own.

    python tests/large_catalog.py CATALOG OUT --entries 75000

Half of the vocabulary of a copy's documents and half of the words of its names and subjects are replaced, as
another model's would be; the sentence vectors are moved a little. Common words stay common.
"""

from __future__ import annotations

import argparse
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.specification import IDS, KIND, PackedSpecification
from diffagent.data.records import Card

APART = 10**8
"""Between the ids of one copy and the next; Civitai's are below."""
BATCH = 4_096
"""Entries that are written together."""
NOISE = 12
"""Steps of 1/360 by which a copy's vectors differ at most in a dimension."""
_HEX = "0123456789abcdef"
_WORD = re.compile(r"[^\W\d_]+")
_AIR_IDS = re.compile(r"(\d+)@(\d+)")


def copied(card: Card, copy: int) -> Card:
    """A card with everything that identifies it made the copy's own; the original for copy 0."""
    if not copy:
        return card
    purpose = card.attributes
    if purpose is not None:
        subjects = tuple(words(subject, copy) for subject in purpose.subjects)
        needed = tuple(words(word, copy) for word in purpose.needed)
        purpose = purpose.model_copy(update={"subjects": subjects, "needed": needed})
    usage = replace(card.usage, checkpoints={air(key, copy): n for key, n in card.usage.checkpoints.items()})
    return replace(
        card,
        name=f"{words(card.name, copy)} {copy}",
        air=air(card.air, copy),
        model_id=card.model_id and card.model_id + copy * APART,
        version_id=card.version_id and card.version_id + copy * APART,
        sha256=card.sha256 and digest(card.sha256, copy),
        autov2=card.autov2 and digest(card.autov2, copy),
        hashes=tuple(digest(hash_, copy) for hash_ in card.hashes),
        older_airs=tuple(air(older_air, copy) for older_air in card.older_airs),
        aliases=tuple(f"{alias} {copy}" for alias in card.aliases),
        usage=usage,
        attributes=purpose,
    )


def air(text: str, copy: int) -> str:
    """An AIR with the copy's ids; one without ids gets a suffix."""
    copy_air, count = _AIR_IDS.subn(
        lambda match: f"{int(match[1]) + copy * APART}@{int(match[2]) + copy * APART}", text
    )
    return copy_air if count else f"{text}-{copy}"


def digest(text: str, copy: int) -> str:
    """Each hexadecimal digit moved on by ``copy``: prefixes stay prefixes, and no two copies share one."""
    return "".join(_HEX[(_HEX.index(c) + copy) % 16] for c in text)


def words(text: str, copy: int) -> str:
    """Every second word is the copy's own."""
    mark = chr(ord("a") + copy % 26)

    def own(match: re.Match[str]) -> str:
        return match[0] + mark * 2 if zlib.crc32(match[0].casefold().encode()) & 1 else match[0]

    return _WORD.sub(own, text)


def specification(blob: bytes, copy: int, rng: np.random.Generator) -> bytes:
    """A packed specification with half of its terms replaced and its vectors moved a little."""
    if not copy:
        return blob
    packed = PackedSpecification.read(blob)
    hashed = packed.hashed.copy()
    half = (hashed * np.uint32(2654435761)) >> 16 & 1 == 1
    hashed[half] = (hashed[half] & ~np.uint32(IDS)) | (
        (hashed[half] + np.uint32(7919 * copy)) & np.uint32(IDS)
    )
    noise = rng.integers(-NOISE, NOISE + 1, packed.embeddings.shape)
    vectors = np.clip(packed.embeddings + noise, -127, 127).astype(np.int8)
    head = len(blob) - 4 * len(hashed) - vectors.size
    return bytes(blob[:head] + hashed.astype("<u4").tobytes() + vectors.tobytes())


def enlarge(source: Path, out: Path, entries: int) -> None:
    """A catalog of ``entries`` entries, of as many copies of those of ``source`` as that takes."""
    with Catalog.open(source) as small:
        cards = small.entries()
        blobs = dict(small.features(KIND))

    def stream() -> Iterator[tuple[Card, bytes]]:
        rng = np.random.default_rng(0)
        for copy in range(-(-entries // len(cards))):
            for entry, card in cards:
                yield copied(card, copy), specification(blobs[entry], copy, rng)

    copies = islice(stream(), entries)
    with Catalog.create(out) as large:
        while group := list(islice(copies, BATCH)):
            ids = large.add(card for card, _ in group)
            pairs = zip(ids, group, strict=True)
            large.put_features(KIND, {entry: blob for entry, (_, blob) in pairs})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("catalog", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--entries", type=int, default=75_000)
    args = parser.parse_args()
    enlarge(args.catalog, args.out, args.entries)


if __name__ == "__main__":
    main()
