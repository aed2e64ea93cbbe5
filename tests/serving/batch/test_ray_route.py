"""Batch routing on a local Ray: the same file as without, also when a worker is killed in mid-run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diffagent.data.errors import BadCatalog, BadInput
from diffagent.serving.batch.ray_route import ray_answers
from diffagent.serving.batch.rows import BatchRow

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.wide, pytest.mark.filterwarnings("ignore")]

CODE = "import sys; from diffagent.serving.cli import main; main(sys.argv[1:])"
ROWS = 600


def workers() -> list[int]:
    """Process ids of the actors that hold agents."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                title = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::") and b"MapWorker" in title:
                pids.append(int(entry.name))
    return pids


def test_a_killed_worker_loses_and_repeats_nothing(
    tmp_path: Path, real_catalog_path: Path, tiny_folder: Path
) -> None:
    path, out, plain = tmp_path / "in.jsonl", tmp_path / "out.jsonl", tmp_path / "plain.jsonl"
    rows = [{"id": n, "prompt": f"pixel art of {n % (ROWS - 20)} foxes"} for n in range(ROWS)]
    rows[7] = {"id": 7, "prompt": " "}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = [sys.executable, "-c", CODE, "route", str(path)]
    options = ["--catalog", str(real_catalog_path), "--llm", str(tiny_folder)]
    before = set(workers())
    on_cluster = subprocess.Popen(
        [*command, "-o", str(out), *options, "--ray", "local", "--workers", "2"],
        stdout=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 200
    ours: list[int] = []
    while not (out.exists() and out.read_bytes().count(b"\n") >= 8):
        assert on_cluster.poll() is None
        assert time.monotonic() < end
        if len(ours) < 2:
            ours = sorted(set(workers()) - before)
        time.sleep(0.02)
    assert len(ours) == 2
    os.kill(ours[0], signal.SIGKILL)
    assert out.read_bytes().count(b"\n") < ROWS
    printed, _ = on_cluster.communicate(timeout=280)
    assert on_cluster.returncode == 0
    summary = json.loads(printed)
    assert (summary["rows"], summary["errors"], summary["copied"]) == (
        ROWS,
        1,
        19,
    )  # row 7 has no prompt to copy
    subprocess.run([*command, "-o", str(plain), *options], check=True, stdout=subprocess.DEVNULL)
    assert out.read_text("utf-8") == plain.read_text("utf-8")
    assert [json.loads(line)["id"] for line in out.open(encoding="utf-8")] == list(range(ROWS))


def test_what_an_actor_cannot_load_is_the_commands_error(tmp_path: Path) -> None:
    answer = ray_answers("local", 1, (str(tmp_path / "absent.sqlite"), None, "transformers"), {})
    with pytest.raises(BadCatalog, match="absent"):
        list(answer(iter([[BatchRow(0, {"prompt": "a"})]])))


def test_a_cluster_that_is_not_there() -> None:
    with pytest.raises(BadInput, match="no Ray cluster answers"):
        list(
            ray_answers("127.0.0.1:9", 1, (None, None, "transformers"), {})(
                iter([[BatchRow(0, {"prompt": "a"})]])
            )
        )
