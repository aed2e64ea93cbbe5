"""A machine without a network: the weights lie in a folder, and nothing is asked of anybody."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diffagent.data.records import T2ICall
from diffagent.data.weights.weights import home, resolve

CLOSED = "http://127.0.0.1:9"
"""Where nothing answers."""


@pytest.mark.parametrize("arguments", [(), ("--llm", "llm")])
@pytest.mark.wide
def test_a_copied_folder_of_weights_is_all_that_is_needed(arguments: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("smollm2-135m-instruct", "all-minilm-l6-v2"):
        resolve(name)
    carried = tmp_path / "carried"
    shutil.copytree(home() / "weights", carried / "weights")
    if arguments:  # a folder by its path, as another model's would be
        weights = carried / "weights"
        (weights / "smollm2-135m-instruct").rename(tmp_path / "llm")
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.casefold()}
    environment |= dict.fromkeys(
        ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PIP_INDEX_URL", "HF_ENDPOINT"), CLOSED
    )
    environment |= {"DIFFAGENT_HOME": str(carried), "DIFFAGENT_CONFIG": str(tmp_path / "none.toml")}
    command = [sys.executable, "-c", "from diffagent.serving.cli import main; main()", "a fox, pixel art"]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert "fox" in T2ICall.parse(done.stdout).prompt
