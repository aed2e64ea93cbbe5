"""DABench: instruction–API pairs from the sample images of a catalog's models (paper, section 3.1).

In: the entries of a crawl. Out: JSON-lines files, one row an image:

    {"instruction": {"prompt": …, "negative_prompt": …}, "api": {the nine fields}, "air": …,
     "source": {"image": 123, "version": 456}}

``train``, ``align`` and ``test`` follow the cluster rule of :mod:`diffagent.data.splits`; ``overall`` holds
the test images of the same rule without clusters, near-duplicates of train prompts included.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from diffagent.data.cards import Entry
from diffagent.data.prompts import plain, strip_lora_tags, strip_trigger_words
from diffagent.data.records import Card, Sample
from diffagent.data.splits import Split

FILES = ("train", "align", "test", "overall")


def pair(card: Card, sample: Sample) -> dict[str, Any] | None:
    """One row; None where nothing is left of the prompt, the image is inpainting, or the sampler,
    steps, CFG scale or size is not known."""
    settings = (sample.width, sample.height, sample.sampler, sample.steps, sample.cfg_scale)
    prompt = strip_trigger_words(strip_lora_tags(sample.prompt), card.all_words)
    if sample.inpainting or len(plain(prompt)) <= 2 or None in settings:
        return None
    return {
        "instruction": {"prompt": prompt, "negative_prompt": strip_lora_tags(sample.negative_prompt)},
        "api": {
            "model": card.name,
            "type": card.type,
            "base_model": card.base_model,
            "width": sample.width,
            "height": sample.height,
            "sampling_method": sample.sampler,
            "sampling_steps": sample.steps,
            "cfg_scale": sample.cfg_scale,
            "model_description": card.description,
        },
        "air": card.air,
        "source": {"image": sample.image_id, "version": sample.version_id},
    }


def rows(
    entries: Iterable[Entry], splits: Mapping[int, tuple[Split, Split]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file, row) of every pair, in the entries' order."""
    for entry in entries:
        for sample in entry.samples:
            row = pair(entry.card, sample)
            if row is None:
                continue
            by_cluster, by_image = splits[sample.image_id]
            yield by_cluster, row
            if by_image == "test":
                yield "overall", row


def write(found: Iterable[tuple[str, dict[str, Any]]], out: Path) -> dict[str, int]:
    """Write the files into a folder, each under its name when all are complete; returns rows a file."""
    out.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter(dict.fromkeys(FILES, 0))
    parts = {name: out / f"{name}.jsonl.part" for name in FILES}
    with ExitStack() as stack:
        files = {name: stack.enter_context(path.open("w", encoding="utf-8")) for name, path in parts.items()}
        for name, row in found:
            files[name].write(json.dumps(row, ensure_ascii=False) + "\n")
            counts[name] += 1
    for name, path in parts.items():
        path.replace(out / f"{name}.jsonl")
    return dict(counts)
