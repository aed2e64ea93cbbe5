"""What alignment learns from: responses to the queries of the align part, and the reward of each.

In: a task and an agent on the fine-tuned model. Out: queries with scored responses, for the trainer.
Both files are written a query at a time, so that a run goes on where it was cut off; one of another task
starts anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diffagent.data.records import Card, T2ICall
from diffagent.training.rrhf.policy import Policy, Tuned
from diffagent.training.rrhf.queries import Query
from diffagent.training.rrhf.responses import Answered, Response, respond
from diffagent.training.rrhf.trainer import Ranked

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent
    from diffagent.training.rewards import Reward
    from diffagent.training.rrhf.config import RRHFConfig

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
RESPONSES, SCORES = "responses.jsonl", "scores.jsonl"
_ASKED = ("form", "k", "responses", "diversity", "temperature", "parameters", "ranked", "learnt", "seed")
"""What of a recipe decides the responses."""


@dataclass(frozen=True)
class Task:
    """What is aligned with what: ``queries`` in the order of training, ``default`` the model of the default
    call, ``source`` the folder of DABench or the file of requests that the queries come from."""

    config: RRHFConfig
    tuned: Tuned
    queries: Sequence[Query]
    default: Card
    reward: Reward
    source: Path


def collect(task: Task, agent: Agent, path: Path, progress: Progress) -> list[Answered]:
    """The responses to every query, those of an earlier run of the same task kept."""
    asked = [getattr(task.config, name) for name in _ASKED]
    key = _digest([task.tuned.digest, task.default.air, *asked])
    kept = {row["key"]: row for row in _kept(path, key)}
    policy: Policy | None = None
    with path.open("a", encoding="utf-8") as stream:
        for number, query in enumerate(progress(task.queries, "responses")):
            if query.key in kept:
                continue
            policy = policy or Policy.of(agent.engine)  # type: ignore[arg-type]
            rng = np.random.default_rng([task.config.seed, number])
            found = respond(query, policy, agent, task.config, task.default, rng)
            kept[query.key] = to_row(found)
            stream.write(json.dumps(kept[query.key], ensure_ascii=False) + "\n")
            stream.flush()
    return [from_row(kept[query.key]) for query in task.queries]


def rate(
    answered: Sequence[Answered], reward: Reward, path: Path, progress: Progress
) -> dict[str, list[float]]:
    """Query → a score for each of its responses; those of an earlier run kept."""
    key = _digest([reward.name])
    kept = {(row["key"], row["calls"]): row["scores"] for row in _kept(path, key)}
    found = {}
    with path.open("a", encoding="utf-8") as stream:
        for one in progress(answered, "rewards"):
            calls = [response.call for response in one.responses]
            said = _digest([call.model_dump() for call in calls])
            if (one.key, said) not in kept:
                kept[one.key, said] = reward.score(one.prompt, calls)
                row = {"key": one.key, "calls": said, "scores": kept[one.key, said]}
                stream.write(json.dumps(row) + "\n")
                stream.flush()
            found[one.key] = kept[one.key, said]
    return found


def rank(answered: Sequence[Answered], scores: Mapping[str, Sequence[float]]) -> list[Ranked]:
    """What the trainer reads: the queries that have something to rank."""
    return [
        Ranked(
            list(one.ids),
            [list(said.tokens) for said in one.responses],
            list(scores[one.key]),
            [len(said.tokens) if said.counted is None else said.counted for said in one.responses],
        )
        for one in answered
        if len(one.responses) > 1
    ]


def to_row(one: Answered) -> dict[str, Any]:
    """As a line of ``responses.jsonl``."""
    said = [
        {"source": r.source, "tokens": list(r.tokens), "call": r.call.model_dump(), "counted": r.counted}
        for r in one.responses
    ]
    return {**asdict(replace(one, responses=())), "responses": said}


def from_row(row: Mapping[str, Any]) -> Answered:
    """The reverse of :func:`to_row`."""
    said = tuple(
        Response(one["source"], tuple(one["tokens"]), T2ICall.parse(one["call"]), one["counted"])
        for one in row["responses"]
    )
    return Answered(**{**row, "ids": tuple(row["ids"]), "responses": said})


def _kept(path: Path, key: str) -> list[dict[str, Any]]:
    """The whole rows of a file that was written for the same key; any other file starts anew."""
    if path.is_file():
        lines = path.read_bytes().split(b"\n")
        rows = [json.loads(line) for line in lines[:-1] if line]
        if rows and rows[0].get("made_for") == key:
            path.write_bytes(b"\n".join(lines[:-1]) + b"\n")  # a line that a kill cut off goes
            return rows[1:]
    path.write_text(json.dumps({"made_for": key}) + "\n", encoding="utf-8")
    return []


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
