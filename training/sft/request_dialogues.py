"""Plain requests as dialogues: the reading of a request, and the choice among its candidates.

The choice follows the reading. Its candidates are shuffled, so that a place in the list is no hint. It has no
single right answer: a letter's share of the target grows with its grade.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from diffagent.agent.answering import choice
from diffagent.agent.answering.answer import LABELS
from diffagent.agent.answering.choice import SHOWN
from diffagent.agent.asking import reading
from diffagent.agent.asking.reading import Reading
from diffagent.agent.engines.grammar import Grammar
from diffagent.data.records import Card
from diffagent.training.corpora.plain_requests import WORTH, PlainRequest
from diffagent.training.sft.dialogues import Dialogue


def readings(requests: Sequence[PlainRequest]) -> Iterator[Dialogue]:
    """The reading of each request as a dialogue."""
    for request in requests:
        legal = replace(Reading.of(request.prompt), barred_media=frozenset(), is_tagged=False).grammar(1.0)
        yield Dialogue("reading", reading.question(request.prompt), request.reading.line, legal)


def choices(
    requests: Sequence[PlainRequest], cards: Mapping[str, Card], rng: np.random.Generator
) -> Iterator[Dialogue]:
    """The choice of each request, as a dialogue, among :data:`SHOWN` of its candidates in ``cards`` (by AIR).

    Half of the list are the best candidates; a request without an acceptable one makes no dialogue. A fifth
    of the choices follow the rules' reading instead of the right one, as in serving where the model errs.
    """
    for request in requests:
        truth, draft = request.reading, Reading.of(request.prompt)
        candidates = [candidate for candidate in request.candidates if candidate.air in cards]
        candidates = [candidates[i] for i in rng.permutation(len(candidates))]
        candidates.sort(key=lambda candidate: -candidate.grade)
        others = [candidates[i] for i in SHOWN // 2 + rng.permutation(max(0, len(candidates) - SHOWN // 2))]
        candidates = candidates[: SHOWN // 2] + others[: SHOWN - SHOWN // 2]
        candidates = [candidates[i] for i in rng.permutation(len(candidates))]
        worth = np.array([WORTH[candidate.grade] for candidate in candidates])
        if len(candidates) < 2 or worth.sum() < WORTH[2]:
            continue
        line = truth.line if rng.random() < 0.8 else draft.line
        question = choice.question([cards[candidate.air] for candidate in candidates], request.prompt, line)
        label = LABELS[int(worth.argmax())]
        targets = tuple((worth / worth.sum()).tolist())
        yield Dialogue("choice", question, label, Grammar((label,)), targets=targets)
