"""``diffagent catalog`` as a user runs it: what is on stdout, what on stderr, and the exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from invented_items import file, image, item, sha256, version
from stand_ins import WordEncoder, unsure_reader

from diffagent.data.catalog.card_json import card_from_json, card_to_json
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.specification import KIND
from diffagent.data.descriptions.plain_reader import PlainReader
from diffagent.data.encoders.text_encoder import TextEncoder
from diffagent.data.errors import BadInput
from diffagent.data.hubs.raw import publish
from diffagent.serving.cli import main
from diffagent.serving.commands.tables import cut, facts, table, width

CARD = {"name": "Mine", "type": "LoRA", "base_model": "SD 1.5", "air": "urn:air:sd1:lora:huggingface:me/mine"}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command line: (exit status, stdout, stderr)."""
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(TextEncoder, "load", classmethod(lambda cls, name="": WordEncoder()))
    monkeypatch.setattr(PlainReader, "load", classmethod(lambda cls, path=None: unsure_reader()))

    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["catalog", *map(str, args)])
        printed = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, printed.out, printed.err

    return run


def test_list(run: Run, catalog_path: Path) -> None:
    status, out, err = run("list", "--catalog", catalog_path)
    lines = out.splitlines()
    assert status == 0
    assert lines[0].split() == ["NAME", "TYPE", "BASE", "MODEL", "DOWNLOADS", "SOLD", "AIR"]
    assert len(lines) == 6
    assert lines[1].startswith("Old Pickle")  # the most downloaded
    assert len({line.index("urn:air") for line in lines[1:]}) == 1
    assert err == ""
    status, out, err = run("list", "--catalog", catalog_path, "--limit", "2")
    assert (len(out.splitlines()), err) == (3, "2 of 5; --limit 0 lists all\n")


def test_list_filters_and_json(run: Run, catalog_path: Path) -> None:
    options = ("--catalog", catalog_path, "--json")
    names = [json.loads(line)["name"] for line in run("list", *options)[1].splitlines()]
    assert len(names) == 5
    _, out, _ = run("list", *options, "--type", "lora", "--base-model", "sd1")
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["Ink Fox Style"]
    _, out, _ = run("list", *options, "--commercial")
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["Tiny Pixels"]
    status, out, err = run("list", *options, "--base-model", "sd7")
    assert (status, out) == (1, "")
    assert err.startswith("diffagent: no base model 'sd7' is supported: the nearest are ")


def test_search(run: Run, catalog_path: Path) -> None:
    status, out, _ = run("search", "pixel", "art", "--catalog", catalog_path, "--json")
    assert status == 0
    assert {json.loads(line)["name"] for line in out.splitlines()} == {"Tiny Pixels", "Old Pickle"}
    status, out, err = run("search", "zeppelin", "--catalog", catalog_path)
    assert (status, out) == (0, "")
    assert err.startswith("nothing matches 'zeppelin'")


def test_show(run: Run, catalog_path: Path) -> None:
    status, out, _ = run("show", "33.safetensors", "--catalog", catalog_path)
    assert status == 0
    assert "trigger words" in out
    assert "used lora weight  0.7 3, 1.0 1" in out
    status, out, _ = run("show", "urn:air:sd1:lora:civitai:33@34", "--catalog", catalog_path, "--json")
    with Catalog.open(catalog_path) as catalog:
        assert card_from_json(json.loads(out)) == catalog.find("Ink Fox Style")
    status, out, err = run("show", "Ink Fix Style", "--catalog", catalog_path)
    assert (status, out) == (1, "")
    assert err == (
        "diffagent: no model of the catalog has the name, AIR, id, hash or file 'Ink Fix Style': "
        "near: Ink Fox Style\n"
    )


def test_stats(run: Run, catalog_path: Path) -> None:
    status, out, _ = run("stats", "--catalog", catalog_path, "--json")
    stats = json.loads(out)
    assert (status, stats["entries"], stats["type"]) == (0, 5, {"Checkpoint": 4, "LoRA": 1})
    assert "images may be sold" in run("stats", "--catalog", catalog_path)[1]


def test_add_reports_bad_rows_and_adds_the_others(run: Run, catalog_path: Path, tmp_path: Path) -> None:
    lora = item(
        91, version(910, image(1, "x <lora:a:1>", {"Model hash": "ee" * 5})), type="LORA", name="Added LoRA"
    )
    base = {
        **CARD,
        "name": "Base",
        "type": "Checkpoint",
        "air": "urn:air:sd1:checkpoint:horde:Base",
        "sha256": "EE" * 32,
    }
    rows = [
        CARD,
        base,
        {**CARD, "colour": 1},
        lora,
        item(92, nsfw=True),
        [1],
        {"modelVersions": 3, "type": "LORA"},
    ]
    source = tmp_path / "rows.jsonl"
    source.write_text("\n".join([*map(json.dumps, rows), "{"]), "utf-8")
    status, out, err = run("add", source, "--catalog", catalog_path, "--json")
    assert (status, json.loads(out)) == (1, {"added": 3, "failed": 5})
    lines = err.splitlines()
    assert "rows.jsonl:3: not a card: colour: extra inputs are not permitted" in lines[2]
    assert any("model 'Invented 92' is left out: nsfw" in line for line in lines)
    assert lines[-1] == f"diffagent: 5 of the rows of {source} were not added: correct the rows named above"
    with Catalog.open(catalog_path) as catalog:
        assert len(catalog) == 8
        assert catalog.find("Mine").description == "SD 1.5 LoRA."
        assert catalog.find("91").name == "Added LoRA"
        assert len(list(catalog.features(KIND))) == 8


