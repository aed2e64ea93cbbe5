"""Table 1: answers from memory without a grammar, fine-tuned beside aligned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from stand_ins import RuleEngine, quiet

from diffagent.agent.agent import Agent
from diffagent.agent.engines import Prompt
from diffagent.data.errors import BadInput
from diffagent.serving.cli import root
from diffagent.training.evaluation.memory_table import (
    MemoryAnswers,
    PromptSet,
    answers,
    enhance_set,
    lines,
    read_prompt_set,
    table,
)

PIXELS, OIL = (f"urn:air:sd1:checkpoint:civitai:{n}@{n + 1}" for n in (11, 22))
INK = "urn:air:sd1:lora:civitai:33@34"


@dataclass
class Recalls(RuleEngine):
    """Names models by a rule of the prompt."""

    def generate_many(self, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int = 8) -> list[str]:
        self.asked += prompts
        rules = {
            "oil": '["Oil \\"Masters\\" {v2}","Checkpoint","SD 1.5",768,512,"DPM++ 2M Karras",30,6.5]',
            "fox": '["Tiny Pixels","Checkpoint","SD 1.5",512,512,"Euler a",20,7]',
            "wrong": '["Tiny Pixels","LoRA","SD 1.5",512,512,"Euler a",20,7]',
        }
        return [
            next((text for word, text in rules.items() if word in prompt.user), "hm") for prompt in prompts
        ]


def pairs(folder: Path) -> Path:
    rows = [
        ("oil, harbour <lora:x:1>", OIL),
        ("fox, inkfox", INK),
        ("fox in snow", PIXELS),
        ("a fox", PIXELS),
        ("a fox", "urn:air:sd1:checkpoint:civitai:9@9"),
    ]
    path = folder / "test.jsonl"
    documents = [{"instruction": {"prompt": text, "negative_prompt": ""}, "air": air} for text, air in rows]
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return path


def test_pairs_come_without_tags_triggers_and_models_that_are_not_there(agent: Agent, tmp_path: Path) -> None:
    prompt_set = read_prompt_set(pairs(tmp_path), agent.catalog, None, 0)
    assert prompt_set == PromptSet(
        "test", ("oil, harbour", "fox", "fox in snow", "a fox"), (OIL, INK, PIXELS, PIXELS)
    )
    assert len(read_prompt_set(tmp_path / "test.jsonl", agent.catalog, 2, 0).prompts) == 2
    (tmp_path / "coco.txt").write_text("a fox\noil\n")
    assert read_prompt_set(tmp_path / "coco.txt", agent.catalog, None, 0) == PromptSet(
        "coco", ("a fox", "oil")
    )
    (tmp_path / "lost.jsonl").write_text(json.dumps({"prompt": "a fox", "air": "urn:air:x"}) + "\n")
    with pytest.raises(BadInput, match="has no pair whose model this catalog has"):
        read_prompt_set(tmp_path / "lost.jsonl", agent.catalog, None, 0)


def test_an_answer_is_right_wrong_or_no_call(agent: Agent, tmp_path: Path) -> None:
    engine = Recalls()
    prompt_set = read_prompt_set(pairs(tmp_path), agent.catalog, None, 0)
    memory_answers = answers(engine, agent.catalog, prompt_set, quiet)
    assert memory_answers.names == ('Oil "Masters" {v2}', "Tiny Pixels", "Tiny Pixels", "Tiny Pixels")
    assert memory_answers.hits == (True, False, True, True)
    assert [prompt.user for prompt in engine.asked] == ["Prompt: " + text for text in prompt_set.prompts]
    misses = answers(engine, agent.catalog, PromptSet("coco", ("wrong", "a hare", "oil")), quiet)
    assert (misses.names, misses.hits) == ((None, None, 'Oil "Masters" {v2}'), ())
    assert "type is 'LoRA'" in misses.flaws[0]


def test_the_table_by_hand() -> None:
    prompt_sets = [PromptSet("test", ("p",) * 4, ("a", "a", "b", "c")), PromptSet("coco", ("p",) * 4)]
    sft = MemoryAnswers(("A", None, "B", None), (True, False, False, False), ("flaw",))
    rrhf = MemoryAnswers(("A", "A", "A", None), (True, True, False, False), ())
    systems = {
        "test": {"sft": sft, "rrhf": rrhf},
        "coco": {"sft": MemoryAnswers(sft.names, (), ()), "rrhf": rrhf},
    }
    rows = table(systems, prompt_sets)
    test = rows["test"]
    assert (test["n"], test["most_used"]) == (4, {"recall": 50.0})
    assert [test[name]["hallucination"]["mean"] for name in ("sft", "rrhf", "gain")] == [50, 25, -25]
    assert [test[name]["recall"]["mean"] for name in ("sft", "rrhf", "gain")] == [25, 50, 25]
    assert (test["sft"]["models"], test["rrhf"]["models"]) == (2, 1)
    low, high = test["sft"]["hallucination"]["ci95"]
    assert low < 50 < high
    assert "recall" not in rows["coco"]["sft"]
    assert "most_used" not in rows["coco"]
    alone = table({"test": {"sft": sft}}, prompt_sets[:1])
    assert "gain" not in alone["test"]
    text = lines(rows).splitlines()
    assert text[0] == "test, n = 4; the most used model 50.0 %"
    assert text[1].startswith("  sft          hallucination 50.0 % (")
    assert text[1].endswith("), 2 models")
    assert text[4] == "coco, n = 4"


def test_enriched_prompts_are_a_set_of_their_own() -> None:
    enriched_set = enhance_set(PromptSet("coco", ("a fox",)), RuleEngine(), quiet)
    assert enriched_set.name == "coco, enhanced"
    assert enriched_set.prompts[0].startswith("a fox, photograph, ")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["p.txt", "--form", "memory"], "pass --system NAME=LLM"),
        (["p.txt", "q.txt"], "is measured on one file"),
        (["p.txt", "--system", "sft=tuned"], "leave --system"),
    ],
)
def test_each_form_says_what_it_lacks(words: list[str], reason: str) -> None:
    result = CliRunner().invoke(root, ["eval", "hallucination", *words])
    assert result.exit_code != 0
    assert reason in f"{result.exception} {result.output}"
