"""The quality filter on numbers worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffagent.data.catalog.quality import Quality, Standing, bayesian_ratings, low_quality
from diffagent.data.errors import BadInput
from diffagent.data.records import Stats

CHECKPOINT, LORA = ("Checkpoint", "SD 1.5"), ("LoRA", "SD 1.5")


def standing(
    name: str, downloads: int, ratings: int = 0, rating: float = 0.0, group: tuple[str, str] = CHECKPOINT
) -> Standing:
    return Standing(name, group, Stats(downloads=downloads, ratings=ratings, rating=rating))


def test_bayesian_ratings_by_hand() -> None:
    # m = (2 * 5 + 4 * 4 + 6 * 4.5) / 12 = 53 / 12, C = median(2, 4, 6, 0) = 3
    stats = [Stats(ratings=n, rating=r) for n, r in ((2, 5.0), (4, 4.0), (6, 4.5), (0, 0.0))]
    m = 53 / 12
    assert bayesian_ratings(stats) == pytest.approx([(3 * m + 10) / 5, (3 * m + 16) / 7, (3 * m + 27) / 9, m])


def test_one_enthusiast_does_not_outrank_a_thousand() -> None:
    crowd, single, middling = bayesian_ratings(
        [
            Stats(ratings=1000, rating=4.9),
            Stats(ratings=1, rating=5.0),
            Stats(ratings=500, rating=4.0),
        ]
    )
    assert crowd > single > middling


def test_ratings_of_nobody() -> None:
    assert bayesian_ratings([]) == []
    assert bayesian_ratings([Stats(), Stats(downloads=9)]) == [0.0, 0.0]


def test_the_lower_half_and_the_lowest_quarter_go() -> None:
    standings = [
        standing(str(n), downloads=n, ratings=10, rating=5.0 if n < 7 else 3.0 + n / 10) for n in range(8)
    ]
    # by downloads 0 to 3 go; by rating two of the eight may: 7 does, the others are equal
    assert low_quality(standings, Quality()) == {
        **dict.fromkeys("0123", "few downloads"),
        "7": "low rating",
    }


def test_groups_are_compared_with_themselves() -> None:
    few = [standing(f"lora {n}", n, group=LORA) for n in (1, 2)]
    many = [standing(f"checkpoint {n}", n) for n in (1000, 2000)]
    assert set(low_quality([*few, *many], Quality())) == {"lora 1", "checkpoint 1000"}


def test_equals_and_single_entries_stay() -> None:
    assert low_quality([standing("a", 5), standing("b", 5)], Quality(0.9, 0.9)) == {}
    assert low_quality([standing("a", 0)], Quality(0.9, 0.9)) == {}


def test_a_share_of_zero_drops_nothing() -> None:
    assert low_quality([standing(str(n), n, 5, n / 2) for n in range(9)], Quality(0, 0)) == {}


@pytest.mark.parametrize("wrong", [{"downloads": 1.0}, {"downloads": -0.1}, {"rating": float("nan")}])
def test_a_share_is_below_one(wrong: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="lies in 0 <= share < 1"):
        Quality(**wrong)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.floats(0, 0.99))
def test_at_most_the_share_is_dropped_and_from_below(downloads: list[int], share: float) -> None:
    group = [standing(str(i), count) for i, count in enumerate(downloads)]
    places = {int(name) for name in low_quality(group, Quality(share, 0))}
    assert len(places) <= share * len(group)
    rest = [downloads[i] for i in range(len(downloads)) if i not in places]
    assert all(downloads[i] < min(rest) for i in places)
