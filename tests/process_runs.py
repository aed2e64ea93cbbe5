"""Both stages of training as one of several processes that ``accelerate launch`` starts.

    accelerate launch … process_runs.py sft|rrhf TASK.json

TASK.json names the tiny model's folder, the DABench folder, OUT, and changes of the recipe. Of alignment each
process notes in OUT what images it made. A process group that is started before they are scored has three
seconds to wait, and the second process takes longer than that for its images. Without a launcher it is one
process, which a task may have killed.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
import warnings
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

SLOW = 8.0
"""Seconds that the second process takes for its first image."""


def quiet(items: Iterable[Any], label: str) -> Iterable[Any]:
    return items


def silent(line: str) -> None:
    pass


def sft(task: Mapping[str, Any], out: Path) -> None:
    from diffagent.training.sft.dialogues import Mix
    from diffagent.training.sft.recipe import AdapterConfig, SftRecipe
    from diffagent.training.sft.sft import train

    usual: dict[str, Any] = {
        "lora": AdapterConfig(2, 4), "batch": 4, "held_out": 4, "eval_steps": 2, "save_steps": 9,
        "learning_rate": 1e-2, "choice_weight": 4.0, "identity_weight": 4.0, "dtype": "float32", "seed": 3,
    }  # fmt: skip
    recipe = SftRecipe("tiny", task["tiny"], Mix(memory=1), **usual | task["changes"])
    say = killer(task["kill"]) if "kill" in task else silent
    train(recipe, Path(task["dabench"]), out, resume=task.get("resume", False), progress=quiet, say=say)


def killer(line: str) -> Any:
    """Ends this process as ``kill -9`` does, once the run says what begins so."""

    def say(text: str) -> None:
        if text.startswith(line):
            os.kill(os.getpid(), signal.SIGKILL)

    return say


class Painter:
    """An executor whose images are of one grey; it notes what it made."""

    def __init__(self, notes: Path, slow: float) -> None:
        self.notes, self.slow = notes, slow

    async def __aenter__(self) -> Painter:
        return self

    async def __aexit__(self, *_: Any) -> None:
        pass

    async def price(self, request: Mapping[str, Any]) -> None:
        return None

    async def image(self, request: Mapping[str, Any], report: Any) -> Any:
        from PIL import Image

        from diffagent.agent.executors import TargetImage

        await asyncio.sleep(self.slow)
        self.slow = 0.0
        with self.notes.open("a") as stream:
            stream.write(
                json.dumps([request["checkpoint"]["air"], request["kwargs"], request["seed"]]) + "\n"
            )
        buffer, grey = io.BytesIO(), len(request["checkpoint"]["air"]) + request["seed"]
        Image.new("RGB", (8, 8), (grey,) * 3).save(buffer, "PNG")
        return TargetImage(buffer.getvalue(), request["seed"])


class Grey:
    name = "grey"

    def score(self, prompt: str, images: Any) -> list[float]:
        return [float(image.getpixel((0, 0))[0]) for image in images]


def rrhf(task: Mapping[str, Any], out: Path) -> None:
    from stand_ins import WordEncoder, plain_ranker

    from diffagent.agent.agent import Agent
    from diffagent.agent.choosing.fusion import Fusion
    from diffagent.agent.choosing.prefilter import Prefilter
    from diffagent.data.catalog.catalog import Catalog
    from diffagent.data.devices import share
    from diffagent.training.rewards.studio import Studio
    from diffagent.training.rewards.unified import ImageMetrics
    from diffagent.training.rrhf.align import align
    from diffagent.training.rrhf.collecting import AlignmentTask
    from diffagent.training.rrhf.config import RRHFConfig
    from diffagent.training.rrhf.queries import default_card, read_queries
    from diffagent.training.sft.recipe import AdapterConfig
    from diffagent.training.sft.tuned_model import TunedModel

    config = RRHFConfig(
        "tiny", k=4, responses=400, diversity=50.0, lora=AdapterConfig(2, 4), batch=1, held_out=2,
        eval_steps=2, save_steps=9, learning_rate=2e-2, warmup=0.0, epochs=1, dtype="float32", images=2,
        **task["changes"],
    )  # fmt: skip
    tuned = TunedModel.find(task["tiny"])
    rank, processes = share()
    with Catalog.open(Path(task["catalog"])) as catalog:
        prefilter = Prefilter.of(catalog, WordEncoder(), plain_ranker())
        agent = Agent(catalog, prefilter, tuned.engine(), Fusion(choice_weight=0.1))
        default = default_card(agent)
        dabench = Path(task["dabench"])
        queries = read_queries(dabench / "align.jsonl", agent, "candidates", 4, default, 0)
        out.mkdir(parents=True, exist_ok=True)
        painter = Painter(out / f"made-{rank}-of-{processes}.jsonl", SLOW if rank else 0.0)
        reward = ImageMetrics(Studio(out / "images", catalog, maker=painter), [Grey()], range(2))
        align(
            AlignmentTask(config, tuned, queries, default, reward, dabench),
            agent,
            out,
            progress=quiet,
            say=silent,
        )


def main() -> None:
    import torch

    stage, file = sys.argv[1:]
    task = json.loads(Path(file).read_text("utf-8"))
    out = Path(task["out"])
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    start = torch.distributed.init_process_group

    def limited(*args: Any, timeout: Any = None, **options: Any) -> None:
        early = stage == "rrhf" and not (out / "scores.jsonl").exists()
        start(*args, timeout=timedelta(seconds=3) if early else timeout, **options)

    torch.distributed.init_process_group = limited
    {"sft": sft, "rrhf": rrhf}[stage](task, out)


if __name__ == "__main__":
    main()
