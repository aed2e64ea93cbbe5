"""Both stages in two processes that accelerate launches, on a CPU by gloo: they train as one process does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from diffagent.agent.engines.adapter import FILE, Adapter

pytest.importorskip("trl", reason="needs pip install 'diffagent[train]'")
pytestmark = [pytest.mark.wide, pytest.mark.timeout(400)]
RUNS = Path(__file__).parents[1] / "process_runs.py"
API = {"width": 512, "height": 512, "sampling_method": "Euler a", "sampling_steps": 20, "cfg_scale": 7.0}
THINGS = ["fox", "castle", "river", "lamp", "door", "tower", "bird", "horse"]


@pytest.fixture(scope="module")
def dabench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from diffagent.data.catalog.catalog import Catalog

    folder = tmp_path_factory.mktemp("dabench")
    with Catalog.open() as catalog:
        airs = [card.air for _, card in catalog.entries()[:3]]
    for name, count in (("train", 24), ("align", 8)):
        instructions = [{"prompt": f"a {THINGS[i % 8]}, no {i}", "negative_prompt": ""} for i in range(count)]
        rows = [
            {"instruction": instruction, "api": API, "air": airs[i % 3]}
            for i, instruction in enumerate(instructions)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def launch(stage: str, processes: int, folder: Path, **task: Any) -> Path:
    """Run a stage and return what it wrote."""
    out = folder / f"{stage}-{processes}"
    (folder / "task.json").write_text(json.dumps({**task, "out": str(out)}))
    command = [sys.executable, str(RUNS), stage, str(folder / "task.json")]
    if processes > 1:
        options = [
            "--multi_gpu", "--num_processes", str(processes), "--num_machines", "1",
            "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
        ]  # fmt: skip
        command = [sys.executable, "-m", "accelerate.commands.launch", *options, *command[1:]]
    here = [str(RUNS.parent), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(here),
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
    }
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-3000:]
    return out


def differences(out: Path) -> dict[str, Any]:
    """Layer → B·A of the adapter that a run left."""
    return {name: b.float() @ a.float() for name, (a, b) in Adapter.open(out / "adapter").pairs().items()}


def assert_same_training(single: Path, double: Path) -> None:
    ours, theirs = differences(double), differences(single)
    apart = sum(float((ours[name] - value).square().sum()) for name, value in theirs.items()) ** 0.5
    whole = sum(float(value.square().sum()) for value in theirs.values()) ** 0.5
    assert whole > 0.05
    assert apart / whole < 0.05, apart / whole


def test_two_processes_fine_tune_as_one_with_twice_the_batch(
    dabench: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """The recipe's weights hold in both; a step of two processes is two batches."""
    task = {"tiny": str(tiny_folder), "dabench": str(dabench)}
    double = launch("sft", 2, tmp_path, **task, changes={"checkpointing": True})
    single = launch("sft", 1, tmp_path, **task, changes={"accumulate": 2})
    reports = [json.loads((out / "run.json").read_text()) for out in (single, double)]
    assert [(report["steps"], report["examples"]) for report in reports] == [(3, 24)] * 2
    assert_same_training(single, double)
    losses = [
        [row["eval_loss"] for row in map(json.loads, (out / "log.jsonl").read_text().splitlines())
         if "eval_loss" in row]
        for out in (single, double)
    ]  # fmt: skip
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_two_processes_align_as_one_and_share_the_images_out(
    dabench: Path, tiny_folder: Path, catalog_path: Path, tmp_path: Path
) -> None:
    """The second one's images take longer than the time-out of a process group."""
    task = {"tiny": str(tiny_folder), "dabench": str(dabench), "catalog": str(catalog_path)}
    double = launch("rrhf", 2, tmp_path, **task, changes={})
    single = launch("rrhf", 1, tmp_path, **task, changes={"accumulate": 2})
    images = [sorted((double / f"made-{rank}-of-2.jsonl").read_text().splitlines()) for rank in (0, 1)]
    assert all(images)
    assert not set(images[0]) & set(images[1])
    assert sorted(images[0] + images[1]) == sorted((single / "made-0-of-1.jsonl").read_text().splitlines())
    assert (double / "adapter" / FILE).is_file()
    reports = [json.loads((out / "run.json").read_text()) for out in (single, double)]
    assert [report["steps"] for report in reports] == [3, 3]
    assert_same_training(single, double)
