"""The package: what is listed, who imports whom, and what ships."""

from __future__ import annotations

import ast
import re
import sqlite3
import tomllib
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from diffagent.agent.pmi.specification_file import SpecificationFile
from diffagent.data.air import AIR
from diffagent.data.base_models import CRAWLED, ecosystem_of, lora_fit
from diffagent.data.catalog.cards import name_key
from diffagent.data.catalog.catalog import Catalog, default_catalog
from diffagent.data.catalog.filters import CALLABLE
from diffagent.data.catalog.specification import KIND, QUANTUM, PackedSpecification
from diffagent.data.prompts import is_sfw
from diffagent.data.records import Card
from diffagent.data.samplers import SAMPLERS

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("data", "agent", "training", "serving")
"""From the ground up."""
MODULES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))


def pyproject() -> dict[str, dict[str, dict[str, object]]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_every_package_is_listed_and_every_listed_one_is_there() -> None:
    folders = {"diffagent." + ".".join(path.parent.relative_to(ROOT).parts) for path in MODULES}
    packages = pyproject()["tool"]["setuptools"]["packages"]
    assert isinstance(packages, list)
    assert sorted(packages) == sorted(folders)
    for name in packages:
        assert ROOT.joinpath(*name.split(".")[1:], "__init__.py").is_file(), name


def test_every_floor_is_mapped_and_typed() -> None:
    table = pyproject()["tool"]["setuptools"]
    assert table["package-dir"] == {f"diffagent.{floor}": floor for floor in FLOORS}
    assert all((ROOT / floor / "py.typed").is_file() for floor in FLOORS)


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            yield str(node.module)
            if node.module == "diffagent":
                yield from (f"diffagent.{name.name}" for name in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    height = FLOORS.index(path.relative_to(ROOT).parts[0])
    for name in imported(path):
        top, _, rest = name.partition(".")
        assert top not in FLOORS, f"import diffagent.{name}"
        if top == "diffagent" and rest:
            assert FLOORS.index(rest.split(".")[0]) <= height, name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree), f"{path} has no docstring"
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for node in classes:
        if not node.name.startswith("_") and not node.name.endswith("Json"):
            assert ast.get_docstring(node), f"{path.name}: class {node.name} has no docstring"


HEAVY = {"torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "sklearn", "tqdm"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_are_imported_where_they_are_needed(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    for node in tree.body:  # the module's own level; "if TYPE_CHECKING" is an ast.If
        names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        assert not HEAVY & {name.split(".")[0] for name in names}, names


def test_the_wheel_is_under_40_mb() -> None:
    """Packed as a wheel packs it: what is downloaded; the catalog is 8 MB larger on disk."""
    files = [path for floor in FLOORS for path in (ROOT / floor).rglob("*") if path.is_file()]
    paths = [path for path in files if "__pycache__" not in path.parts]
    assert any(path.suffix == ".sqlite" for path in paths)
    assert sum(len(zlib.compress(path.read_bytes(), 6)) for path in paths) < 40 * 10**6


@pytest.fixture(scope="module")
def cards() -> list[Card]:
    with Catalog.open() as catalog:
        return [card for _, card in catalog.entries()]


def test_at_least_4000_entries_can_be_called(cards: list[Card]) -> None:
    callable_cards = [card for card in cards if not card.is_pickle]
    assert len(callable_cards) >= 4000
    checkpoints = {card.base_model for card in callable_cards if card.type == "Checkpoint"}
    with_checkpoints = {
        name for name in CALLABLE if any(lora_fit(lora=name, checkpoint=base) for base in checkpoints)
    }
    for card in callable_cards:
        assert card.type in ("Checkpoint", "LoRA")
        assert card.base_model in CALLABLE
        air = AIR.parse(card.air)
        assert str(air) == card.air
        assert (air.ecosystem, air.model_type) == (ecosystem_of(card.base_model), card.type)
        assert card.name.strip() == card.name != ""
        assert card.type == "Checkpoint" or card.base_model in with_checkpoints, card.name


def test_what_names_no_base_model_is_answered_by_those_of_every_crawl() -> None:
    with Catalog.open() as catalog:
        assert set(catalog.unasked) == set(CRAWLED)


def test_image_specifications_ship_of_entries_that_can_be_called() -> None:
    (path,) = default_catalog().parent.glob("*.pmi")
    file = SpecificationFile.open(path)
    assert (len(file.airs), path.stem.partition(".")[0]) == (16, default_catalog().stem)
    with Catalog.open() as catalog:
        assert all(catalog.by_air(air) is not None for air in file.airs)


def test_names_and_airs_are_unique(cards: list[Card]) -> None:
    assert len({name_key(card.name) for card in cards}) == len(cards)
    assert len({card.air for card in cards}) == len(cards)


def test_every_entry_has_a_hash_and_is_sfw_by_its_words(cards: list[Card]) -> None:
    for card in cards:
        is_crawled = card.base_model in CRAWLED or card.stats.downloads
        assert re.fullmatch(r"[0-9a-f]{64}", card.sha256 or "") or not is_crawled, card.name
        assert is_sfw("\n".join((card.name, *card.tags, *card.trigger_words))), card.name


def test_usage_is_legal(cards: list[Card]) -> None:
    for card in cards:
        usage = card.usage
        assert set(usage.sampler) <= set(SAMPLERS), card.name
        assert all(1 <= steps <= 150 for steps in usage.steps)
        assert all(1 <= scale <= 30 for scale in usage.cfg_scale)
        assert all(re.fullmatch(r"\d{2,4}x\d{2,4}", size) for size in usage.size), card.name
        if card.type == "Checkpoint":
            assert not usage.checkpoints
            assert not usage.lora_weight


def test_features_are_int8_vectors_and_hashes_and_nothing_else() -> None:
    """No byte of a specification is left that could hold a prompt's text."""
    with Catalog.open() as catalog:
        count, kinds = len(catalog), set()
        blobs = dict(catalog.features(KIND))
        kinds = set(catalog.stats()["features"])
        assert catalog.get_meta("held_out") == "both"
    assert (kinds, len(blobs)) == ({KIND}, count)
    documents = 0
    for blob in blobs.values():
        packed = PackedSpecification.read(blob)
        size = 8 + packed.lengths.nbytes + packed.hashed.nbytes + packed.embeddings.nbytes
        assert size == len(blob)
        if len(packed.embeddings):
            documents += len(packed.embeddings)
            lengths = (packed.embeddings.astype(float) ** 2).sum(1) ** 0.5 / QUANTUM
            assert (abs(lengths - 1) < 0.05).all()  # MiniLM's unit vectors, not text
    assert documents > 10_000


def test_the_catalog_has_no_other_tables_or_columns() -> None:
    with sqlite3.connect(f"file:{default_catalog()}?mode=ro", uri=True) as database:
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        own_tables = {name for name in tables if not name.startswith("search")}
        assert own_tables == {"meta", "entries", "names", "files", "versions", "hashes", "features"}
        columns = {row[1] for row in database.execute("PRAGMA table_info(entries)")}
        assert not {"prompt", "samples", "images"} & columns
        longest = "SELECT max(length(rest)), max(length(description)) FROM entries"
        rest, description = database.execute(longest).fetchone()
    database.close()
    assert description < 1000
    assert rest < 60_000
