"""The fit of likely media: held-out requests are not fitted to, and others are told by a fit without them."""

from __future__ import annotations

from typing import Any

import numpy as np
from graded_requests import request
from stand_ins import WordEncoder

from diffagent.data.attributes import MEDIA
from diffagent.training.corpora.plain_requests import PlainRequest
from diffagent.training.fitting.media import fit

OIL, ANIME = MEDIA.index("oil painting"), MEDIA.index("anime")


def reads(prompt: str, medium: str) -> PlainRequest:
    """A request whose natural medium is known."""
    row: Any = request(prompt, {})
    return PlainRequest(row.id, prompt, "plain", {**row.slots, "natural": medium, "medium": None}, "none", ())


def test_words_tell_the_medium() -> None:
    encoder: Any = WordEncoder()
    rows = [reads(f"katana duel hero {n}", "anime") for n in range(40)]
    rows += [reads(f"candle fruit table {n}", "oil painting") for n in range(40)]
    whole, probabilities = fit(rows, encoder)
    assert set(probabilities) == {row.prompt for row in rows}
    assert all(np.isclose(row.sum(), 1) for row in probabilities.values())
    assert whole(encoder.encode(["katana duel hero 99"])[0])[ANIME] > 0.7
    assert np.mean([probabilities[f"candle fruit table {n}"][OIL] > 0.5 for n in range(40)]) > 0.9


def test_a_request_is_told_by_a_fit_that_did_not_see_it() -> None:
    """One mislabelled request: its own label does not tell its probabilities."""
    encoder: Any = WordEncoder()
    rows = [reads(f"katana duel hero {n}", "anime") for n in range(40)]
    rows += [reads(f"candle fruit table {n}", "oil painting") for n in range(40)]
    odd = next(row for row in rows if row.split == "train")
    rows[rows.index(odd)] = reads(odd.prompt, "oil painting")
    _, probabilities = fit(rows, encoder)
    assert probabilities[odd.prompt][ANIME] > 0.5


def test_held_out_requests_are_not_fitted_to() -> None:
    encoder: Any = WordEncoder()
    rows = [reads(f"katana duel hero {n}", "anime") for n in range(40)]
    rows += [reads(f"candle fruit table {n}", "oil painting") for n in range(40)]
    whole, _ = fit(rows, encoder)
    turned = [
        reads(row.prompt, "anime" if row.slots["natural"] == "oil painting" else "oil painting")
        if row.split == "test"
        else row
        for row in rows
    ]
    assert any(row.split == "test" for row in turned)
    again, _ = fit(turned, encoder)
    np.testing.assert_array_equal(again.weights, whole.weights)
