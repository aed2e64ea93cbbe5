"""The suitability of models to a request: features worked out by hand, and weights that are kept."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_ins import plain_suitability

from diffagent.agent.asking.reading import Reading
from diffagent.agent.choosing import suitability
from diffagent.agent.choosing.choosing import CardShelf
from diffagent.agent.choosing.preferences import preferences
from diffagent.agent.choosing.suitability import (
    FEATURES,
    MATCHED,
    ShelfFacts,
    Suitability,
    TextMatch,
    features,
)
from diffagent.data.air import AIR
from diffagent.data.attributes import MEDIA, Attributes
from diffagent.data.errors import BadCatalog
from diffagent.data.records import Card, Stats


def card(number: int, name: str, kind: Any = "Checkpoint", base_model: str = "SD 1.5", **fields: Any) -> Card:
    air = f"urn:air:sd1:{kind.casefold()}:civitai:{number}@{number}"
    stats = Stats(downloads=10**number - 1)
    return Card(name, kind, base_model, air, stats=stats, attributes=Attributes.parse(fields))


CARDS = [
    card(1, "Plain Camera", role="general", media=["photo"], breadth="broad", renown=3, subjects=["a fox"]),
    card(2, "Glamour XL", base_model="SDXL 1.0", role="style", media=["anime", "illustration"],
         breadth="genre", people="young women", renown=0, caution=["crude"]),
    card(3, "Washes", "LoRA", role="style", media=["watercolor"], subjects=["watercolor"]),
]  # fmt: skip
FACTS = ShelfFacts(CardShelf(CARDS))
COLUMNS = np.arange(18, dtype=np.float32).reshape(3, 6)


def table(reading: Reading) -> list[dict[str, float]]:
    """The features that are not 0, of each card."""
    rows = features(FACTS, reading, TextMatch(COLUMNS, np.array([-1.0, -20.0, -3.0])))
    assert rows.shape == (3, len(FEATURES))
    return [{name: float(x) for name, x in zip(FEATURES, row, strict=True) if x} for row in rows]


def test_a_plain_request_by_hand() -> None:
    camera, glamour, washes = table(Reading.of("a fox in a field"))
    matched = [dict(zip(MATCHED, map(float, row), strict=True)) for row in COLUMNS]
    assert camera == {
        "renown": 3, "renowned": 1, "downloads": 1, "ranked": -1,
        **{name: x for name, x in matched[0].items() if x},
        "is_checkpoint": 1, "kin": 1, "kin_first": 1, "first": 1, "broad": 1, "subject": 1, "kin_renown": 3,
        "likely_kin": 1,
    }  # fmt: skip
    assert glamour == {
        "obscure": 1, "downloads": 2, "caution": 1, "ranked": -12, **matched[1],
        "is_checkpoint": 1, "style_unnamed": 1, "genre": 1, "anime_for_other": 1, "women_for_none": 1,
        "large_base": 1,
    }  # fmt: skip
    assert washes == {
        "renown": 1, "downloads": 3, "ranked": -3, **matched[2],
        "nothing_read": 1, "style": 1, "lora_similar": 12,
    }  # fmt: skip


def test_a_preference_counts_as_far_as_the_medium_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {card.air: value for card, value in zip(CARDS, (0.5, 0.7, -0.25), strict=True)}
    monkeypatch.setattr(suitability, "preferences", lambda: known)
    facts = ShelfFacts(CardShelf(CARDS))
    photo = Reading.of("a fox in a field")
    rows = features(facts, photo, TextMatch(COLUMNS, np.zeros(3)))
    assert list(rows[:, FEATURES.index("preference")]) == [0.5, 0, -0.25]  # anime is no kin of photo
    media = np.zeros(len(MEDIA))
    media[[MEDIA.index("photo"), MEDIA.index("anime")]] = 0.6, 0.4
    rows = features(facts, photo, TextMatch(COLUMNS, np.zeros(3), media))
    assert list(rows[:, FEATURES.index("likely_kin")]) == pytest.approx([0.6, 0.4, 0])
    assert list(rows[:, FEATURES.index("preference")]) == pytest.approx([0.4, 0.14, -0.25])
    at_home = replace(photo, known_slots=frozenset(("medium",)))
    rows = features(facts, at_home, TextMatch(COLUMNS, np.zeros(3), media))
    assert list(rows[:, FEATURES.index("likely_kin")]) == [1, 0, 0]


def test_what_ships_has_preferences() -> None:
    assert len(preferences()) >= 40
    assert all(AIR.parse(air) and abs(value) < 5 for air, value in preferences().items())


def test_large_base_models_are_told_by_their_size() -> None:
    names = ("SD 1.4", "SD 2.1", "SDXL 1.0", "Flux.1 D", "SD 1.5")
    cards = [card(1, "a", base_model=name, role="general", media=["photo"]) for name in names]
    assert list(ShelfFacts(CardShelf(cards)).large_base) == [0, 0, 1, 1, 0]


def test_a_named_medium_and_a_special_style_by_hand() -> None:
    reading = Reading.of("a village of old men, watercolor").revised(
        "watercolor; people: men; special: style"
    )
    camera, glamour, washes = table(reading)
    assert camera.keys() >= {"photo_for_drawn", "special"}
    assert camera.keys().isdisjoint({"kin", "first", "nobody_for_people", "style_named"})
    assert glamour["kin"] == pytest.approx(0.5 * 0.85)  # illustration serves watercolor, and comes second
    assert glamour["women_for_others"] == 1
    assert "kin_first" not in glamour
    expected = {
        "evidence": 2.0, "faint": 1, "role_read": 1, "lora_kin": 1, "evidence_role": 2.0, "lora_first": 1,
        "overlap": 1, "overlap_role": 1, "overlap_whole": 1, "overlap_weight": math.log(4 / 2),
    }  # fmt: skip  # 1.5 + 0.2 for a style of a word, 0.15 for renown 1, 0.05 × 3 for 999 downloads
    assert {name: washes[name] for name in expected} == expected
    assert washes.keys().isdisjoint(
        {"strong", "rare", "role_unread", "nothing_read", "unlike", "evidence_nothing"}
    )


def test_whom_a_model_draws_counts_where_people_are_asked_for() -> None:
    _, women, _ = table(Reading.of("a girl with an umbrella, anime"))
    assert women["women_for_women"] == women["people_same"] == women["kin_first"] == 1
    assert women.keys().isdisjoint({"women_for_none", "women_for_others", "anime_for_other", "first_named"})


def test_pasted_tags_and_marked_names_count() -> None:
    camera, _, washes = table(Reading.of("fox, night, snow, dark, moon, use the Washes lora"))
    assert camera["ranked_pasted"] == camera["ranked"] == -1
    assert washes["marked"] == 1
    assert "marked" not in camera


def test_logits_by_hand() -> None:
    at, size = FEATURES.index("renown"), len(FEATURES)
    linear, hidden = np.zeros(size), np.zeros((size, 1))
    linear[at], hidden[at] = 2, 1
    model = Suitability(
        np.zeros(size) + 1, np.zeros(size) + 2, linear, hidden, np.array([-1.0]), np.array([10.0])
    )
    rows = np.ones((3, size))
    rows[:, at] = 2, 7, 99  # standardised 0.5, 3, and 49 cut to 6
    assert model(rows).tolist() == [1, 26, 62]


def test_nothing_follows_from_what_was_the_same_in_all_rows() -> None:
    weights = vars(plain_suitability(kin=1.0, marked=1.0))
    scale = np.where(np.array(FEATURES) == "marked", 1e-6, 1.0)
    rows = np.zeros((2, len(FEATURES)))
    rows[1, [FEATURES.index("kin"), FEATURES.index("marked")]] = 1
    assert Suitability(**weights | {"scale": scale})(rows).tolist() == [0, 1]


def test_weights_are_kept(tmp_path: Path) -> None:
    saved = plain_suitability(kin=0.5, large_base=-0.25)
    saved.save(tmp_path / "weights.npz")
    loaded = Suitability.load(tmp_path / "weights.npz")
    for name, values in vars(saved).items():
        np.testing.assert_array_equal(getattr(loaded, name), values)
    assert loaded.linear.dtype == np.float64


def test_weights_of_other_features_are_refused(tmp_path: Path) -> None:
    weights = vars(plain_suitability())
    np.savez(tmp_path / "old.npz", features=np.array([*FEATURES[:-1], "older"]), **weights)
    with pytest.raises(BadCatalog, match="fitted for other features") as error:
        Suitability.load(tmp_path / "old.npz")
    assert error.value.hint == "run diffagent train suitability again"
