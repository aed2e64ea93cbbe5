"""Sample images of a crawl: from a RAW folder to image files with their prompts.

The crawl has the images' addresses; the images are downloaded here, one after another, into a folder per
model, and only once. Failed downloads are reported and skipped.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from diffagent.agent.pmi.manifest import Example
from diffagent.data.air import AIR
from diffagent.data.catalog.cards import air, entry_samples
from diffagent.data.catalog.filters import Scope, passing
from diffagent.data.encoders.image_loading import MAX_BYTES
from diffagent.data.hubs.raw import RawFolder, read_manifest

EACH = 20
"""Images per model; more hardly improve the estimate of its style."""
PAUSE_S = 0.25
"""Pause between two requests: four a second, as in the crawl."""
ATTEMPTS = 3

Report = Callable[[str], None]


def is_crawl(path: Path) -> bool:
    """Whether a folder is a crawl of ``diffagent data crawl``."""
    return path.is_dir() and "civitai" in read_manifest(path)


def crawled_examples(
    raw: RawFolder,
    folder: Path,
    report: Report = lambda line: None,
    each: int = EACH,
    client: httpx.Client | None = None,
    pause: float = PAUSE_S,
) -> list[Example]:
    """Returns up to ``each`` safe-for-work sample images, with prompts, of every model fit for a catalog."""
    with client or httpx.Client(timeout=30, follow_redirects=True) as http:
        examples: list[Example] = []
        for model, number, url, prompt in _image_links(raw, each):
            model_folder = folder / re.sub(r"\W+", "_", AIR.parse(model).key)
            file = model_folder / f"{number}.img"
            if not file.is_file():
                fault = _fetch(http, url, file, pause)
                if fault:
                    report(f"{url}: {fault}")
                    continue
            examples.append(Example(file, model, prompt))
    return examples


def _image_links(raw: RawFolder, each: int) -> Iterator[tuple[str, int, str, str]]:
    """Yields (AIR, image id, address, prompt) of the images to download."""
    for item, passed in passing(raw.models(), Scope()):
        urls = _addresses(item)
        samples = (sample for sample in entry_samples(item, passed) if sample.image_id in urls)
        for sample in islice(samples, each):
            name = air(item, passed.base_model, passed)
            yield name, sample.image_id, urls[sample.image_id], sample.prompt


def _addresses(item: Mapping[str, Any]) -> dict[int, str]:
    images = (image for version in item["modelVersions"] for image in version.get("images") or ())
    return {
        image["id"]: image["url"]
        for image in images
        if isinstance(image.get("id"), int) and str(image.get("url")).startswith(("https://", "http://"))
    }


def _fetch(http: httpx.Client, url: str, file: Path, pause: float) -> str | None:
    """Writes the image's bytes; returns the fault, if any."""
    fault = ""
    for attempt in range(ATTEMPTS):
        time.sleep(pause * 4**attempt)
        try:
            with http.stream("GET", url) as response:
                if 400 <= response.status_code < 500 and response.status_code != 429:
                    return f"HTTP {response.status_code}"
                response.raise_for_status()
                content = bytearray()
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > MAX_BYTES:
                        return f"more than {MAX_BYTES:,} bytes"
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part")
            part.write_bytes(content)
            part.replace(file)
            return None
        except httpx.HTTPError as error:
            fault = str(error) or type(error).__name__
    return fault
