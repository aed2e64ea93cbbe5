"""Diverse beam search (Vijayakumar et al. 2016) and multinomial sampling, over any source of
log-probabilities.

transformers 5 no longer has a group beam search (it moved to code that is downloaded), so it is here.
Groups of beams advance one after another; at each step a group scores token v by

    Σ log P of the beam  +  log P(v)  −  strength × how many beams of earlier groups chose v at this step

with Hamming diversity, as in the paper's experiments. The penalty steers the choice and is not accumulated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from diffagent.data.errors import BadInput

Floats = npt.NDArray[np.float32]
Finished = Callable[[tuple[int, ...]], bool]
"""Whether a sequence of tokens is complete."""


class Decoder(Protocol):
    """A question, and rows of tokens that continue it."""

    def first(self) -> Floats:
        """Log-probabilities [vocabulary] of the first token."""
        ...

    def extend(self, parents: Sequence[int], tokens: Sequence[int]) -> Floats:
        """Row i becomes row ``parents[i]`` with ``tokens[i]`` appended; returns log-probabilities [rows,
        vocabulary] of the next token. Before the first call there is one row, 0, without tokens."""
        ...


@dataclass(frozen=True)
class Beam:
    """Tokens with their summed log-probability."""

    tokens: tuple[int, ...] = ()
    log_prob: float = 0.0
    parent: int = 0


def diverse_beams(
    decoder: Decoder, groups: int, width: int, strength: float, most: int, finished: Finished
) -> list[Beam]:
    """``groups`` × ``width`` sequences, the groups in order, each group's best first.

    A sequence that ``finished`` accepts, or that has ``most`` tokens, stops growing and keeps its place.

    Raises:
        BadInput: a count is below 1, or the strength below 0.
    """
    if min(groups, width, most) < 1 or strength < 0:
        raise BadInput(
            f"groups {groups}, width {width}, most {most}, strength {strength}: "
            "counts start at 1, strength at 0"
        )
    rows = decoder.first()[None].repeat(groups * width, axis=0)
    beams = [[Beam() if i == 0 else Beam(log_prob=-np.inf) for i in range(width)] for _ in range(groups)]
    for _ in range(most):
        earlier_tokens: Counter[int] = Counter()
        for g in range(groups):
            beams[g] = _advance(
                beams[g], rows[g * width : (g + 1) * width], earlier_tokens, strength, finished
            )
            earlier_tokens.update(beam.tokens[-1] for beam in beams[g] if beam.tokens)
        flat = [beam for group in beams for beam in group]
        if all(finished(beam.tokens) for beam in flat):
            break
        if len(flat[0].tokens) < most:
            parents = [g * width + beam.parent for g, group in enumerate(beams) for beam in group]
            first = len(flat[0].tokens) == 1 and all(len(beam.tokens) == 1 for beam in flat)
            rows = decoder.extend([0] * len(flat) if first else parents, [beam.tokens[-1] for beam in flat])
    return [beam for group in beams for beam in group]


def _advance(
    beams: Sequence[Beam], rows: Floats, earlier_tokens: Counter[int], strength: float, finished: Finished
) -> list[Beam]:
    """The best continuations of a group, as many as it has beams."""
    penalty = np.zeros(rows.shape[1])
    for token, count in earlier_tokens.items():
        penalty[token] = strength * count
    offers: list[tuple[float, Beam]] = []
    for i, beam in enumerate(beams):
        if beam.tokens and finished(beam.tokens):
            offers.append((beam.log_prob, Beam(beam.tokens, beam.log_prob, i)))
            continue
        if beam.log_prob == -np.inf:
            continue
        values = rows[i].astype(np.float64) - penalty
        for token in np.argsort(-values, kind="stable")[: len(beams)]:
            log_prob = beam.log_prob + float(rows[i][token])
            offers.append(
                (beam.log_prob + float(values[token]), Beam((*beam.tokens, int(token)), log_prob, i))
            )
    offers.sort(key=lambda offer: -offer[0])
    return [continuation for _, continuation in offers[: len(beams)]]


def multinomial(
    decoder: Decoder, rng: np.random.Generator, temperature: float, most: int, ends: Sequence[int]
) -> tuple[int, ...]:
    """Tokens drawn from softmax(log P / temperature), at most ``most``, up to an end token and without it."""
    log_probs = decoder.first()
    tokens: list[int] = []
    while True:
        logits = log_probs.astype(np.float64) / temperature
        weights = np.exp(logits - logits.max())
        token = int(rng.choice(len(weights), p=weights / weights.sum()))
        if token in ends:
            return tuple(tokens)
        tokens.append(token)
        if len(tokens) >= most:
            return tuple(tokens)
        log_probs = decoder.extend([0], [token])[0]
