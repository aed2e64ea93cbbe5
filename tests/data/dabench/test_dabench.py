"""DABench: which file a pair belongs to, and a folder that is complete or not there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from invented_items import image, item, sha256, version
from stand_ins import WordEncoder

from diffagent.data.catalog.quality import Quality
from diffagent.data.catalog.splits import split_of
from diffagent.data.dabench import dabench
from diffagent.data.dabench.dabench import FILES, Pair, build, files_of, is_new_model, read_statistics
from diffagent.data.descriptions.descriptions import Description
from diffagent.data.errors import BadInput
from diffagent.data.hubs.raw import RawFolder, publish
from diffagent.serving.cli import root

ALL = Quality(0, 0)
NEW = next(number for number in range(1, 500) if is_new_model(number))
"""Only ``test_new_model`` may name it."""
SUBJECTS = (
    "fox",
    "owl",
    "harbour",
    "castle",
    "teapot",
    "glacier",
    "violin",
    "orchard",
    "submarine",
    "beetle",
)
PLACES = ("attic", "desert", "canyon", "library", "meadow", "tundra", "market", "lagoon", "quarry", "subway")


def test_the_rule_of_new_models_by_hand() -> None:
    # printf %s 26 | sha256sum, in bc modulo 100, gives 2; 188 gives 0, and 6 gives 3, which is not below 3
    assert [is_new_model(number) for number in (26, 188, 6)] == [True, True, False]


def test_three_percent_of_the_models_are_new() -> None:
    assert abs(sum(map(is_new_model, range(20_000))) - 600) < 80


@pytest.mark.parametrize(
    ("model", "of_quality", "splits", "files"),
    [
        (1, True, ("train", "train"), ("train",)),
        (1, True, ("align", "test"), ("align", "overall")),
        (1, True, ("test", "train"), ("test",)),
        (1, False, ("train", "train"), ()),
        (1, False, ("train", "test"), ("overall",)),
        (NEW, True, ("train", "align"), ("test_new_model",)),
        (NEW, True, ("test", "test"), ("test_new_model", "overall")),
    ],
)
def test_the_files_of_a_pair(model: int, of_quality: bool, splits: Any, files: tuple[str, ...]) -> None:
    assert not is_new_model(1)
    assert files_of(Pair({}, model, of_quality), splits) == files


def checkpoint(model_id: int, count: int = 10, **changes: Any) -> Any:
    """A checkpoint with so many images made with it. No two prompts are near-duplicates (Jaccard 3/5 at
    most), but a place named three times makes those of even models alike for an encoder of words."""
    first = model_id * 1000
    meta = {"Model hash": sha256(f"file{first}.safetensors")[:10]}
    place = PLACES[model_id % 10]
    scene = place if model_id % 2 else f"{place}, {place}, {place},"
    prompts = [f"{SUBJECTS[i % 10]} {scene} number{first + i} word{i}" for i in range(count)]
    images = [image(first + i, prompt, meta=meta) for i, prompt in enumerate(prompts)]
    return item(model_id, version(first, *images), **changes)


@pytest.fixture
def raw(tmp_path: Path) -> RawFolder:
    """Forty models with ten pairs each, among them a new one, an NSFW one and one with a stranger's image."""
    models = [checkpoint(number) for number in range(2, 40) if not is_new_model(number)]
    models += [checkpoint(NEW), checkpoint(300, nsfw=True)]
    stranger = version(400_000, image(400_001, "a stranger's work", meta={"Model hash": "9999999999"}))
    models.append(item(400, stranger))
    (tmp_path / "made").mkdir()
    publish(
        tmp_path / "made", "civitai", sorted(models, key=lambda model: model["id"]), {"newest": "2030-01-01"}
    )
    return RawFolder(tmp_path / "made")


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text("utf-8").splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_built_folder(raw: RawFolder, tmp_path: Path) -> None:
    out = tmp_path / "new" / "bench"
    stats = build(raw, out, ALL, WordEncoder())
    names = [name for name in FILES if name != "listed"]
    assert sorted(contents(out)) == sorted([*(f"{name}.jsonl" for name in names), "README.md", "stats.json"])
    assert read_statistics(out) == stats
    rows_of = {name: rows(out, name) for name in names}
    assert {name: len(these) for name, these in rows_of.items()} == {
        name: facts["rows"] for name, facts in stats["files"].items()
    }
    for name in ("train", "align", "test"):
        assert rows_of[name]
        assert all(split_of(row["source"]["image"]) == name for row in rows_of[name])
        assert all(f":civitai:{NEW}@" not in row["air"] for row in rows_of[name])
    assert {row["air"] for row in rows_of["test_new_model"]} == {
        f"urn:air:sd1:checkpoint:civitai:{NEW}@{NEW * 1000}"
    }
    assert len(rows_of["test_new_model"]) == 10
    assert {row["source"]["image"] for row in rows_of["overall"]} == {
        row["source"]["image"]
        for these in rows_of.values()
        for row in these
        if split_of(row["source"]["image"]) == "test"
    }
    assert all(row in rows_of["test"] for row in rows_of["test_novel"])


