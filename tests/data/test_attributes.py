"""Attributes in the catalog and on the command line, and as a language model answers them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from diffagent.data.attributes import Attributes
from diffagent.data.catalog.card_json import card_from_json, card_to_json
from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.catalog import Catalog, Filter
from diffagent.data.descriptions.describe import DescribeJob, describe
from diffagent.data.descriptions.descriptions import DescriptionsFile, read_descriptions, with_descriptions
from diffagent.data.descriptions.questions import question
from diffagent.data.descriptions.sources import Source
from diffagent.data.records import Card
from diffagent.serving.cli import main

INK = Attributes(
    role="style",
    media=("ink", "watercolor"),
    subjects=("loose brush foxes",),
    breadth="broad",
    needed=("inkfox",),
    variants=({"words": "inkfox bold", "draws": "thick lines"},),  # type: ignore[arg-type]
    carrier="Deliberate",
    renown=2,
)
CARD = Card(
    name="Ink Fox",
    type="LoRA",
    base_model="SD 1.5",
    air="urn:air:sd1:lora:civitai:31@32",
    trigger_words=("inkfox", "blue ink"),
    description="Brush drawings.",
)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    path = tmp_path / "mine.sqlite"
    plain = replace(CARD, name="Camera", air="urn:air:sd1:lora:civitai:41@42")
    with Catalog.create(path) as database:
        database.add([replace(CARD, attributes=INK), plain])
    return path


def test_they_come_back_from_the_catalog(catalog: Path) -> None:
    with Catalog.open(catalog) as database:
        ink, camera = (database.by_air(f"urn:air:sd1:lora:civitai:{n}") for n in ("31@32", "41@42"))
        assert ink is not None
        assert camera is not None
        assert (ink.attributes, camera.attributes) == (INK, None)
        assert (ink.needed_words, camera.needed_words) == (("inkfox",), ("inkfox", "blue ink"))
        assert [card.name for card in database.cards(Filter(role="style"))] == ["Ink Fox"]
        assert [card.name for card in database.cards(Filter(medium="watercolor"))] == ["Ink Fox"]
        assert database.cards(Filter(medium="photo")) == []


def test_cards_as_json_hold_them() -> None:
    card = replace(CARD, attributes=INK)
    text = json.loads(json.dumps(card_to_json(card)))
    assert text["attributes"]["media"] == ["ink", "watercolor"]
    assert card_from_json(text).attributes == INK


def test_the_command_line_filters_and_shows_them(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(["catalog", *words, "--catalog", str(catalog)])
        assert end.value.code == 0
        return capsys.readouterr().out

    listing = run("list", "--medium", "ink", "--json")
    assert [json.loads(line)["name"] for line in listing.splitlines()] == ["Ink Fox"]
    assert run("list", "--role", "character", "--json") == ""
    output = run("show", "Ink Fox")
    for fact in (
        "style, broad",
        "ink, watercolor",
        "loose brush foxes",
        "inkfox bold: thick lines",
        "Deliberate",
    ):
        assert fact in output


def test_a_language_model_answers_with_one_object(tmp_path: Path) -> None:
    source = Source(CARD, "Foxes in ink.", ("a fox, inkfox",))
    answers = [
        "not an object",
        json.dumps(
            {**INK.model_dump(mode="json"), "media": ["crayon"], "description": "Brush drawings of foxes."}
        ),
        json.dumps(
            {**INK.model_dump(mode="json"), "description": "Loose brush drawings of foxes and other animals."}
        ),
    ]
    questions: list[str] = []

    def writer(prompts: list[str]) -> list[str]:
        questions.extend(prompts)
        return [answers.pop(0)]

    path = tmp_path / "descriptions.jsonl"
    with DescriptionsFile(path) as file:
        summary = describe([source], DescribeJob(writer, question, "a writer", "both"), file)
    assert summary.to_json()["faults"] == {"not attributes": 1, "too short": 1}
    assert "it was not one JSON object with all keys" in questions[2]
    (line,) = read_descriptions(path, "both").values()
    assert line.attributes == INK
    (entry,) = with_descriptions([Entry(CARD)], {CARD.air: line})
    assert entry.card.attributes == INK
    assert entry.card.description == "Loose brush drawings of foxes and other animals."
