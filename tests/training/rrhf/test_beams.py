"""Diverse beam search and sampling over tables of probabilities, against values worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from diffagent.data.errors import BadInput
from diffagent.training.rrhf.beams import diverse_beams, multinomial

Steps = dict[tuple[int, ...], tuple[float, ...]]


class Table:
    """log P by the tokens so far; what is not named is impossible."""

    def __init__(self, table: Steps) -> None:
        self.table = table
        self.rows: list[tuple[int, ...]] = [()]

    def _row(self, tokens: tuple[int, ...]) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(np.array(self.table.get(tokens, (0, 0, 0)), np.float32))

    def first(self) -> np.ndarray:
        return self._row(())

    def extend(self, parents: Sequence[int], tokens: Sequence[int]) -> np.ndarray:
        self.rows = [(*self.rows[p], t) for p, t in zip(parents, tokens, strict=True)]
        return np.stack([self._row(row) for row in self.rows])


ONE_STEP: Steps = {(): (0.6, 0.3, 0.1)}
TWO_STEPS: Steps = {(): (0.6, 0.4, 0), (0,): (0.5, 0.5, 0), (1,): (0.9, 0.05, 0.05), (2,): (0.2, 0.2, 0.6)}


def never(tokens: tuple[int, ...]) -> bool:
    return False


def test_without_a_penalty_every_group_says_the_same() -> None:
    beams = diverse_beams(Table(ONE_STEP), 3, 1, 0.0, 1, never)
    assert [beam.tokens for beam in beams] == [(0,), (0,), (0,)]


def test_a_penalty_sends_groups_elsewhere_and_is_not_summed_up() -> None:
    """0.6, then 0.3 (ln 0.6 − 1 < ln 0.3), then 0.6 again: ln 0.6 − 1 = −1.51 is above ln 0.1 = −2.30."""
    beams = diverse_beams(Table(ONE_STEP), 3, 1, 1.0, 1, never)
    assert [beam.tokens for beam in beams] == [(0,), (1,), (0,)]
    assert [beam.log_prob for beam in beams] == pytest.approx(np.log([0.6, 0.3, 0.6]))
    far = diverse_beams(Table(ONE_STEP), 3, 1, 5.0, 1, never)
    assert [beam.tokens for beam in far] == [(0,), (1,), (2,)]


def test_a_group_of_two_beams_is_plain_beam_search() -> None:
    """Greedy takes 0 and ends at 0.6 × 0.5; the second beam finds 0.4 × 0.9 = 0.36."""
    beams = diverse_beams(Table(TWO_STEPS), 1, 2, 0.0, 2, never)
    assert [beam.tokens for beam in beams] == [(1, 0), (0, 0)]
    assert [beam.log_prob for beam in beams] == pytest.approx(np.log([0.36, 0.3]))


def test_finished_sequences_keep_their_place_while_others_grow() -> None:
    beams = diverse_beams(Table(TWO_STEPS), 2, 1, 2.0, 2, lambda tokens: tokens == (0,))
    assert [beam.tokens for beam in beams] == [(0,), (1, 0)]


def test_counts_below_one_are_refused() -> None:
    with pytest.raises(BadInput, match="counts start at 1"):
        diverse_beams(Table(ONE_STEP), 0, 1, 1.0, 1, never)


def test_sampling_follows_the_distribution_and_ends_at_the_end_token() -> None:
    table: Steps = {(): (0.7, 0.3, 0), (0,): (0, 0, 1), (1,): (0, 0, 1)}
    rng = np.random.default_rng(0)
    samples = [multinomial(Table(table), rng, 1.0, 9, [2]) for _ in range(400)]
    assert set(samples) == {(0,), (1,)}
    assert samples.count((0,)) / 400 == pytest.approx(0.7, abs=0.06)
    cold = [multinomial(Table(table), rng, 0.05, 9, [2]) for _ in range(20)]
    assert set(cold) == {(0,)}
    assert multinomial(Table(table), rng, 1.0, 1, [2]) in [(0,), (1,)]