def test_an_added_lora_finds_checkpoints_of_the_catalog(run: Run, catalog_path: Path, tmp_path: Path) -> None:
    base = {
        **CARD,
        "name": "Base",
        "type": "Checkpoint",
        "air": "urn:air:sd1:checkpoint:horde:Base",
        "sha256": "EE" * 32,
    }
    lora = item(91, version(910, image(1, "x <lora:a:1>", {"Model hash": "ee" * 5})), type="LORA")
    for name, rows in (("base.json", base), ("lora.json", {"items": [lora]})):
        (tmp_path / name).write_text(json.dumps(rows), "utf-8")
        status, out, _ = run("add", tmp_path / name, "--catalog", catalog_path)
        assert (status, out) == (0, "added 1, failed 0\n")
    with Catalog.open(catalog_path) as catalog:
        assert catalog.find("91").usage.checkpoints == {"urn:air:sd1:checkpoint:horde:Base": 1}


def test_the_shipped_catalog_is_read_only(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(CARD))
    status, out, err = run("add", tmp_path / "a.json")
    assert (status, out) == (2, "")
    assert err.startswith("diffagent: the catalog that ships is read-only: give a copy")


def test_import(run: Run, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    prompts = (
        "fox in snow, ink drawing",
        "harbour, rain, night",
        "a castle on a hill, oil",
        "desert road, photo",
    )
    images = [image(18 + n, prompt) for n, prompt in enumerate(prompts)]  # 18 is a test image
    models = [item(1, version(10, *images)), item(2, nsfw=True), item(3, version(30, baseModel="SDXL 1.0"))]
    publish(raw, "civitai", models, {})
    horde = tmp_path / "horde"
    horde.mkdir()
    row = {"name": "Aurora", "baseline": "stable diffusion 1", "file": "aurora.ckpt", "sha256": "ab" * 32}
    (horde / "models.jsonl").write_text(json.dumps(row))
    (horde / "styles.json").write_text("{}")
    out = tmp_path / "c.sqlite"
    status, printed, err = run("import", raw, "-o", out, "--horde", horde, "--hold-out", "both", "--json")
    assert status == 0, err
    report = json.loads(printed)
    assert (report["entries"], report["funnel"]["models"], report["funnel"]["dropped"]) == (3, 3, {"nsfw": 1})
    with Catalog.open(out) as catalog:
        assert sum(catalog.find("1").usage.steps.values()) == 3
        assert catalog.get_meta("held_out") == "both"
        assert catalog.find("Aurora").source == "horde"
        assert all(card.attributes and card.attributes.is_estimated for card in catalog.cards())
    status, printed, _ = run("import", raw, "-o", out, "--base-model", "sd1")
    assert status == 0
    assert "dropped: base model  1\n" in printed
    assert f"written              {out}, 0." in printed
    with Catalog.open(out) as catalog:
        assert [card.name for card in catalog.cards()] == ["Invented 1"]


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (("list", "--catalog", "none.sqlite"), 1, "no catalog at none.sqlite"),
        (("list", "--limit", "-1"), 2, "Invalid value for '--limit'"),
        (("list", "--type", "VAE"), 2, "Invalid value for '--type'"),
        (("import", "none", "-o", "c.sqlite"), 1, "none is not a folder"),
        (("import", "none"), 2, "Missing option '-o'"),
        (("add", "none.json", "--catalog", "c.sqlite"), 2, "does not exist"),
    ],
)
def test_wrong_usage(run: Run, args: tuple[object, ...], status: int, message: str) -> None:
    code, out, err = run(*args)
    assert (code, out) == (status, "")
    assert err.startswith("diffagent: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"air": None}, "air: input should be a valid string"),
        ({"air": "urn:air:sdxl:lora:huggingface:me/mine"}, "air does not agree"),
        ({"base_model": "Sora 2"}, "base_model: .*not supported"),
        ({"sha256": "12"}, "sha256: "),
        ({"name": ""}, "name: "),
        ({"usage": {"sampler": {"Foo": 1}}}, "no sampler is named 'Foo'"),
        ({"usage": {"size": {"big": 1}}}, r"usage\.size"),
        ({"stats": {"rating": 9}}, r"stats\.rating"),
        ({"extra": 1}, "extra: extra inputs"),
    ],
)
def test_cards_that_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        card_from_json({**CARD, **change})
    with pytest.raises(BadInput, match="name: field required"):
        card_from_json({key: value for key, value in CARD.items() if key != "name"})


def test_a_card_is_completed() -> None:
    card = card_from_json(
        {**CARD, "sha256": "0x" + "AB" * 32, "trigger_words": [" a\nb "], "name": " M\u200by "}
    )
    assert (card.name, card.autov2, card.hashes) == ("My", "ab" * 5, ("ab" * 32, "ab" * 5))
    assert (card.trigger_words, card.source) == (("a b",), "huggingface")
    assert card_from_json(json.loads(json.dumps(card_to_json(card)))) == card


def test_tables_count_wide_characters() -> None:
    assert (width("水墨e\u0301"), cut("水墨水墨", 5), cut("abc", 3)) == (5, "水墨…", "abc")
    assert table(("A", "N"), [("水墨", "1"), ("x", "22")], right=(1,)) == "A      N\n水墨   1\nx     22"
    assert facts([("a", "1"), ("long", ""), ("bb", "2")]) == "a   1\nbb  2"


def test_hashes_of_invented_files_differ() -> None:
    assert file("a")["hashes"]["SHA256"] == sha256("a") != sha256("b")