def test_written_descriptions_take_the_place_of_composed_ones(raw: RawFolder, tmp_path: Path) -> None:
    plainly = build(raw, tmp_path / "plain", ALL, None)
    air = rows(tmp_path / "plain", "train")[0]["air"]
    description = Description(
        air=air, description="Paints foxes.", status="written", writer="w", held_out="both", key="k"
    )
    stats = build(raw, tmp_path / "told", ALL, None, descriptions={air: description})
    assert stats["digest"] != plainly["digest"]
    for name in ("train", "test", "overall"):
        for before, after in zip(rows(tmp_path / "plain", name), rows(tmp_path / "told", name), strict=True):
            if before["air"] == air:
                assert after["api"].pop("model_description") == "Paints foxes."
                assert before["api"].pop("model_description") != "Paints foxes."
            assert after == before


def test_test_novel_has_no_train_prompt_nearby(raw: RawFolder, tmp_path: Path) -> None:
    encoder = WordEncoder()
    build(raw, tmp_path / "out", ALL, encoder)
    train, test, novel = (
        [row["instruction"]["prompt"] for row in rows(tmp_path / "out", name)]
        for name in ("train", "test", "test_novel")
    )
    near = (encoder.encode(test) @ encoder.encode(train).T).max(1)
    assert novel == [prompt for prompt, cosine in zip(test, near, strict=True) if cosine < 0.8]
    assert 0 < len(novel) < len(test)


def test_the_funnel_adds_up(raw: RawFolder, tmp_path: Path) -> None:
    stats = build(raw, tmp_path / "out", Quality(0.5, 0), None)
    models, images = stats["funnel"]["models"], stats["funnel"]["images"]
    assert models[0]["dropped"] == {"nsfw": 1}
    assert [stage["count"] for stage in models][:3] == [models[0]["count"], *[models[0]["count"] - 1] * 2]
    assert images[0] == {
        "stage": "images crawled",
        "count": images[1]["count"] + 10,
        "dropped": {"no callable model": 10},
    }
    assert images[1]["dropped"] == {"another checkpoint": 1}
    for stages in (models, images):
        for previous, following in pairwise(stages):
            assert previous["count"] - sum(previous["dropped"].values()) == following["count"]
    assert models[2]["dropped"]["few downloads"] == models[2]["count"] // 2
    of_quality = sum(stats["files"][name]["rows"] for name in ("train", "align", "test", "test_new_model"))
    assert images[-1]["count"] == of_quality
    assert models[-1]["count"] == len(
        {
            row["air"]
            for name in ("train", "align", "test", "test_new_model")
            for row in rows(tmp_path / "out", name)
        }
    )


