"""Time and peak memory of ``diffagent data build`` on a crawl that is made ten times as large.

    python tests/benchmarks/scale.py RAW WORK --times 10 [--no-novel]

Every copy of a model gets ids, hashes, names and prompts of its own: half of the vocabulary is replaced, so
that a prompt's copies are no near-duplicates of each other (Jaccard 1/3), while common words stay common.
Prints one JSON object; WORK keeps the enlarged crawl for the next run.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diffagent.data.hubs.raw import RawFolder, publish

APART = 10**8
"""Between the ids of one copy and the next; Civitai's are below."""
_HEX = "0123456789abcdef"
_TAG = re.compile(r"(<\w+\s*:[^<>:]*)(:[^<>]*)?>")
_WORD = re.compile(r"[^\W\d_]+")


def enlarged(models: Iterator[Any], copy: int) -> Iterator[Any]:
    """The models with everything that identifies them, or their prompts, made the copy's own."""
    for item in models:
        item["id"] += copy * APART
        item["name"] = f"{item['name']} {copy}"
        for version in item.get("modelVersions") or ():
            version["id"] += copy * APART
            version["trainedWords"] = [words(str(word), copy) for word in version.get("trainedWords") or ()]
            for file in version.get("files") or ():
                file["name"] = renamed(file["name"], copy)
                file["hashes"] = {
                    kind: digest(text, copy) for kind, text in (file.get("hashes") or {}).items()
                }
            for image in version.get("images") or ():
                image["id"] += copy * APART
                if image.get("meta"):
                    image["meta"] = generation_data(image["meta"], copy)
        yield item


def generation_data(meta: dict[str, Any], copy: int) -> dict[str, Any]:
    for key in ("prompt", "negativePrompt"):
        if isinstance(meta.get(key), str):
            meta[key] = words(meta[key], copy)
    meta["Model hash"] = digest(meta.get("Model hash"), copy)
    if isinstance(meta.get("hashes"), dict):
        meta["hashes"] = {
            (f"{key}{copy}" if key.startswith("lora:") else key): digest(text, copy)
            for key, text in meta["hashes"].items()
        }
    resources = meta.get("resources")
    for entry in resources if isinstance(resources, list) else ():
        entry["hash"] = digest(entry.get("hash"), copy)
        if entry.get("type") == "lora" and isinstance(entry.get("name"), str):
            entry["name"] = f"{entry['name']}{copy}"
    return meta


def digest(text: Any, copy: int) -> Any:
    """Each hexadecimal digit moved on by ``copy``: prefixes stay prefixes, and no two copies share one."""
    if not isinstance(text, str):
        return text
    return "".join(
        _HEX[(_HEX.index(c) + copy) % 16] if c in _HEX else c for c in text.casefold().removeprefix("0x")
    )


def words(text: str, copy: int) -> str:
    """Every second word of the vocabulary and every tag's name is the copy's own."""
    mark = chr(ord("a") + copy % 26)

    def own(match: re.Match[str]) -> str:
        return match[0] + mark * 2 if zlib.crc32(match[0].casefold().encode()) & 1 else match[0]

    plain = _TAG.split(text)
    rest = [_WORD.sub(own, piece) for piece in plain[::3]]
    tags = [f"{name}{copy}{tail or ''}>" for name, tail in zip(plain[1::3], plain[2::3], strict=True)]
    return "".join(piece for both in zip(rest, [*tags, ""], strict=True) for piece in both)


def renamed(name: str, copy: int) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}{copy}{dot}{suffix}"


def write(raw: Path, out: Path, times: int) -> None:
    """The crawl of ``raw``, ``times`` as large, in the folder ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    folder, facts = RawFolder(raw), dict(RawFolder(raw).manifest["civitai"])
    for count in ("models", "versions", "images", "images_with_meta"):
        facts[count] *= times
    publish(
        out, "civitai", (item for copy in range(times) for item in enlarged(folder.models(), copy)), facts
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("raw", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--no-novel", action="store_true")
    args = parser.parse_args()
    large = args.work / f"raw-{args.times}"
    if not (large / "manifest.json").exists():
        write(args.raw, large, args.times)
    command = [sys.executable, "-c", "from diffagent.serving.cli import main; main()", "data", "build"]
    command += [
        str(large),
        "-o",
        str(args.work / f"dabench-{args.times}"),
        *["--no-novel"] * args.no_novel,
    ]
    start_time = time.monotonic()
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "seconds": round(time.monotonic() - start_time, 1),
                "peak_mb": round(peak),
                **json.loads(process.stdout),
            }
        )
    )


if __name__ == "__main__":
    main()
