"""Sample images of a crawl: a RAW folder in, image files and their prompts out.

The crawl holds the images' addresses; the images themselves are fetched here, one after another, kept in a
folder a model, and not fetched again. What cannot be fetched is reported and left out.
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
"""Images of a model: the style of one hardly becomes clearer beyond."""
PAUSE_S = 0.25
"""Between two requests: four a second, as the crawl."""
ATTEMPTS = 3

Report = Callable[[str], None]


def is_crawl(path: Path) -> bool:
    """Whether a folder is one that ``diffagent data crawl`` made."""
    return path.is_dir() and "civitai" in read_manifest(path)


def crawled_examples(
    raw: RawFolder,
    folder: Path,
    report: Report = lambda line: None,
    each: int = EACH,
    client: httpx.Client | None = None,
    pause: float = PAUSE_S,
) -> list[Example]:
    """Up to ``each`` safe-for-work sample images, with prompts, of every model that a catalog would take."""
    with client or httpx.Client(timeout=30, follow_redirects=True) as http:
        found: list[Example] = []
        for model, number, url, prompt in _listed(raw, each):
            own = folder / re.sub(r"\W+", "_", AIR.parse(model).key)
            file = own / f"{number}.img"
            if not file.is_file():
                fault = _fetch(http, url, file, pause)
                if fault:
                    report(f"{url}: {fault}")
                    continue
            found.append(Example(file, model, prompt))
    return found


def _listed(raw: RawFolder, each: int) -> Iterator[tuple[str, int, str, str]]:
    """(AIR, image id, address, prompt) of the images wanted."""
    for item, passed in passing(raw.models(), Scope()):
        urls = _addresses(item)
        kept = (one for one in entry_samples(item, passed) if one.image_id in urls)
        for sample in islice(kept, each):
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
    """Writes the image's bytes; what went wrong, if anything."""
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
