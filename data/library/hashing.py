"""Full hashes: the SHA-256 of whole files, small files first, each stored when computed.

    with Hashing(state_folder, files) as hashing:      # begins in a thread
        …                                              # hashlib lets other threads run
        hashing.wait(progress)

A killed run loses the current file only. Files that change meanwhile are left for the next run.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from diffagent.data.library.state import State

BLOCK = 8 << 20
"""Bytes read at once."""

Progress = Callable[[int, int, str], None]
"""Receives the bytes done, the bytes in all and the file's name."""


@dataclass(frozen=True)
class HashJob:
    """A file to hash, as it was at the scan."""

    path: Path
    size: int
    mtime: int


class Hashing:
    """Hashes files in a thread of its own; a context manager, which stops the thread."""

    def __init__(self, folder: Path, jobs: Sequence[HashJob]) -> None:
        self._folder = folder
        self._jobs = sorted(jobs, key=lambda job: job.size)
        self.total = sum(job.size for job in jobs)
        self.done = 0
        self.name = ""
        self.hashed = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def wait(self, progress: Progress, interval: float = 0.2) -> None:
        """Waits until all files are hashed; an interrupt ends it at once."""
        while self._thread.is_alive():
            progress(self.done, self.total, self.name)
            self._thread.join(interval)
        progress(self.done, self.total, self.name)

    def _run(self) -> None:
        buffer = bytearray(BLOCK)
        with State.open(self._folder) as state:
            for job in self._jobs:
                self.name = job.path.name
                start = self.done
                digest = self._sha256(job, buffer)
                if self._stopped.is_set():
                    return
                self.done = start + job.size
                if digest is not None:
                    state.put_sha256(job.path, job.size, job.mtime, digest)
                    self.hashed += 1

    def _sha256(self, job: HashJob, buffer: bytearray) -> str | None:
        """The hash of a file; None where it cannot be read or has changed."""
        digest, view = hashlib.sha256(), memoryview(buffer)
        try:
            with job.path.open("rb", buffering=0) as stream:
                if hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
                while count := stream.readinto(buffer):
                    digest.update(view[:count])
                    self.done += count
                    if self._stopped.is_set():
                        return None
                status = os.fstat(stream.fileno())
        except OSError:
            return None
        return digest.hexdigest() if (status.st_size, status.st_mtime_ns) == (job.size, job.mtime) else None


def hash_jobs(state: State, roots: Sequence[Path] | None = None) -> list[HashJob]:
    """The files without a full hash: complete safetensors and GGUF files."""
    return [
        HashJob(file.path, file.size, file.mtime)
        for file in state.files(roots)
        if file.sha256 is None and file.facts.digest is not None
    ]
