"""Table 2: which call each of the five systems makes, what their scores come to, and what is shown of
them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL", reason="needs pip install 'diffagent[images]'")
from stand_ins import RuleEngine

from diffagent.agent.agent import Agent
from diffagent.training.evaluation.image_table import (
    SYSTEMS,
    Calls,
    PromptScores,
    constrained_caller,
    default_call,
    five_calls,
    free_caller,
    gain,
    table,
)
from diffagent.training.evaluation.sheets import blind_page, sheets
from diffagent.training.rewards.studio import Studio
from diffagent.training.rewards.unified import unified
from diffagent.training.rrhf.queries import default_card

PIXELS = '["Tiny Pixels","Checkpoint","SD 1.5",512,512,"DDIM",35,8.5]'


class Says(RuleEngine):
    """An engine whose free answer is given."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def generate(self, prompt: Any, max_new_tokens: int) -> str:
        return self.text


def test_the_five_systems_mix_models_and_parameters(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent(Says(PIXELS))
    default = default_card(agent)
    baseline = default_call(agent, default, "a fox")
    assert (baseline.model, baseline.sampling_method, baseline.sampling_steps) == (
        default.name,
        "Euler a",
        20,
    )
    ours = free_caller(agent, "memory", default)("a fox")
    assert ours is not None
    calls = five_calls("a fox", baseline, None, ours)
    settings = {
        name: (call.model, call.sampling_method, call.sampling_steps, call.cfg_scale)
        for name, call in calls.calls.items()
    }
    assert settings == {
        "Baseline": (default.name, "Euler a", 20, 7.0),
        "Baseline*": (default.name, "DDIM", 35, 8.5),
        "DiffAgent#": ("Tiny Pixels", "Euler a", 20, 7.0),
        "SFT": (default.name, "Euler a", 20, 7.0),  # it had none of its own
        "RRHF": ("Tiny Pixels", "DDIM", 35, 8.5),
    }
    assert calls.hallucinated == {"SFT"}


def test_a_free_answer_among_candidates_names_the_model_of_its_letter(
    make_agent: Callable[..., Agent],
) -> None:
    class Copies(RuleEngine):
        def generate(self, prompt: Any, max_new_tokens: int) -> str:
            (line,) = (line for line in prompt.user.split("\n") if "Oil" in line)
            return str(line.split("[")[0]) + '[768,512,"DDIM",30,6.5]'

    agent = make_agent(Copies())
    call = free_caller(agent, "candidates", default_card(agent))("oil painting of a harbour")
    assert call is not None
    assert (call.model, call.sampling_method) == ('Oil "Masters" {v2}', "DDIM")  # whose line is shorter
    misread = Says('A Somebody Else = [768,512,"DDIM",30,6.5]')
    assert free_caller(make_agent(misread), "candidates", default_card(agent))("a fox") is None


@pytest.mark.parametrize(
    "text",
    ["a fox", '["Nobody","Checkpoint","SD 1.5",512,512,"DDIM",35,8]', PIXELS.replace("512,512", "5,5")],
)
def test_free_answers_that_are_not_callable_are_none(make_agent: Callable[..., Agent], text: str) -> None:
    agent = make_agent(Says(text))
    assert free_caller(agent, "memory", default_card(agent))("a fox") is None
    call = constrained_caller(agent)("pixel art, a small fox")
    assert call is not None
    assert call.model == "Tiny Pixels"
    assert constrained_caller(agent)("") is None


def test_means_hallucination_and_the_gain_by_hand(agent: Agent) -> None:
    baseline = default_call(agent, default_card(agent), "a fox")
    call_sets = [
        five_calls("a fox", baseline, None, baseline),
        five_calls("an owl", baseline, baseline, baseline),
    ]
    raw = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    scores_of = [PromptScores({"clip": scores}, unified({"clip": scores})) for scores in (raw, raw + 10)]
    rows = table(call_sets, scores_of)
    assert rows["n"] == rows["images"] == 2
    assert [rows[name]["unified"] for name in SYSTEMS] == [0.0, 25.0, 25.0, 50.0, 100.0]
    assert rows["RRHF"]["clip"] == 9.0
    assert (rows["SFT"]["hallucination"], rows["RRHF"]["hallucination"]) == (50.0, 0.0)
    assert rows["gain"] == {"mean": 50.0, "ci95": [50.0, 50.0]}
    assert gain(np.array([0.0, 1.0] * 50), 0)["ci95"][0] < 50 < gain(np.array([0.0, 1.0] * 50), 0)["ci95"][1]


class Greys:
    """An executor of small grey images."""

    async def __aenter__(self) -> Greys:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def image(self, request: Mapping[str, Any], report: Any) -> Any:
        import io

        from PIL import Image

        from diffagent.agent.executors import TargetImage

        buffer = io.BytesIO()
        Image.new("RGB", (64, 64), (40,) * 3).save(buffer, "PNG")
        return TargetImage(buffer.getvalue(), request["seed"])


def test_sheets_and_a_page_that_hides_which_is_which(
    make_agent: Callable[..., Agent], tmp_path: Path
) -> None:
    agent = make_agent(Says(PIXELS))
    default = default_card(agent)
    call_sets: list[Calls] = []
    for n in range(12):
        prompt = f"a <fox> no {n}"
        ours = free_caller(agent, "memory", default)(prompt)
        call_sets.append(five_calls(prompt, default_call(agent, default, prompt), None, ours))
    studio = Studio(tmp_path / "images", agent.catalog, maker=Greys())  # type: ignore[arg-type]
    paths = sheets(call_sets[:3], studio, [0, 1], tmp_path)
    assert [path.name for path in paths][:3] == [
        "sheet-Baseline.png", "sheet-Baseline-star.png", "sheet-DiffAgent-sharp.png",
    ]  # fmt: skip
    blind_page(call_sets, studio, tmp_path / "blind.html")
    page = (tmp_path / "blind.html").read_text()
    assert page.count("<section") == 12
    assert page.count("data:image/png;base64,") == 24
    assert set(re.findall(r'data-left="(\w+)"', page)) == {"RRHF", "Baseline"}
    assert "a &lt;fox&gt; no 3" in page
    assert "http" not in page
    text = re.sub(r'data-left="\w+"|const names = .*', "", page)
    assert "RRHF" not in text