def test_the_same_crawl_gives_the_same_bytes_and_statistics_vouch_for_them(
    raw: RawFolder, tmp_path: Path
) -> None:
    first = build(raw, tmp_path / "a", ALL, WordEncoder())
    build(raw, tmp_path / "b", ALL, WordEncoder())
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    for name, facts in first["files"].items():
        assert hashlib.sha256((tmp_path / "a" / f"{name}.jsonl").read_bytes()).hexdigest() == facts["sha256"]


def test_another_build_into_the_folder_leaves_nothing_old(raw: RawFolder, tmp_path: Path) -> None:
    build(raw, tmp_path / "a", ALL, WordEncoder())
    build(raw, tmp_path / "a", Quality(), None)
    build(raw, tmp_path / "b", Quality(), None)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert "test_novel.jsonl" not in contents(tmp_path / "a")


def test_an_interrupted_build_leaves_the_old_files_and_the_next_one_repairs(
    raw: RawFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    build(raw, out, ALL, None)
    before = contents(out)
    real = dabench.read_pairs

    def breaks(*args: Any) -> Iterator[Pair]:
        for number, pair in enumerate(real(*args)):
            if number == 50:
                raise OSError("the disk is gone")
            yield pair

    with monkeypatch.context() as patch:
        patch.setattr(dabench, "read_pairs", breaks)
        with pytest.raises(OSError, match="disk"):
            build(raw, out, Quality(), None)
    assert {name: data for name, data in contents(out).items() if not name.endswith(".part")} == before
    build(raw, out, ALL, None)
    assert contents(out) == before


def test_killed_between_two_names_the_folder_is_not_complete(
    raw: RawFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, targets = tmp_path / "out", []
    build(raw, out, ALL, None)
    real = Path.replace

    def dies(self: Path, target: Any) -> Path:
        targets.append(target)
        if len(targets) == 3:
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dies)
        with pytest.raises(KeyboardInterrupt):
            build(raw, out, Quality(), None)
    with pytest.raises(BadInput, match="no complete DABench"):
        read_statistics(out)
    build(raw, out, Quality(), None)
    build(raw, tmp_path / "clean", Quality(), None)
    assert contents(out) == contents(tmp_path / "clean")


def test_the_datasets_library_reads_the_folder(
    raw: RawFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    stats = build(raw, tmp_path / "out", ALL, WordEncoder())
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: split.num_rows for name, split in loaded.items()} == {
        name: facts["rows"] for name, facts in stats["files"].items() if facts["rows"]
    }
    assert loaded["train"][0] == rows(tmp_path / "out", "train")[0]
    assert loaded["align"].features["api"]["cfg_scale"].dtype == "float64"


def run(*args: str) -> Any:
    """``diffagent`` with these arguments; errors are raised, as ``--debug`` shows them."""
    return CliRunner().invoke(root, args, catch_exceptions=False)


def test_build_and_stats_on_the_command_line(raw: RawFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    built = run("data", "build", str(raw.path), "-o", str(out), "--no-novel", "--drop-by-rating", "0")
    assert built.exit_code == 0
    summary = json.loads(built.stdout)
    assert summary["train"] == len(rows(out, "train"))
    assert read_statistics(out)["rules"]["dropped_by_rating"] == 0
    table = run("data", "stats", str(out)).stdout
    assert "few downloads" in table
    assert f"{summary['train']:,}" in next(line for line in table.splitlines() if "train.jsonl" in line)
    assert json.loads(run("data", "stats", str(out), "--json").stdout) == read_statistics(out)
    crawl = json.loads(run("data", "stats", str(raw.path), "--json").stdout)
    assert set(crawl) == {"crawled", "funnel"}
    assert crawl["funnel"]["images"][0] == read_statistics(out)["funnel"]["images"][0]


def test_stats_of_nothing_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no crawl"):
        run("data", "stats", str(tmp_path))


def test_shares_beyond_one_are_refused(raw: RawFolder, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="share to drop by downloads is 2"):
        run("data", "build", str(raw.path), "-o", str(tmp_path / "x"), "--drop-by-downloads", "2")
