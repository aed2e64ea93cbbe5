"""Hallucination: reading prompts, and counting answers that are not callable."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stand_ins import RuleEngine, quiet

from diffagent.agent.agent import Agent
from diffagent.agent.engines import Prompt
from diffagent.agent.engines.grammar import Grammar
from diffagent.data.errors import BadAnswer, BadInput, DiffAgentError, EngineError, EngineGone, MissingWeights
from diffagent.training.evaluation.hallucination import measure, read_prompts

MakeAgent = Callable[..., Agent]
THREE = ["a fox", 'a "red" château', "sea, 1girl"]


def test_prompts_of_the_three_formats(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text('a fox\n\n  a "red" château \nsea, 1girl', "utf-8")
    tsv = 'Prompt\tCategory\na fox\tAnimals\na "red" château\tx\n\tempty\nsea, 1girl'
    (tmp_path / "p.tsv").write_text(tsv, "utf-8")
    rows: list[Any] = [
        {"prompt": THREE[0]},
        {"instruction": {"prompt": THREE[1]}},
        {"prompt": THREE[2], "n": 1},
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    for suffix in ("txt", "tsv", "jsonl"):
        assert read_prompts(tmp_path / f"p.{suffix}", None, 0) == THREE, suffix


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.txt", None, "is not a file"),
        ("p.csv", b"a fox", "ends in '.csv'"),
        ("p.txt", b"\n \n", "holds no prompts"),
        ("p.tsv", b"Text\na fox", "holds no prompts"),
        ("p.jsonl", b'{"text": "a fox"}', "p.jsonl, line 1"),
        ("p.jsonl", b'{"prompt": "a fox"}\n{', "p.jsonl, line 2"),
        ("p.jsonl", b"", "holds no prompts"),
        ("p.txt", b"\xff\xfe", "p.txt"),
    ],
)
def test_files_without_prompts_are_refused(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput) as refusal:
        read_prompts(tmp_path / name, None, 0)
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_limit_draws_at_random_and_keeps_the_order(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("\n".join(f"{i:02}" for i in range(40)))
    ten = read_prompts(path, 10, 1)
    assert len(set(ten)) == 10
    assert ten == sorted(ten) == read_prompts(path, 10, 1) != read_prompts(path, 10, 2)
    assert len(read_prompts(path, 99, 1)) == 40


def test_the_agents_calls_are_callable_and_free_answers_counted(make_agent: MakeAgent) -> None:
    summary = measure(make_agent(), ["pixel art of a fox", "oil painting", "a dog"], 2, quiet)
    assert (summary["n"], summary["constrained"]) == (3, 0)
    assert (summary["n_unconstrained"], summary["unconstrained"]) == (2, 1.0)  # the stand-in says "A"
    assert "'A', which is not a letter, name" in summary["unconstrained_flaws"][0]
    assert summary["distinct_models"] == 2


class Talker(RuleEngine):
    """Answers freely: the first prompt well, then with an invented model, a wrong type, and prose."""

    def generate_many(self, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int = 8) -> list[str]:
        answers = [
            'A Tiny Pixels = [512,512,"Euler a",20,7]',
            'A Tiny Pixies = [512,512,"Euler a",20,7]',
            'A Tiny Pixels + [512,512,"Euler a",20,7]',
            "I would use Tiny Pixels.",
        ]
        return answers[: len(prompts)]


def test_free_answers_are_judged_by_the_catalog(make_agent: MakeAgent) -> None:
    summary = measure(make_agent(Talker()), ["a fox"] * 4, 4, quiet)
    assert summary["unconstrained"] == 0.75
    assert "Tiny Pixies" in summary["unconstrained_flaws"][0]


class Rememberer(RuleEngine):
    """Answers from memory: well, with a wrong type, out of range, and in the other form."""

    def write(self, prompt: Prompt, grammar: Grammar, draft: str = "") -> str:
        option = next((name for slot in grammar.slots for name in slot.options if "Ink Fox" in name), None)
        return option if option else super().write(prompt, grammar, draft)

    def generate_many(self, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int = 8) -> list[str]:
        self.asked += prompts
        answers = [
            '["Tiny Pixels","Checkpoint","SD 1.5",512,512,"Euler a",20,7]',
            '["Tiny Pixels","LoRA","SD 1.5",512,512,"Euler a",20,7]',
            '["Tiny Pixels","Checkpoint","SD 1.5",512,512,"Euler a",200,7]',
            'A Tiny Pixels = [512,512,"Euler a",20,7]',
        ]
        return answers[: len(prompts)]


def test_from_memory_the_prompt_stands_alone(make_agent: MakeAgent) -> None:
    engine = Rememberer()
    summary = measure(make_agent(engine), ["a fox", "a dog", "a hare", "a cat"], 4, quiet, "memory")
    assert (summary["constrained"], summary["unconstrained"]) == (0, 0.75)
    assert (summary["distinct_models"], summary["distinct_models_unconstrained"]) == (1, 1)
    assert [prompt.user for prompt in engine.asked] == [
        f"Prompt: a {it}" for it in ("fox", "dog", "hare", "cat")
    ]
    assert "steps are out of range" in summary["unconstrained_flaws"][1]


def test_a_refusal_counts_as_not_callable(make_agent: MakeAgent) -> None:
    summary = measure(make_agent(), ["a fox", "<lora:x:1>"], 0, quiet)
    assert (summary["constrained"], summary["unconstrained"], summary["n_unconstrained"]) == (0.5, None, 0)
    assert "nothing but LoRA tags" in summary["flaws"][0]


@pytest.mark.parametrize("fault", [EngineGone, EngineError, MissingWeights])
def test_a_failed_engine_ends_the_run_and_is_no_hallucination(
    make_agent: MakeAgent, fault: type[DiffAgentError]
) -> None:
    agent = make_agent()

    class Broken:
        """An agent whose engine answers one prompt and then fails."""

        catalog, prefilter, engine = agent.catalog, agent.prefilter, agent.engine

        def decide_many(self, requests: Any) -> Any:
            return [*agent.decide_many(requests[:1]), *(fault("the server is down") for _ in requests[1:])]

    with pytest.raises(fault, match="the server is down"):
        measure(Broken(), ["a fox", "a dog"], 0, quiet)  # type: ignore[arg-type]


def test_an_answer_outside_the_grammar_is_one(make_agent: MakeAgent) -> None:
    agent = make_agent()

    class Babbler:
        """An agent whose model says what is no call."""

        catalog, prefilter, engine = agent.catalog, agent.prefilter, agent.engine

        def decide_many(self, requests: Any) -> Any:
            return [BadAnswer("the language model answered 'hm', which is no call") for _ in requests]

    summary = measure(Babbler(), ["a fox", "a dog"], 0, quiet)  # type: ignore[arg-type]
    assert summary["constrained"] == 1.0


def test_a_call_outside_the_catalog_counts_as_not_callable(make_agent: MakeAgent) -> None:
    agent = make_agent()

    class Inventor:
        """An agent that names what its catalog does not have."""

        catalog, prefilter, engine = agent.catalog, agent.prefilter, agent.engine

        def decide_many(self, requests: Any) -> Any:
            invented = {"model": "Dreamy Dream 9"}
            decisions: list[Any] = agent.decide_many(requests)
            return [
                replace(decision, call=decision.call.model_copy(update=invented)) for decision in decisions
            ]

    summary = measure(Inventor(), ["a fox", "a dog"], 0, quiet)  # type: ignore[arg-type]
    assert summary["constrained"] == 1.0
    assert "Dreamy Dream 9" in summary["flaws"][0]
