"""The reward of the community: relevance without near-duplicates, two halves, standing within a group."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stand_ins import WordEncoder, invented, quiet

from diffagent.data.records import Card, Stats
from diffagent.training.rewards.community import Community, combine
from diffagent.training.rewards.standing import standings
from diffagent.training.rewards.unified import normalise, unified

FOX = "a red fox in deep snow, pixel art, tiny sprite"
PIXELS = invented(1, "Snow Pixels", [FOX + ", bright", "castle on a hill, dithered"])
OILS = invented(2, "Harbour Oils", ["harbour in oil", "boats in oil, storm"])


def community(prompts: list[str], side: Any = "reward") -> Community:
    return Community.from_entries([PIXELS, OILS], WordEncoder(), prompts, quiet, side)


def card(
    number: int, downloads: int, ratings: int = 10, rating: float = 4.0, kind: str = "Checkpoint"
) -> Card:
    stats = Stats(downloads, 0, 0, ratings, rating)
    return invented(number, f"N{number}", [], stats=stats, type=kind).card


def test_near_duplicates_of_the_query_do_not_speak_for_a_model() -> None:
    air = PIXELS.card.air
    both = {side: community([], side).measure(FOX, [air])["relevance"][0] for side in ("reward", "report")}
    assert max(both.values()) > 0.8  # its twin stands in one of the halves
    for side in ("reward", "report"):
        assert community([FOX], side).measure(FOX, [air])["relevance"][0] < 0.8


def test_the_halves_share_no_sample_prompt_and_every_model_has_its_card() -> None:
    images = community([])
    samples = images.cluster != -1
    assert set(images.half[samples].tolist()) <= {0, 1}
    for side in ("reward", "report"):
        relevance = community([], side).measure("harbour in oil", [PIXELS.card.air, OILS.card.air])[
            "relevance"
        ]
        assert relevance[1] > relevance[0]  # by its samples or by its name alone
    texts = {"reward": set(), "report": set()}  # type: ignore[var-annotated]
    for place, half in enumerate(images.half[samples]):
        texts["report" if half else "reward"].add(images.vectors[place].tobytes())
    assert not texts["reward"] & texts["report"]


def test_a_model_that_the_crawl_does_not_know_has_nothing() -> None:
    measures = community([]).measure("a fox", ["urn:air:sd1:checkpoint:civitai:9@9"])
    assert {name: values.tolist() for name, values in measures.items()} == {
        "relevance": [0.0], "rating": [0.0], "downloads": [0.0],
    }  # fmt: skip


def test_standing_is_within_type_and_base_model() -> None:
    ranks = standings([card(1, 10), card(2, 30), card(3, 20), card(4, 10**6, kind="LoRA")])
    assert [ranks[f"urn:air:sd1:checkpoint:civitai:{n}@{n + 1}"].downloads for n in (1, 2, 3)] == [0, 1, 0.5]
    assert ranks["urn:air:sd1:lora:civitai:4@5"].downloads == 0.5  # alone in its group
    added = list(standings([card(1, 10), card(2, 0, 0, 0.0), card(3, 20)]).values())
    assert (added[1].downloads, added[1].rating) == (0.5, 0.5)  # nobody has said anything of it
    by_rating = standings([card(1, 1, 1000, 4.9), card(2, 1, 1, 5.0), card(3, 1, 1000, 4.0)])
    shares = [by_rating[f"urn:air:sd1:checkpoint:civitai:{n}@{n + 1}"].rating for n in (1, 2, 3)]
    assert shares == [1.0, 0.5, 0.0]  # one rating of 5 does not outrank a thousand of 4.9


def test_hidden_downloads_stand_in_the_middle_and_move_nobody() -> None:
    peers = [card(1, 10), card(2, 30), card(3, 20)]
    hidden = replace(card(4, 0, 90, 4.9), stats=Stats(0, 0, 0, 90, 4.9, hidden=True))
    ranks = standings([*peers, hidden])
    airs = [peer.air for peer in (*peers, hidden)]
    assert [ranks[air].downloads for air in airs] == [0, 1, 0.5, 0.5]
    assert ranks[hidden.air].rating == 1.0
    assert standings([hidden])[hidden.air].downloads == 0.5


def test_the_score_weighs_relevance_by_half() -> None:
    measures = {
        "relevance": np.array([0.2, 0.6, 0.4]),
        "rating": np.array([1.0, 0.0, 0.5]),
        "downloads": np.array([1.0, 0.0, 0.5]),
    }
    assert combine(measures).tolist() == pytest.approx([0.5, 0.5, 0.5])


def test_normalisation_and_the_unified_metric_by_hand() -> None:
    assert normalise([[1.0, 3.0], [2.0, 5.0]]).tolist() == [[0.0, 0.5], [0.25, 1.0]]
    assert normalise([4.0, 4.0]).tolist() == [0.5, 0.5]
    scores = {"clip": [[0.0, 1.0], [1.0, 1.0]], "reward": [[-2.0, 0.0], [2.0, 2.0]], "hps": [[3.0] * 2] * 2}
    assert unified(scores).tolist() == pytest.approx([((0 + 0 + 0.5) + (1 + 0.5 + 0.5)) / 6, 2.5 / 3])
