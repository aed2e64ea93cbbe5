"""Descriptions: what is asked, what is refused, what a kill costs, and how they come into cards."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from invented_items import image, item, version

from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.corpus import read_entries
from diffagent.data.catalog.filters import Scope
from diffagent.data.catalog.texts import plain_text
from diffagent.data.descriptions.describe import DescribeJob, describe, plan
from diffagent.data.descriptions.description_faults import copied_run, fault, invented_words, tidy
from diffagent.data.descriptions.descriptions import (
    Description,
    DescriptionsFile,
    read_descriptions,
    with_descriptions,
)
from diffagent.data.descriptions.questions import cut, question
from diffagent.data.descriptions.sources import Source, read_sources
from diffagent.data.errors import BadInput, EngineError
from diffagent.data.hubs.raw import RawFolder, publish
from diffagent.data.records import Card

GOOD = "A LoRA that draws the hero of a harbour tale in soft evening light"


def source(number: int = 1, about: str = "", prompts: tuple[str, ...] = (), **facts: Any) -> Source:
    card = Card(
        **{
            "name": f"Kestra {number} (Moonharbor)",
            "type": "LoRA",
            "base_model": "SD 1.5",
            "air": f"urn:air:sd1:lora:civitai:{number}@{number}",
            "tags": ("anime", "character", "moonharbor"),
            "trigger_words": ("kestra", "silver braid"),
            "description": f"Composed {number}.",
            **facts,
        }
    )
    return Source(card, about, prompts)


@dataclass
class Script:
    """A writer that answers by a rule and remembers what it was asked; it may break at its nth call."""

    rule: Callable[[str], str] = lambda prompt: GOOD
    breaks_at: int | None = None
    batches: list[list[str]] = field(default_factory=list)

    def __call__(self, prompts: list[str]) -> list[str]:
        self.batches.append(prompts)
        if len(self.batches) == self.breaks_at:
            raise KeyboardInterrupt
        return [self.rule(prompt) for prompt in prompts]


def ask(source: Source, attempt: int, fault: str) -> str:
    return f"{source.card.name}|{attempt}|{fault}"


def job(writer: Script, name: str = "script") -> DescribeJob:
    return DescribeJob(writer, ask, name, "both")


def run(path: Path, sources: list[Source], writer: Script, **options: Any) -> dict[str, Any]:
    with DescriptionsFile(path) as file:
        return describe(sources, job(writer), file, **options).to_json()


def test_each_source_gets_its_description(tmp_path: Path) -> None:
    path, writer = tmp_path / "deep" / "d.jsonl", Script(lambda prompt: f'"{GOOD}, {prompt[7]}."\n')
    report = run(path, [source(1), source(2)], writer, batch=1)
    assert report == {
        "entries": 2, "reused": 0, "written": 2, "composed": 0, "unanswered": 0, "asked": 2, "faults": {},
        "composed_share": 0.0,
    }  # fmt: skip
    descriptions = read_descriptions(path, "both")
    assert descriptions[source(2).card.air].description == f"{GOOD}, 2."
    assert [description.status for description in descriptions.values()] == ["written", "written"]


def test_a_refused_answer_is_asked_for_again_with_the_reason_and_then_the_composed_stays(
    tmp_path: Path,
) -> None:
    answers = {"Kestra 1 (Moonharbor)|1|boilerplate": GOOD + "."}
    writer = Script(lambda prompt: answers.get(prompt, "Sure, here is a fine description of it"))
    report = run(tmp_path / "d.jsonl", [source(1), source(2)], writer)
    assert [len(batch) for batch in writer.batches] == [2, 2, 1]
    assert (report["written"], report["composed"], report["composed_share"]) == (1, 1, 0.5)
    assert (report["asked"], report["faults"]) == (5, {"boilerplate": 4})
    composed = read_descriptions(tmp_path / "d.jsonl")[source(2).card.air]
    assert (composed.description, composed.status) == ("Composed 2.", "composed")
    assert composed.faults == ("boilerplate",) * 3


def test_a_kill_costs_the_batch_at_hand_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    sources = [source(n) for n in range(10)]
    calm = tmp_path / "calm.jsonl"
    run(calm, sources, Script(), batch=2)
    path, prompts = tmp_path / "d.jsonl", list[str]()
    for breaks_at in (1, 3, 2, None):
        writer = Script(breaks_at=breaks_at)
        try:
            run(path, sources, writer, batch=2)
        except KeyboardInterrupt:
            with path.open("ab") as file:
                file.write(b'{"air": "urn:air:sd1:lo')  # the line that was being written
            writer.batches.pop()
        prompts += [prompt for batch in writer.batches for prompt in batch]
    assert sorted(prompts) == sorted(ask(source_, 0, "") for source_ in sources)
    assert path.read_bytes() == calm.read_bytes()


def test_a_second_run_asks_only_what_changed(tmp_path: Path) -> None:
    path, writer = tmp_path / "d.jsonl", Script()
    run(path, [source(1), source(2)], Script())
    renamed = source(2, name="Kestra the Second (Moonharbor)")
    with DescriptionsFile(path) as file:
        assert plan([source(1), renamed], job(writer), file).prompts == 1
        assert plan([source(1)], job(writer, "another model"), file).prompts == 1
    report = run(path, [source(1), renamed], writer)
    assert (report["reused"], report["asked"], report["written"]) == (1, 1, 2)
    assert writer.batches == [["Kestra the Second (Moonharbor)|0|"]]
    assert len(path.read_text("utf-8").splitlines()) == 2


def test_a_limit_leaves_the_others_for_later(tmp_path: Path) -> None:
    path, sources = tmp_path / "d.jsonl", [source(n) for n in range(5)]
    steps: list[int] = []
    assert run(path, sources, Script(), limit=3, batch=2, progress=steps.append)["written"] == 3
    assert steps == [2, 3]
    assert run(path, sources, Script(), limit=1)["asked"] == 1
    report = run(path, sources, Script())
    assert (report["reused"], report["asked"]) == (4, 1)


def test_what_got_no_answer_is_asked_for_again_next_time(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    silent = Script(lambda prompt: "" if prompt.startswith("Kestra 1 ") else GOOD)
    report = run(path, [source(1), source(2)], silent)
    assert (report["written"], report["composed"], report["unanswered"]) == (1, 0, 1)
    assert run(path, [source(1), source(2)], Script())["asked"] == 1


def test_a_writer_that_loses_answers_is_told(tmp_path: Path) -> None:
    with DescriptionsFile(tmp_path / "d.jsonl") as file, pytest.raises(EngineError, match="0 answers to 1"):
        describe([source()], DescribeJob(lambda prompts: [], ask, "mute", "both"), file)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD, None),
        ("An SD 1.5 LoRA of Kestra's silver braid from Moonharbor.", None),
        ("", "no answer"),
        ("A LoRA of Kestra.", "too short"),
        ("word " * 71, "too long"),
        ("A LoRA of the hero of a tale\nand of her braid", "too long"),
        ("As an AI language model I would describe the hero", "boilerplate"),
        ("Sure, the hero of a harbour tale", "boilerplate"),
        ("I'm sorry, but there is nothing to say about it", "boilerplate"),
        ("A hero of a tale, see https://example.org for more", "address"),
        ("A hero of a tale for only $5 a month", "address"),
        ("A hero of a tale, support me on Patreon please", "address"),
        ("A hero of a tale in the harbour 海の物語", "not English"),
        ("A hero of a tale who stands nude in the harbour", "not SFW"),
        ("A hero of a tale in the style of Rembrandt", "invented"),
        ("A hero of a tale, triggered by moonhrbr_v2 always", "invented"),
        ('A hero of a tale, with the trigger word "starcloak" given', "invented"),
        ("A hero of a tale, called with <lora:kestra:1> always", "invented"),
        ("A hero who walks the long old pier with her lantern lit", "copied"),
        ("A tale: she loves her small boat.", "copied"),
        ("The hero of a grey sea under a low red sky with gulls", "copied"),
    ],
)
def test_faults(text: str, reason: str | None) -> None:
    about = "I made this. She walks the long old pier with her lantern lit! She loves her small boat."
    fox_source = source(about=about, prompts=("(grey sea:1.2), under a low red sky, with gulls",))
    assert fault(text, fox_source) == reason


def test_the_cards_own_words_may_be_repeated() -> None:
    name = "The Long And Winding Tale Of The Old Harbour Town"
    place_source = source(about=f"{name} is here.", name=name)
    assert fault(f"A LoRA of {name}, a place by the sea.", place_source) is None
    assert copied_run("it is here now", place_source) is None
    latin = source(name="海辺Kestra")
    assert list(invented_words("A LoRA of Kestra by Moonharbor and Zed", latin)) == ["Zed"]


def test_answers_are_tidied() -> None:
    assert tidy(' "A fox\u200b  in  snow."\n\n') == "A fox in snow."
    assert tidy("one\n two ") == "one\ntwo"


def test_markup_becomes_plain_text() -> None:
    markup = "<h1>Kestra</h1><p>A&nbsp;hero &amp; sailor!</p>see <a href='x'>https://example.org/a</a><br>end<script"
    assert plain_text(markup) == "Kestra. A hero & sailor! see. end<script."
    assert (plain_text(None), plain_text("<p></p>")) == ("", "")


def test_a_question_tells_the_facts_within_a_budget_and_why_it_comes_again() -> None:
    long_source = source(
        about="word " * 900, prompts=("a (red:1.3) fox", *("long " * 99 + str(n) for n in range(9)))
    )
    text = question(long_source, 0, "")
    assert "Name: Kestra 1 (Moonharbor)\nType: LoRA for SD 1.5\nTags: anime, character, moonharbor\n" in text
    assert "Sample prompt: a red fox\n" in text
    assert (text.count("\nSample prompt: "), "refused" in text, len(text) < 5500) == (4, False, True)
    assert question(long_source, 1, "copied").endswith(
        "it copied a passage of the facts word for word. Write another one."
    )
    assert cut("one two three", 9) == "one two …"


def crawl(folder: Path) -> RawFolder:
    images = [image(1, "a red fox <lora:x:1>"), image(17, "a harbour at night"), image(3, "a lewd picture")]
    about = "<p>About seven.</p>"
    models = [
        item(7, version(70, *images, description="About seventy."), description=about),
        item(8, version(80), nsfw=True),
        item(9, version(90), version(91, baseModel="SDXL 1.0"), description="<b>About nine"),
    ]
    publish(folder, "civitai", models, {})
    horde: dict[str, Any] = {
        "name": "Aurora", "baseline": "stable diffusion 1", "style": "anime", "homepage": None,
        "file": "a.ckpt", "sha256": "ab" * 32, "styles": [], "trigger_words": [],
    }  # fmt: skip
    publish(folder, "horde", [horde], {})
    return RawFolder(folder)


def test_sources_join_cards_with_the_uploaders_text_and_visible_prompts(tmp_path: Path) -> None:
    sources = list(read_sources(crawl(tmp_path), Scope(), "both"))
    assert [(source_.card.model_id, source_.about, source_.prompts) for source_ in sources] == [
        (7, "About seven. About seventy.", ("a red fox",)),  # image 17 is held out
        (9, "About nine.", ()),
        (9, "About nine.", ()),
        (None, "", ()),
    ]
    assert sources[0].card.name == "Invented 7"


def row(number: int = 1, **changes: Any) -> Description:
    facts = {"air": source(number).card.air, "description": GOOD, "status": "written", "writer": "w"}
    return Description(**{**facts, "held_out": "both", "key": str(number), **changes})


def test_written_descriptions_come_into_cards(tmp_path: Path) -> None:
    entries = list(read_entries(crawl(tmp_path), Scope()))
    first, second = entries[0].card, entries[1].card
    descriptions = {
        first.air: row(air=first.air),
        second.air: row(air=second.air, status="composed", description="Old."),
    }
    entries_: list[Entry] = list(with_descriptions(entries, descriptions))
    assert [entry.card.description for entry in entries_] == [
        GOOD,
        *(entry.card.description for entry in entries[1:]),
    ]
    assert [entry.samples for entry in entries_] == [entry.samples for entry in entries]


def test_a_file_is_read_with_the_rule_it_was_written_under(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    with DescriptionsFile(path) as file:
        file.add([row(1, held_out="image"), row(1, held_out="image", key="9", description="Newer.")])
    assert read_descriptions(path, "image")[row().air].description == "Newer."
    with pytest.raises(BadInput, match=r"written with 'image' held out, .* that 'both' holds out") as error:
        read_descriptions(path, "both")
    assert error.value.hint == "describe again with --hold-out both"


def test_a_packed_file_is_read_and_does_not_grow(tmp_path: Path) -> None:
    packed = tmp_path / "d.jsonl.gz"
    packed.write_bytes(gzip.compress(row(1).model_dump_json().encode() + b"\n"))
    assert list(read_descriptions(packed).values()) == [row(1)]
    with pytest.raises(BadInput, match=r"without \.gz"), DescriptionsFile(packed):
        pass
    packed.write_bytes(b"no gzip")
    with pytest.raises(BadInput, match="not a gzip file"):
        read_descriptions(packed)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no file .*none\.jsonl"):
        read_descriptions(tmp_path / "none.jsonl")
    bad = tmp_path / "bad.jsonl"
    bad.write_text(row().model_dump_json() + '\n{"air": 1}\n')
    with pytest.raises(BadInput, match=r"bad\.jsonl:2: not a description: air"):
        read_descriptions(bad)
    with pytest.raises(BadInput, match="cannot write"), DescriptionsFile(tmp_path):
        pass
