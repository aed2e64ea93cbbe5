"""Alignment end to end on a tiny Llama: responses, rewards, training, export; every step goes on."""

from __future__ import annotations

import json
import warnings
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from stand_ins import quiet

from diffagent.agent.agent import Agent
from diffagent.agent.engines.adapter import FILE, Adapter
from diffagent.data.errors import BadInput, EngineGone
from diffagent.data.records import T2ICall
from diffagent.training.rrhf.align import align
from diffagent.training.rrhf.collecting import SCORES, AlignmentTask, from_row, rank, to_row
from diffagent.training.rrhf.config import RRHFConfig
from diffagent.training.rrhf.queries import default_card, read_queries
from diffagent.training.rrhf.responses import QueryResponses
from diffagent.training.sft.answer_trainer import read_log
from diffagent.training.sft.limits import Limits
from diffagent.training.sft.recipe import AdapterConfig
from diffagent.training.sft.tuned_model import TunedModel

pytest.importorskip("trl", reason="needs pip install 'diffagent[train]'")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*TRANSFORMERS_.*:UserWarning"),
]
CONFIG = RRHFConfig(
    "tiny", k=4, responses=400, diversity=50.0, lora=AdapterConfig(2, 4), batch=2, held_out=2, eval_steps=2,
    save_steps=2, learning_rate=2e-2, warmup=0.0, epochs=2,
)  # fmt: skip
"""As many beams as there are tokens: weights that were never trained say letters as seldom as anything."""


@dataclass
class Short:
    """A reward of the model's name: the shorter, the better."""

    name: str = "short names"
    asked: list[str] = field(default_factory=list)
    closed: bool = False

    def prepare(self, calls: Sequence[T2ICall], progress: Any, share: tuple[int, int]) -> None:
        assert share == (0, 1)

    def close(self) -> None:
        self.closed = True

    def report(self) -> dict[str, Any]:
        return {"n": 1}

    def score(self, prompt: str, calls: Sequence[T2ICall]) -> list[float]:
        self.asked.append(prompt)
        return [-float(len(call.model)) for call in calls]


def silent(line: str) -> None:
    pass


@pytest.fixture
def fresh(make_agent: Callable[..., Agent], tiny_folder: Path) -> Callable[[], Agent]:
    """Agents on the model that is aligned; a run closes its own."""
    return lambda: make_agent(TunedModel.find(str(tiny_folder)).engine())


