"""Description reconstruction (paper, section 3.1): a language model rewrites what a model is for.

    sources (card, uploader's text, sample prompts) → prompts → writer → checks → descriptions

The writer is any function from prompts to answers. An answer that fails a check is retried twice; then the
composed description stays. The same writer's answer to the same prompt is reused.

    summary = describe(sources, DescribeJob(writer, question, "gpt-4o-mini", "both"), file)
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from diffagent.data.attributes import Attributes
from diffagent.data.catalog.holdout import Rule
from diffagent.data.descriptions.description_faults import fault, tidy
from diffagent.data.descriptions.descriptions import Description, DescriptionsFile
from diffagent.data.descriptions.sources import Source
from diffagent.data.errors import BadInput, EngineError

Writer = Callable[[list[str]], list[str]]
"""Prompts → answers in order; "" where there is none."""

Ask = Callable[[Source, int, str], str]
"""``ask(source, attempt, fault)``: the prompt of attempt 0, 1 or 2, with the last answer's fault."""

ATTEMPTS = 3
BATCH = 64
"""Prompts per call of the writer: the most that a killed run loses."""
NO_ANSWER = "no answer"

Progress = Callable[[int], None]
"""Receives the number of entries done."""


@dataclass
class DescribeSummary:
    """The counts of a run: ``composed`` after three refused answers; ``unanswered`` are retried next time.

    ``faults`` counts refused answers by reason, ``asked`` all prompts sent.
    """

    entries: int = 0
    reused: int = 0
    written: int = 0
    composed: int = 0
    unanswered: int = 0
    asked: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def composed_share(self) -> float:
        """The share of described entries whose composed description stayed."""
        return round(self.composed / max(1, self.written + self.composed), 4)

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as the command prints them."""
        faults = dict(sorted(self.faults.items(), key=lambda pair: (-pair[1], pair[0])))
        return {**asdict(self), "faults": faults, "composed_share": self.composed_share}


@dataclass(frozen=True)
class DescribeJob:
    """The writer with its ``name``, the question it is asked, and the samples' held-out rule."""

    writer: Writer
    ask: Ask
    name: str
    rule: Rule

    def key(self, source: Source) -> str:
        """A digest of the writer's name, the rule and the first question."""
        text = "\0".join((self.name, self.rule, source.card.air, self.ask(source, 0, "")))
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


@dataclass(frozen=True)
class Plan:
    """A run's size: ``prompts`` first questions with ``characters`` in all, for ``entries``."""

    entries: int
    prompts: int
    characters: int


def plan(sources: Iterable[Source], job: DescribeJob, file: DescriptionsFile) -> Plan:
    """Counts the sources without a description and the length of their questions."""
    entries, lengths = 0, []
    for source in sources:
        entries += 1
        if job.key(source) not in file.known:
            lengths.append(len(job.ask(source, 0, "")))
    return Plan(entries, len(lengths), sum(lengths))


def describe(
    sources: Iterable[Source],
    job: DescribeJob,
    file: DescriptionsFile,
    limit: int | None = None,
    batch: int = BATCH,
    progress: Progress = lambda done: None,
) -> DescribeSummary:
    """Describes every source that ``file`` lacks, at most ``limit``, and saves batch by batch.

    After a run without a limit the file holds these sources' descriptions only, in their order.

    Raises:
        EngineError: the writer failed as a whole; earlier batches are kept.
    """
    summary, keys = DescribeSummary(), list[str]()

    def fresh() -> Iterator[Source]:
        for source in sources:
            summary.entries += 1
            key = job.key(source)
            keys.append(key)
            if key in file.known:
                summary.reused += 1
            else:
                yield source

    pending = fresh() if limit is None else islice(fresh(), limit)
    done = 0
    while group := list(islice(pending, batch)):
        file.add(_write(group, job, summary))
        done += len(group)
        progress(done)
    rows = [file.known[key] for key in keys if key in file.known]
    summary.written = sum(row.status == "written" for row in rows)
    summary.composed = len(rows) - summary.written
    if limit is None:
        file.finish(rows)
    return summary


def _write(group: list[Source], job: DescribeJob, summary: DescribeSummary) -> list[Description]:
    """Returns a description for each source of the group that got an answer."""
    faults: list[list[str]] = [[] for _ in group]
    texts = [""] * len(group)
    purposes: list[Attributes | None] = [None] * len(group)
    for attempt in range(ATTEMPTS):
        open_ = [i for i in range(len(group)) if not texts[i]]
        prompts = [job.ask(group[i], attempt, (faults[i] or [""])[-1]) for i in open_]
        answers = job.writer(prompts) if prompts else []
        if len(answers) != len(prompts):
            raise EngineError(f"{job.name} gave {len(answers)} answers to {len(prompts)} prompts")
        summary.asked += len(prompts)
        for i, answer in zip(open_, answers, strict=True):
            text, attributes, wrong = _parse_answer(answer, group[i])
            purposes[i] = attributes or purposes[i]
            if wrong is None:
                texts[i] = text
            else:
                faults[i].append(wrong)
    summary.faults.update(reason for reasons in faults for reason in reasons)
    answered = [i for i in range(len(group)) if texts[i] or set(faults[i]) != {NO_ANSWER}]
    summary.unanswered += len(group) - len(answered)
    return [_row(group[i], texts[i], purposes[i], faults[i], job) for i in answered]


def _parse_answer(answer: str, source: Source) -> tuple[str, Attributes | None, str | None]:
    """Returns an answer's description, attributes and fault.

    A writer that fills in a form answers with the description alone.
    """
    text = tidy(answer)
    if not text.startswith("{"):
        return text, None, fault(text, source)
    try:
        fields = json.loads(text)
        text = tidy(str(fields.pop("description")))
        attributes = Attributes.parse(fields)
    except (ValueError, KeyError, BadInput):
        return "", None, "not attributes"
    return text, attributes, fault(text, source)


def _row(
    source: Source, text: str, attributes: Attributes | None, faults: list[str], job: DescribeJob
) -> Description:
    return Description(
        air=source.card.air,
        description=text or source.card.description,
        status="written" if text else "composed",
        attributes=attributes,
        faults=tuple(faults),
        writer=job.name,
        held_out=job.rule,
        key=job.key(source),
    )
