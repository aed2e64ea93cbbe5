"""``diffagent data crawl`` in a process of its own, and the files that it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

DATA = (sys.executable, "-c", "from diffagent.serving.cli import main; main()", "data")
COMMAND = (*DATA, "crawl")


def crawl_url(url: str, folder: Path, *more: str, **environment: str) -> tuple[dict[str, Any], str]:
    """Runs the command; its summary and its stderr."""
    command = [*COMMAND, "--url", url, "-o", str(folder), "--rate", "0", *more]
    process = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout), process.stderr


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "state.sqlite"}