@pytest.fixture
def task(fresh: Callable[[], Agent], tiny_folder: Path, tmp_path: Path) -> tuple[AlignmentTask, Agent]:
    dabench = tmp_path / "dabench"
    dabench.mkdir()
    things = ["fox", "castle", "river", "lamp", "door", "tower", "bird", "horse"]
    rows = [
        {"instruction": {"prompt": f"a {thing}, pixel art", "negative_prompt": ""}, "api": {}, "air": "x"}
        for thing in things
    ]
    for name in ("train", "align"):
        (dabench / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tuned = TunedModel.find(str(tiny_folder))
    agent = fresh()
    default = default_card(agent)
    queries = read_queries(dabench / "align.jsonl", agent, "candidates", 4, default, 0)
    return AlignmentTask(CONFIG, tuned, queries, default, Short(), dabench), agent


def run(task: AlignmentTask, agent: Agent, out: Path, say: Any = silent, **options: Any) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return align(task, agent, out, progress=quiet, say=say, **options)


@pytest.mark.wide
def test_alignment_orders_responses_and_goes_on_in_the_same_bytes(
    task: tuple[AlignmentTask, Agent], fresh: Callable[[], Agent], tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    report = run(*task, whole)
    assert report["steps"] == 6  # two epochs of six queries, two a batch
    assert report["responses"]["queries"] == 8
    rows = read_log(whole / "log.jsonl")
    before, *_, after = [row["eval_cross_entropy"] for row in rows if "eval_cross_entropy" in row]
    assert after < 0.98 * before
    assert {"cross_entropy", "best"} <= set(rows[0])
    assert (whole / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((whole / "run.json").read_text())["reward"] == {"name": "short names", "n": 1}
    adapter = Adapter.open(whole / "adapter")
    assert (adapter.base, adapter.scale) == (task[0].tuned.base.digest, 2.0)

    class Killed(Exception):
        pass

    def die(line: str) -> None:
        if line.startswith("step 4 of"):  # the evaluation after step 4; the last checkpoint is of step 2
            raise Killed

    cut = tmp_path / "cut"
    prompt_count = len(task[0].reward.asked)  # type: ignore[attr-defined]
    with pytest.raises(Killed):
        run(task[0], fresh(), cut, say=die)
    run(task[0], fresh(), cut, resume=True)
    assert len(task[0].reward.asked) == prompt_count + 8  # type: ignore[attr-defined]  # scored once
    ours, theirs = (folder / "adapter" / FILE for folder in (cut, whole))
    assert ours.read_bytes() == theirs.read_bytes()

    tuned = TunedModel.find(str(whole))  # a second stage goes on with the same adapter
    assert tuned.adapter == whole / "adapter"
    assert tuned.base.digest == task[0].tuned.base.digest


@pytest.mark.wide
def test_better_responses_become_more_probable(task: tuple[AlignmentTask, Agent], tmp_path: Path) -> None:
    """Letters alone count, so that the order of responses is all that is learnt."""
    config = replace(CONFIG, ranked="model", epochs=8, eval_steps=6, save_steps=99)
    run(replace(task[0], config=config), task[1], tmp_path / "out")
    rows = read_log(tmp_path / "out" / "log.jsonl")
    first, *_, last = [row for row in rows if "ordered" in row]
    assert first["ordered"] == 0.5
    assert last["ordered"] > 0.75
    assert last["best"] == 1.0
    before, *_, after = [row["eval_ordered"] for row in rows if "eval_ordered" in row]
    assert after > before


@pytest.mark.wide
def test_the_tuned_model_and_the_reward_are_freed_before_training(
    task: tuple[AlignmentTask, Agent], tmp_path: Path
) -> None:
    """Weights of the engine, of its transformers twin and of the reward: a GPU has no room for both."""
    agent = task[1]
    releases: list[bool] = []
    engine: Any = agent.engine
    references = [weakref.ref(engine._decoder), weakref.ref(engine.plain.model)]

    def say(line: str) -> None:
        if line.startswith("step 1 of"):
            releases.extend(reference() is None for reference in references)
            releases.append(task[0].reward.closed)  # type: ignore[attr-defined]

    run(*task, tmp_path / "out", say=say, limits=Limits(steps=1))
    assert set(releases) == {True}
    with pytest.raises(EngineGone, match="its weights are freed"):
        agent.call("a fox")


@pytest.mark.wide
def test_a_task_with_too_few_queries_is_refused(task: tuple[AlignmentTask, Agent], tmp_path: Path) -> None:
    few = replace(task[0], config=replace(CONFIG, held_out=7))
    with pytest.raises(BadInput, match="8 queries have two different responses, but the recipe takes 9"):
        run(few, task[1], tmp_path / "out")
    assert len((tmp_path / "out" / SCORES).read_text().splitlines()) == 9  # a header and eight queries


@pytest.mark.wide
def test_rows_of_files_are_the_responses_again(task: tuple[AlignmentTask, Agent], tmp_path: Path) -> None:
    from diffagent.training.rrhf.collecting import collect

    (first, *_) = responses = collect(*task, tmp_path / "r.jsonl", quiet)
    assert from_row(json.loads(json.dumps(to_row(first)))) == first
    with (tmp_path / "r.jsonl").open("a") as stream:
        stream.write('{"key": "cut of')  # a kill
    assert collect(*task, tmp_path / "r.jsonl", quiet) == responses
    alone = QueryResponses("k", "p", (1,), first.responses[:1], 1, 0, 0)
    assert rank([alone], {"k": [1.0]}) == []


@pytest.mark.wide
@pytest.mark.parametrize(
    "changes", [{"checkpointing": True, "accumulate": 2}, {"lora": None, "extract_rank": 2}]
)
def test_checkpointing_and_all_weights(
    task: tuple[AlignmentTask, Agent], tmp_path: Path, changes: dict[str, Any]
) -> None:
    variant = replace(task[0], config=replace(CONFIG, epochs=1, eval_steps=9, **changes))
    report = run(variant, task[1], tmp_path / "out", limits=Limits(steps=1))
    assert report["steps"] == 1
    assert {"merged", "adapter"} == set(report["weights"])
    assert Adapter.open(tmp_path / "out" / "adapter").base == task[0].tuned.base.digest
