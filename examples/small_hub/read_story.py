"""Prints what a run of ``diffagent train story OUT`` learnt, stage by stage.

python examples/small_hub/read_story.py OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from diffagent.training.evaluation.image_table import SYSTEMS
from diffagent.training.sft.answer_trainer import read_log


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def show_pair(folder: Path) -> None:
    """Prints the first pair of the train part: a prompt, and the call that made its image."""
    row = read_lines(folder / "train.jsonl")[0]
    call = row["api"]
    print(f"a pair: {row['instruction']['prompt']!r} was made by {call['model']}", end=", ")
    print(f"{call['sampling_method']}, {call['sampling_steps']} steps, CFG {call['cfg_scale']:g}")


def show_losses(folder: Path) -> None:
    """Prints the first and the least held-out loss of a stage."""
    losses = [(row["eval_loss"], row["step"]) for row in read_log(folder / "log.jsonl") if "eval_loss" in row]
    (least, step), (first, start) = min(losses), losses[0]
    print(f"{folder.name}: held-out loss {first:.3f} at step {start}, {least:.3f} at step {step}")


def show_responses(folder: Path) -> None:
    """Prints the responses to the prompt whose scores differ most, best first."""
    _, *groups = read_lines(folder / "responses.jsonl")
    _, *rows = read_lines(folder / "scores.jsonl")
    scores = {row["key"]: row["scores"] for row in rows}
    group = max(groups, key=lambda group: max(scores[group["key"]]) - min(scores[group["key"]]))
    print(f"responses to {group['prompt']!r}, by the reward of their images:")
    ranked = zip(scores[group["key"]], group["responses"], strict=True)
    for score, response in sorted(ranked, key=lambda pair: -pair[0]):
        call = response["call"]
        print(f"  {score:.2f}  {call['model']}, {call['sampling_steps']} steps ({response['source']})")


def show_table(folder: Path) -> None:
    """Prints the unified metric and the hallucination of each system."""
    table = json.loads((folder / "tables.json").read_text("utf-8"))
    print(f"Table 2, {table['n']} held-out prompts, {table['images']} images a call:")
    for name in SYSTEMS:
        row = table[name]
        print(f"  {name:<12}{row['unified']:>6.1f}   hallucination {row['hallucination']:.1f} %")
    print(f"  RRHF − SFT  {table['gain']['mean']:>+6.1f}   95 % {table['gain']['ci95']}")


def main(out: Path) -> None:
    """Prints all stages of a run."""
    show_pair(out / "4-dabench")
    show_losses(out / "5-sft")
    show_responses(out / "6-rrhf")
    show_losses(out / "6-rrhf")
    show_table(out / "7-tables")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
