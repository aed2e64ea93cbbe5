"""The training data of alignment: responses to the queries of the align part, and the reward of each.

In: a task and an agent with the fine-tuned model. Out: queries with scored responses, for the trainer.
Both files grow by a query at a time, so that a run continues where it was interrupted; the file of another
task is replaced.
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
from diffagent.training.rrhf.policy import Policy
from diffagent.training.rrhf.queries import Query
from diffagent.training.rrhf.responses import QueryResponses, Response, respond
from diffagent.training.rrhf.trainer import ScoredQuery
from diffagent.training.sft.tuned_model import TunedModel

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent
    from diffagent.training.rewards import Reward
    from diffagent.training.rrhf.config import RRHFConfig

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
RESPONSES, SCORES = "responses.jsonl", "scores.jsonl"
_RESPONSE_FIELDS = (
    "form",
    "k",
    "responses",
    "diversity",
    "temperature",
    "parameters",
    "ranked",
    "learnt",
    "seed",
)
"""The fields of a recipe that the responses depend on."""


@dataclass(frozen=True)
class AlignmentTask:
    """A model and its reward: ``queries`` in the order of training, ``default`` the model of the default
    call, ``source`` the folder of DABench or the file of requests that the queries come from."""

    config: RRHFConfig
    tuned: TunedModel
    queries: Sequence[Query]
    default: Card
    reward: Reward
    source: Path


def collect(task: AlignmentTask, agent: Agent, path: Path, progress: Progress) -> list[QueryResponses]:
    """The responses to every query; those of an earlier run of the same task are kept."""
    settings = [getattr(task.config, name) for name in _RESPONSE_FIELDS]
    key = _digest([task.tuned.digest, task.default.air, *settings])
    rows = {row["key"]: row for row in _stored_rows(path, key)}
    policy: Policy | None = None
    with path.open("a", encoding="utf-8") as stream:
        for number, query in enumerate(progress(task.queries, "responses")):
            if query.key in rows:
                continue
            policy = policy or Policy.from_engine(agent.engine)  # type: ignore[arg-type]
            rng = np.random.default_rng([task.config.seed, number])
            responses = respond(query, policy, agent, task.config, task.default, rng)
            rows[query.key] = to_row(responses)
            stream.write(json.dumps(rows[query.key], ensure_ascii=False) + "\n")
            stream.flush()
    return [from_row(rows[query.key]) for query in task.queries]


def rate(
    query_responses: Sequence[QueryResponses], reward: Reward, path: Path, progress: Progress
) -> dict[str, list[float]]:
    """Query → a score for each of its responses; those of an earlier run are kept."""
    key = _digest([reward.name])
    stored_scores = {(row["key"], row["calls"]): row["scores"] for row in _stored_rows(path, key)}
    scores = {}
    with path.open("a", encoding="utf-8") as stream:
        for group in progress(query_responses, "rewards"):
            calls = [response.call for response in group.responses]
            calls_digest = _digest([call.model_dump() for call in calls])
            if (group.key, calls_digest) not in stored_scores:
                stored_scores[group.key, calls_digest] = reward.score(group.prompt, calls)
                row = {
                    "key": group.key,
                    "calls": calls_digest,
                    "scores": stored_scores[group.key, calls_digest],
                }
                stream.write(json.dumps(row) + "\n")
                stream.flush()
            scores[group.key] = stored_scores[group.key, calls_digest]
    return scores


def rank(
    query_responses: Sequence[QueryResponses], scores: Mapping[str, Sequence[float]]
) -> list[ScoredQuery]:
    """The trainer's examples: the queries with more than one response."""
    return [
        ScoredQuery(
            list(group.ids),
            [list(response.tokens) for response in group.responses],
            list(scores[group.key]),
            [
                len(response.tokens) if response.counted is None else response.counted
                for response in group.responses
            ],
        )
        for group in query_responses
        if len(group.responses) > 1
    ]


def to_row(group: QueryResponses) -> dict[str, Any]:
    """A line of ``responses.jsonl``."""
    responses = [
        {"source": r.source, "tokens": list(r.tokens), "call": r.call.model_dump(), "counted": r.counted}
        for r in group.responses
    ]
    return {**asdict(replace(group, responses=())), "responses": responses}


def from_row(row: Mapping[str, Any]) -> QueryResponses:
    """The inverse of :func:`to_row`."""
    responses = tuple(
        Response(
            response["source"],
            tuple(response["tokens"]),
            T2ICall.parse(response["call"]),
            response["counted"],
        )
        for response in row["responses"]
    )
    return QueryResponses(**{**row, "ids": tuple(row["ids"]), "responses": responses})


def _stored_rows(path: Path, key: str) -> list[dict[str, Any]]:
    """The complete rows of a file with the same key; any other file is replaced by an empty one."""
    if path.is_file():
        lines = path.read_bytes().split(b"\n")
        rows = [json.loads(line) for line in lines[:-1] if line]
        if rows and rows[0].get("made_for") == key:
            path.write_bytes(b"\n".join(lines[:-1]) + b"\n")  # without a line that a kill truncated
            return rows[1:]
    path.write_text(json.dumps({"made_for": key}) + "\n", encoding="utf-8")
    return []


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
