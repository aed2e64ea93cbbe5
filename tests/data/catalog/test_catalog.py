"""The catalog file: every lookup, identity of cards, ids that stay, and damaged files."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diffagent.data.catalog.card_json import card_from_json, card_to_json
from diffagent.data.catalog.catalog import Catalog, Filter, Row, default_catalog
from diffagent.data.errors import BadCatalog, BadInput, UnknownModel
from diffagent.data.records import Card, Licence, Stats, Usage

INK = Card(
    name="Ink Fox [v2] 水墨",
    type="LoRA",
    base_model="SD 1.5",
    air="urn:air:sd1:lora:civitai:7@72",
    model_id=7,
    version_id=72,
    version_name="v2",
    sha256="ab" * 32,
    autov2="ab" * 5,
    file_name="inkFox_v2.safetensors",
    tags=("ink", "monochrome"),
    trigger_words=("inkfox, ink", "brush"),
    stats=Stats(300, 20, 3, 4, 4.75),
    licence=Licence(False, "Rent", True, False),
    usage=Usage(
        {"DDIM": 3, "Euler a": 1}, {25: 4}, {7.5: 3, 7.0: 1}, {"512x768": 4}, {2: 4},
        {"urn:air:sd1:checkpoint:civitai:22@23": 4}, {0.75: 3, 1.0: 1},
    ),
    description="SD 1.5 LoRA: ink, monochrome. Trigger words: inkfox, brush.",
    created_at="2030-01-01T00:00:00.000Z",
    older_airs=("urn:air:sd1:lora:civitai:7@71",),
    hashes=("ab" * 32, "ab" * 5, "1234abcd", "cd" * 32),
)  # fmt: skip
OIL = Card(
    name="Oil Harbour",
    type="Checkpoint",
    base_model="SD 1.5",
    air="urn:air:sd1:checkpoint:civitai:22@23",
    model_id=22,
    version_id=23,
    file_name="oilHarbour.safetensors",
    tags=("painting",),
    stats=Stats(downloads=100),
    hashes=("ef" * 32,),
    aliases=("Harbour Oils",),
)
MUCH = replace(
    OIL, name="Most Loaded", air="urn:air:sd1:checkpoint:civitai:33@34", model_id=33, version_id=34,
    file_name="most.safetensors", stats=Stats(downloads=9000), hashes=("1234abcd" + "0" * 56,), aliases=(),
    tags=("photo",), licence=Licence(commercial="Sell"),
)  # fmt: skip
AURORA = Card(
    name="Aurora", type="Checkpoint", base_model="SDXL 1.0", air="urn:air:sdxl:checkpoint:horde:Aurora",
    file_name="aurora.ckpt", source="horde",
)  # fmt: skip
CARDS = (INK, OIL, MUCH, AURORA)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Catalog.create(tmp_path / "invented.sqlite") as catalog:
        catalog.add(CARDS)
    return tmp_path / "invented.sqlite"


@pytest.fixture
def catalog(path: Path) -> Iterator[Catalog]:
    with Catalog.open(path) as database:
        yield database


def test_cards_come_back_as_they_went_in(catalog: Catalog) -> None:
    assert catalog.entries() == list(enumerate(CARDS, 1))
    assert catalog.cards() == [MUCH, INK, OIL, AURORA]
    assert len(catalog) == 4
    usage = catalog.entries()[0][1].usage
    assert [type(key) for key in (*usage.steps, *usage.cfg_scale)] == [int, float, float]


@pytest.mark.parametrize(
    "text",
    [
        "Ink Fox [v2] 水墨",
        "  ink ＦＯＸ [V2]  水墨 ",
        "urn:air:sd1:lora:civitai:7@72",
        "urn:air:sd1:lora:civitai:7@71",
        "7",
        "71",
        "72",
        "AB" * 32,
        "0x" + "ab" * 5,
        "CD" * 32,
        "1234ABCD",
        "inkfox_V2",
        r"models\Lora\inkFox_v2.safetensors",
    ],
)
def test_everything_that_a_model_goes_by(catalog: Catalog, text: str) -> None:
    assert catalog.find(text) == INK


def test_an_alias_and_a_horde_air(catalog: Catalog) -> None:
    assert catalog.find("harbour oils") == OIL
    assert catalog.by_air("urn:air:sdxl:checkpoint:horde:Aurora") == AURORA
    assert catalog.find("aurora.ckpt").is_pickle


def test_an_air_of_another_type_or_model_is_another_model(catalog: Catalog) -> None:
    assert catalog.by_air("urn:air:sd1:checkpoint:civitai:7@71") is None
    assert catalog.by_air("urn:air:sd1:lora:civitai:8@71") is None
    assert catalog.by_air("nonsense") is None


@pytest.mark.parametrize(
    "text", ["1234abcd" + "1" * 56, "99", "0" * 400, "", "'; --", '"', "x\0y", "🦊" * 300]
)
def test_what_nobody_goes_by(catalog: Catalog, text: str) -> None:
    with pytest.raises(UnknownModel, match="no model of the catalog") as refusal:
        catalog.find(text)
    assert len(refusal.value.line()) < 400


def test_unknown_names_bring_near_ones(catalog: Catalog) -> None:
    with pytest.raises(UnknownModel, match="'Oil Harbor': near: Oil Harbour"):
        catalog.find("Oil Harbor")


def test_search(catalog: Catalog) -> None:
    def names(query: str, *limits: Any) -> list[str]:
        return [card.name for card in catalog.search(query, 5, Filter(*limits))]

    assert names("MONO") == [INK.name]
    assert names("brush ink") == [INK.name]
    assert names("painting") == ["Oil Harbour"]
    assert names("水") == [INK.name]
    assert names("墨") == [INK.name]
    assert names("ink OR zzz") == [INK.name]  # any word, where no entry has all
    assert names("zzz") == []
    assert names('"()*') == []
    assert names("ink", "Checkpoint") == []


def test_filters(catalog: Catalog) -> None:
    def names(*limits: Any) -> set[str]:
        return {row.name for row in catalog.rows(Filter(*limits))}

    assert names("LoRA") == {INK.name}
    assert names(None, "sdxl") == {"Aurora"}
    assert names(None, "sd1", True) == {INK.name, "Most Loaded"}
    assert names("Checkpoint", "SD 1.5") == {"Oil Harbour", "Most Loaded"}
    with pytest.raises(BadInput, match="no base model 'sd9'"):
        names(None, "sd9")


def test_rows_in_brief(catalog: Catalog) -> None:
    assert catalog.rows()[0] == Row(1, INK.name, "LoRA", "SD 1.5", INK.air, 300, "Rent", False)
    assert catalog.rows()[3].is_pickle is True


def test_stats(catalog: Catalog) -> None:
    assert catalog.stats() == {
        "entries": 4,
        "type": {"Checkpoint": 3, "LoRA": 1},
        "base_model": {"SD 1.5": 3, "SDXL 1.0": 1},
        "source": {"civitai": 3, "horde": 1},
        "commercial": {"None": 2, "Rent": 1, "Sell": 1},
        "pickles": 1,
        "downloads": 9400,
        "features": {},
    }


def test_a_new_version_keeps_its_entry_and_loses_its_features(path: Path) -> None:
    newer = replace(INK, air="urn:air:sd1:lora:civitai:7@73", version_id=73, older_airs=(INK.air,), hashes=())
    with Catalog.open(path, writable=True) as catalog:
        catalog.put_features("text", {1: b"one", 2: b"two"})
        assert catalog.add([newer]) == [1]
        assert catalog.entries()[0] == (1, newer)
        assert list(catalog.features("text")) == [(2, b"two")]
        assert catalog.by_air(INK.air) == newer
        assert catalog.by_hash("ab" * 32) is None
        assert catalog.add([newer, replace(newer, description="again")]) == [1, 1]


def test_names_stay_unique(path: Path) -> None:
    with Catalog.open(path, writable=True) as catalog:
        catalog.add([replace(AURORA, name="OIL harbour", air="urn:air:sdxl:checkpoint:huggingface:me/oil")])
        catalog.add(
            [replace(OIL, name="ink fox [V2] 水墨", air="urn:air:sd1:checkpoint:civitai:5@6", model_id=5)]
        )
        assert [card.name for _, card in catalog.entries()[4:]] == [
            "OIL harbour (horde)",
            "ink fox [V2] 水墨 (5)",
        ]


def test_two_models_of_one_home_page_stay_two(tmp_path: Path) -> None:
    first = replace(AURORA, air="urn:air:sdxl:checkpoint:civitai:9@1", model_id=9, version_id=1)
    second = replace(first, name="Aurora 2", air="urn:air:sdxl:checkpoint:civitai:9@2", version_id=2)
    with Catalog.create(tmp_path / "c.sqlite") as catalog:
        assert catalog.add([first, second]) == [1, 2]


def test_a_failing_card_adds_nothing(path: Path) -> None:
    def cards() -> Iterator[Card]:
        yield replace(OIL, name="New", air="urn:air:sd1:checkpoint:civitai:50@51", model_id=50)
        raise RuntimeError("the source broke")

    with Catalog.open(path, writable=True) as catalog:
        with pytest.raises(RuntimeError):
            catalog.add(cards())
        assert len(catalog) == 4


def test_features_and_meta(path: Path) -> None:
    with Catalog.open(path, writable=True) as catalog:
        catalog.put_features("text", {2: b"b", 1: b"a"})
        catalog.put_features("text", {2: b"B"})
        catalog.set_meta("held_out", "both")
    with Catalog.open(path) as catalog:
        assert list(catalog.features("text")) == [(1, b"a"), (2, b"B")]
        assert list(catalog.features("image")) == []
        assert (catalog.get_meta("held_out"), catalog.get_meta("nothing")) == ("both", None)
        assert catalog.stats()["features"] == {"text": 2}


def test_reading_does_not_write(path: Path) -> None:
    before = path.read_bytes()
    with Catalog.open(path) as catalog, pytest.raises(BadCatalog, match="cannot write to "):
        catalog.add([OIL])
    assert path.read_bytes() == before


def test_a_new_catalog_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"
    with pytest.raises(ZeroDivisionError), Catalog.create(path) as catalog:
        catalog.add([OIL][: 1 // 0])
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"the old one")
    catalog = Catalog.create(path)
    catalog.add([OIL])
    assert path.read_bytes() == b"the old one"
    catalog.close()
    assert [p.name for p in tmp_path.iterdir()] == ["new.sqlite"]


def test_files_that_are_no_catalog(path: Path, tmp_path: Path) -> None:
    def refuses(target: Path, message: str) -> None:
        with pytest.raises(BadCatalog, match=message):
            Catalog.open(target).entries()

    refuses(tmp_path / "none.sqlite", r"no catalog at .*none\.sqlite$")
    refuses(tmp_path, "no catalog at")
    text = tmp_path / "text.sqlite"
    text.write_text("hello")
    refuses(text, "is not a catalog")
    other = tmp_path / "other.sqlite"
    sqlite3.connect(other).executescript("CREATE TABLE a (b)").close()
    refuses(other, "another SQLite file")
    newer = tmp_path / "newer.sqlite"
    shutil.copy(path, newer)
    sqlite3.connect(newer).executescript("PRAGMA user_version = 99").close()
    refuses(newer, r"version 99, this diffagent reads version \d+$")
    cut = tmp_path / "cut.sqlite"
    cut.write_bytes(path.read_bytes()[:-5000])
    refuses(cut, r"is damaged \([\d,]+ of [\d,]+ bytes\)")
    data = bytearray(path.read_bytes())
    data[4096:20480] = b"\xff" * 16384
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(data)
    refuses(broken, "is damaged")
    with pytest.raises(BadCatalog, match="give a path in a folder that exists"):
        Catalog.create(tmp_path / "no" / "folder.sqlite")


def test_the_default_is_in_the_package() -> None:
    assert default_catalog().parts[-2:] == ("default", "catalog.sqlite")


def test_several_threads_may_read(path: Path) -> None:
    with Catalog.open(path) as catalog, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(catalog.by_name, ["aurora"] * 40)) == [AURORA] * 40


def test_thousands_of_cards_load_fast(tmp_path: Path) -> None:
    many = [
        replace(INK, name=f"Model {n}", air=f"urn:air:sd1:lora:civitai:{n}@{n}", model_id=n, version_id=n)
        for n in range(1, 5701)
    ]
    with Catalog.create(tmp_path / "many.sqlite") as catalog:
        catalog.add(many)
    with Catalog.open(tmp_path / "many.sqlite") as catalog:
        statements: list[str] = []
        catalog._db.set_trace_callback(statements.append)
        durations = {}
        for name in ("entries", "rows"):
            seconds = []
            for _ in range(3):  # other work on the machine slows one
                start_time = time.process_time()
                assert len(getattr(catalog, name)()) == 5700
                seconds.append(time.process_time() - start_time)
            durations[name] = min(seconds)
    assert len(statements) == 6, statements
    assert durations["entries"] < 0.6, durations  # 0.1 s when the machine is not shared
    assert durations["rows"] < 0.15, durations
    assert (tmp_path / "many.sqlite").stat().st_size < 8e6


def test_hidden_downloads_come_back_hidden(tmp_path: Path) -> None:
    hidden = replace(OIL, stats=Stats(0, 20, 3, 4, 4.75, hidden=True))
    with Catalog.create(tmp_path / "hidden.sqlite") as database:
        database.add([hidden])
    with Catalog.open(tmp_path / "hidden.sqlite") as reader:
        assert reader.by_name("Oil Harbour") == hidden
    assert card_from_json(card_to_json(hidden)).stats == hidden.stats


def test_a_lycoris_is_found_by_its_air_as_a_lora(tmp_path: Path) -> None:
    lycoris = replace(INK, air="urn:air:sd1:lycoris:civitai:7@72")
    with Catalog.create(tmp_path / "lycoris.sqlite") as database:
        database.add([lycoris])
    with Catalog.open(tmp_path / "lycoris.sqlite") as reader:
        assert reader.by_air("urn:air:sd1:lora:civitai:7@72") == lycoris
        assert reader.by_air("urn:air:sd1:checkpoint:civitai:7@72") is None
        assert reader.by_air("urn:air:sdxl:lora:civitai:7@72") is None
