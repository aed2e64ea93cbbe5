"""The RAW folder: crawled data, compressed and in one uniform form.

    RAW/models.jsonl.gz      Civitai's models by id, each image with its generation data as ``meta``
    RAW/horde.jsonl.gz       AI Horde's models with their styles
    RAW/installed.jsonl.gz   the model files of a folder
    RAW/manifest.json        written last: digest, counts and origin of each file
    RAW/state.sqlite         the crawl's own state (data/hubs/crawl_state.py); readers never open it

The same models give the same bytes, however often their crawl was interrupted.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent.data.errors import BadInput, CrawlError
from diffagent.data.hubs.answers import Json

if TYPE_CHECKING:
    from diffagent.data.hubs.horde import HordeModel
    from diffagent.data.hubs.installed import InstalledModel

MANIFEST, FORMAT = "manifest.json", 1
FILES = {"civitai": "models.jsonl.gz", "horde": "horde.jsonl.gz", "installed": "installed.jsonl.gz"}


class RawFolder:
    """A finished crawl, for reading; every iteration streams from disk.

    Raises:
        BadInput: the folder does not exist or holds no crawl.
        CrawlError: the crawl is unfinished, or a file is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise BadInput(
                f"{self.path} is not a folder", f"make one with diffagent data crawl -o {self.path}"
            )
        self.manifest = read_manifest(self.path)
        if not self.manifest:
            if (self.path / "state.sqlite").exists():
                raise CrawlError(f"the crawl into {self.path} is not finished: run it again, it goes on")
            raise BadInput(
                f"{self.path} holds no crawl", f"make one with diffagent data crawl -o {self.path}"
            )

    def __contains__(self, source: str) -> bool:
        return source in self.manifest

    def models(self) -> Iterator[Json]:
        """Yields Civitai's models in id order, as the API has them, with ``meta`` (or None) in every
        image."""
        return self._rows("civitai")

    def horde(self) -> Iterator[HordeModel]:
        """Yields AI Horde's models in order of name."""
        from diffagent.data.hubs.horde import HordeModel

        return map(HordeModel.from_json, self._rows("horde"))

    def installed(self) -> Iterator[InstalledModel]:
        """Yields the model files of the folder of ``--installed``, in order of path."""
        from diffagent.data.hubs.installed import InstalledModel

        return (InstalledModel(**row) for row in self._rows("installed"))

    def _rows(self, source: str) -> Iterator[Json]:
        if source not in self.manifest:
            have = ", ".join(sorted(FILES.keys() & self.manifest)) or "nothing"
            raise BadInput(f"{self.path} holds no {source} models, only {have}: crawl them into it first")
        path, facts = self.path / FILES[source], self.manifest[source]
        if not path.is_file() or path.stat().st_size != facts["bytes"]:
            raise CrawlError(f"{path} is not the file that {MANIFEST} describes: run the crawl again")
        return self._stream(path, facts["digest"])

    def _stream(self, path: Path, digest: str) -> Iterator[Json]:
        hasher = hashlib.sha256()
        try:
            with gzip.open(path, "rb") as lines:
                for line in lines:
                    hasher.update(line)
                    yield json.loads(line)
        except (EOFError, ValueError, gzip.BadGzipFile, zlib.error):
            raise CrawlError(f"{path} is damaged: delete {path.parent / MANIFEST} and crawl again") from None
        if hasher.hexdigest() != digest:
            raise CrawlError(f"{path} has a digest other than the one in {MANIFEST}: run the crawl again")


def publish(folder: Path, source: str, rows: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]) -> Json:
    """Writes a source's file, then the manifest with its digest; returns the manifest's entry.

    ``facts`` may be filled in while ``rows`` is consumed. If the process is killed in between, readers notice
    the old manifest.
    """
    path = folder / FILES[source]
    hasher = hashlib.sha256()
    with _replacing(path) as stream, gzip.GzipFile("", "wb", 6, stream, mtime=0) as packed:
        for row in rows:
            text = json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
            line = text.encode("utf-8", "replace") + b"\n"  # half a surrogate pair becomes "?"
            hasher.update(line)
            packed.write(line)
    entry = {**facts, "digest": hasher.hexdigest(), "bytes": path.stat().st_size}
    manifest = {**read_manifest(folder), "format": FORMAT, source: entry}
    with _replacing(folder / MANIFEST) as stream:
        stream.write(json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n")
    return entry


def is_published(folder: Path, source: str) -> bool:
    """Whether the folder's manifest has the source's file with its size."""
    path, facts = folder / FILES[source], read_manifest(folder).get(source)
    return facts is not None and path.is_file() and path.stat().st_size == facts["bytes"]


def read_manifest(folder: Path) -> Json:
    """Returns the folder's manifest, or {}.

    Raises:
        CrawlError: the manifest is damaged, or of another version.
    """
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError:
        raise CrawlError(f"{path} is damaged: delete it and run the crawl again") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise CrawlError(f"{path} is not of format {FORMAT}: crawl into a new folder")
    return manifest


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Any]:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
