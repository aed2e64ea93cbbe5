"""``python -m diffagent.serving`` is the ``diffagent`` command."""

from __future__ import annotations

import subprocess
import sys


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "diffagent.serving", *words], capture_output=True, text=True)


def test_the_module_shows_the_commands_help() -> None:
    finished = run("--help")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.startswith("Usage: diffagent [OPTIONS]")


def test_the_module_exits_as_the_command_does() -> None:
    finished = run("catalog", "list", "--no-such-option")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith("diffagent: ")
