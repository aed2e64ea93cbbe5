"""The example of the small hub, on a run's folders as the stages write them."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from stand_ins import WordEncoder, quiet

from diffagent.data.records import T2ICall
from diffagent.training.evaluation.image_table import PromptScores, five_calls, table
from diffagent.training.rewards.unified import unified
from diffagent.training.rrhf.collecting import RESPONSES, SCORES, rate, to_row
from diffagent.training.rrhf.responses import QueryResponses, Response
from diffagent.training.smallhub import hub

SCRIPT = Path(__file__).parents[2] / "examples" / "small_hub" / "read_story.py"


class Steps:
    """A reward of more steps."""

    name = "steps"

    def score(self, prompt: str, calls: list[T2ICall]) -> list[float]:
        return [call.sampling_steps / 100 for call in calls]


def write_story(out: Path) -> None:
    """Writes what the script reads of a finished run."""
    hub.write(
        ["fox", "lamp", "boat", "castle", "kettle"], hub.Sizes(8, 8, 8), WordEncoder(), out / "4-dabench"
    )
    row = json.loads((out / "4-dabench" / "train.jsonl").read_text().splitlines()[0])
    call = T2ICall.parse({**row["api"], "sampling_method": "Euler a", "prompt": "a fox", "air": row["air"]})
    calls = [call.model_copy(update={"sampling_steps": steps}) for steps in (20, 60)]
    for stage in ("5-sft", "6-rrhf"):
        (out / stage).mkdir()
        log = [{"step": 25, "eval_loss": 2.0}, {"step": 30, "loss": 1.0}, {"step": 50, "eval_loss": 1.5}]
        (out / stage / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    responses = tuple(Response("beam", (1,), call) for call in calls)
    groups = [QueryResponses(prompt, prompt, (1,), responses, 2, 0, 0) for prompt in ("a fox", "a lamp")]
    groups[0] = QueryResponses("a fox", "a fox", (1,), responses[:1], 2, 1, 0)
    lines = [{"made_for": "x"}, *map(to_row, groups)]
    (out / "6-rrhf" / RESPONSES).write_text("".join(json.dumps(line) + "\n" for line in lines))
    rate(groups, Steps(), out / "6-rrhf" / SCORES, quiet)  # type: ignore[arg-type]
    raw = {"clip": np.array([[0.0], [1.0], [1.0], [2.0], [4.0]])}
    results = table([five_calls("a fox", call, None, call)], [PromptScores(raw, unified(raw))])
    (out / "7-tables").mkdir()
    (out / "7-tables" / "tables.json").write_text(json.dumps(results))


def test_the_script_reads_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_story(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(tmp_path)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    pair, *lines = capsys.readouterr().out.splitlines()
    row = json.loads((tmp_path / "4-dabench" / "train.jsonl").read_text().splitlines()[0])
    model = row["api"]["model"]
    assert pair.startswith(f"a pair: {row['instruction']['prompt']!r} was made by {model}, ")
    assert lines == [
        "5-sft: held-out loss 2.000 at step 25, 1.500 at step 50",
        "responses to 'a lamp', by the reward of their images:",
        f"  0.60  {model}, 60 steps (beam)",
        f"  0.20  {model}, 20 steps (beam)",
        "6-rrhf: held-out loss 2.000 at step 25, 1.500 at step 50",
        "Table 2, 1 held-out prompts, 1 images a call:",
        "  Baseline       0.0   hallucination 0.0 %",
        "  Baseline*     25.0   hallucination 0.0 %",
        "  DiffAgent#    25.0   hallucination 0.0 %",
        "  SFT           50.0   hallucination 100.0 %",
        "  RRHF         100.0   hallucination 0.0 %",
        "  RRHF − SFT   +50.0   95 % [50.0, 50.0]",
    ]
