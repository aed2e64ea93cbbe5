"""The scan: reads the header and the sidecars of every model file of some folders.

    for path, was_read in scan(state, [Path("models")], Problems()): …

Unchanged files (path, size, time; likewise the sidecars) are not read again. Links are followed, circles
once; unreadable folders are reported and skipped. One file's header is in memory at a time.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diffagent.data.errors import BadInput
from diffagent.data.library.headers import BadHeader, read_header
from diffagent.data.library.kinds import judge
from diffagent.data.library.previews import read_text
from diffagent.data.library.sidecars import PREVIEWS, SidecarNotes, beside, of_modelspec, read_notes
from diffagent.data.library.state import READER, Facts, File, State, printable
from diffagent.data.library.training import of_training

SAFE = (".safetensors", ".sft", ".gguf")
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".aria2", ".incomplete", ".tmp")
"""Programs' suffixes of unfinished downloads."""
DEEPEST = 64
"""The most nested folders."""
_BLOCKS, _BLOCK = 8, 4096


@dataclass
class Problems:
    """Folders that could not be read, one line each."""

    lines: list[str] = field(default_factory=list)

    def add(self, path: str, error: OSError) -> None:
        self.lines.append(f"{printable(path)}: {reason(error)}")


def scan(state: State, roots: Sequence[Path], problems: Problems) -> Iterator[tuple[Path, bool]]:
    """Reads new and changed files of the folders into ``state``; yields each file and whether it was read.

    Raises:
        BadInput: a folder does not exist.
    """
    for root in roots:
        if not root.is_dir():
            raise BadInput(
                f"{printable(str(root))} is not a folder: give the models folder of a webui, ComfyUI, "
                "Stability Matrix or SwarmUI, or any other"
            )
    run = state.next_run()
    for root in roots:
        state.add_root(root)
        for path, status, names in _walk(root, problems):
            yield path, _read(state, root, path, status, names, run)
        if not problems.lines:  # a disk that cannot be read for now keeps its entries
            state.drop_unseen(root, run)


def read_file(path: Path) -> Facts:
    """Returns a model file's facts; errors become its ``problem``."""
    suffix = path.suffix.lower()
    try:
        if suffix in UNFINISHED:
            return Facts("unfinished", problem="a download that is not finished: let its program go on")
        if suffix in PICKLES:
            with path.open("rb"):
                pass
            return Facts(
                "pickle", problem="a pickle can run code when it is opened: not opened; get it as safetensors"
            )
        header = read_header(path)
        return Facts(
            **vars(judge(header, path)),
            format=header.format,
            digest=header.digest,
            sample=_sample(path),
            training=of_training(header.metadata),
            spec=of_modelspec(header.metadata),
        )
    except BadHeader as error:
        return Facts("unreadable", problem=str(error))
    except (OSError, MemoryError) as error:
        return Facts("unreadable", problem=reason(error) if isinstance(error, OSError) else "out of memory")


def reason(error: OSError) -> str:
    """Returns the message for a file system error, with what to do."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return "no permission: let your user read it"
    if error.errno == errno.ELOOP:
        return "a link that leads round in a circle: remove it"
    if error.errno == errno.ENOENT:
        return "a link that leads nowhere: remove it, or mount what it leads to"
    return f"cannot be read ({error.strerror or error}): check the disk"


def _read(state: State, root: Path, path: Path, status: os.stat_result | OSError, names: Sequence[str],
          run: int) -> bool:  # fmt: skip
    """Brings one file up to date; returns whether anything was read."""
    if isinstance(status, OSError):
        facts = Facts("unreadable", problem=reason(status))
        state.put(File(path, root, 0, 0, "", facts), run)
        return True
    size, mtime = status.st_size, status.st_mtime_ns
    sidecars = beside(path.stem, names)
    stamp = _stamp(path, sidecars)
    row = state.record(path)
    if row is not None and row[:2] == (size, mtime) and row[3] == READER:
        state.saw(path, root, run)
        if row[2] == stamp:
            return False
        state.put_notes(path, stamp, *_beside(path, sidecars))
        return True
    facts = read_file(path)
    state.put(File(path, root, size, mtime, stamp, facts, *_beside(path, sidecars)), run)
    return True


def _beside(path: Path, sidecars: Sequence[str]) -> tuple[SidecarNotes, str]:
    notes = read_notes(path, sidecars)
    pictures = [name for suffix in PREVIEWS if (name := path.stem + suffix) in sidecars]
    text = next((text for name in pictures if (text := read_text(path.with_name(name)))), "")
    return notes, text


def _stamp(path: Path, sidecars: Sequence[str]) -> str:
    """A digest of the sidecars' sizes and times."""
    parts = []
    for name in sidecars:
        try:
            status = os.stat(path.with_name(name))
            parts.append(f"{name}:{status.st_size}:{status.st_mtime_ns}")
        except OSError:
            continue
    return (
        hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16] if parts else ""
    )


def _walk(root: Path, problems: Problems) -> Iterator[tuple[Path, os.stat_result | OSError, list[str]]]:
    """Yields the model files below a folder with their ``stat`` and the names beside them, folders in
    order."""
    walked: set[tuple[int, int]] = set()
    waiting = [(str(root), 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            folder_status = os.stat(folder)
            if (folder_status.st_dev, folder_status.st_ino) in walked:
                continue
            walked.add((folder_status.st_dev, folder_status.st_ino))
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            problems.add(folder, error)
            continue
        names = [entry.name for entry in entries]
        below = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            status = _stat(entry)
            if not isinstance(status, OSError) and stat.S_ISDIR(status.st_mode):
                below.append((entry.path, depth + 1))
            elif is_model(entry.name) and (isinstance(status, OSError) or stat.S_ISREG(status.st_mode)):
                yield Path(entry.path), status, names
        if depth < DEEPEST:
            waiting += reversed(below)


def _stat(entry: os.DirEntry[str]) -> os.stat_result | OSError:
    try:
        return entry.stat()
    except OSError as error:
        return error


def is_model(name: str) -> bool:
    """Whether a file's name is that of a model or of its unfinished download."""
    stem, dot, suffix = name.lower().rpartition(".")
    if dot + suffix in UNFINISHED:
        return stem.endswith((*SAFE, *PICKLES))
    return dot + suffix in (*SAFE, *PICKLES)


def _sample(path: Path) -> str:
    """The first 16 digits of the SHA-256 of a few blocks spread over the file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        for number in range(_BLOCKS):
            stream.seek(max(0, size - _BLOCK) * (number + 1) // _BLOCKS)
            digest.update(stream.read(_BLOCK))
    return digest.hexdigest()[:16]
