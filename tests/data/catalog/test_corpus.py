"""The corpus: the entries of a crawl, with the samples that a held-out rule lets through."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from invented_items import image, item, sha256, version

from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.corpus import read_entries, read_splits
from diffagent.data.catalog.filters import Funnel, Scope
from diffagent.data.catalog.holdout import Rule
from diffagent.data.hubs.horde import HordeModel
from diffagent.data.hubs.raw import RawFolder, publish

# by their own ids: 1 and 3 are train, 17 align, 18 test; 1 and 18 share a prompt
IMAGES = {1: "a red fox in the snow", 17: "harbour at night", 18: "a red fox in the snow", 3: "ink drawing"}


def raw(folder: Path, *extra: Any, horde: list[dict[str, Any]] | None = None) -> RawFolder:
    images = [image(number, prompt) for number, prompt in IMAGES.items()]
    models = [item(7, version(70, *images[:2])), item(8, version(80, *images[2:]), type="LORA"), *extra]
    publish(folder, "civitai", models, {})
    if horde is not None:
        publish(folder, "horde", horde, {})
    return RawFolder(folder)


def images_of(entries: list[Entry]) -> dict[str, list[int]]:
    return {entry.card.name: [sample.image_id for sample in entry.samples] for entry in entries}


@pytest.mark.parametrize(
    ("rule", "first", "second"),
    [
        ("none", [1, 17], [18, 3]),
        ("cluster", [1], [18, 3]),
        ("image", [1], [3]),
        ("both", [1], [3]),
    ],
)
def test_a_rule_keeps_samples_back_and_their_counts_too(
    tmp_path: Path, rule: Rule, first: list[int], second: list[int]
) -> None:
    catalog_entries = list(read_entries(raw(tmp_path), Scope(), rule))
    assert images_of(catalog_entries) == {"Invented 7": first, "Invented 8": second}
    for entry in catalog_entries:
        assert sum(entry.card.usage.steps.values()) == len(entry.samples)


def test_entries_stay_even_where_every_sample_is_held_out(tmp_path: Path) -> None:
    lonely = item(9, version(90, image(27, "a lighthouse")))
    catalog_entries = list(read_entries(raw(tmp_path, lonely), Scope(), "both"))
    assert images_of(catalog_entries)["Invented 9"] == []


def test_splits_are_of_every_sample_by_either_rule(tmp_path: Path) -> None:
    assert read_splits(raw(tmp_path), Scope()) == {
        1: ("train", "train"),
        17: ("align", "align"),
        18: ("train", "test"),
        3: ("train", "train"),
    }


def test_what_the_filters_drop_is_counted_and_has_no_entry(tmp_path: Path) -> None:
    funnel = Funnel()
    catalog_entries = list(read_entries(raw(tmp_path, item(9, nsfw=True)), Scope(), "none", funnel))
    assert [entry.card.name for entry in catalog_entries] == ["Invented 7", "Invented 8"]
    assert (funnel.models, funnel.usable, dict(funnel.dropped)) == (3, 2, {"nsfw": 1})


def horde_model(name: str, digest: str) -> dict[str, Any]:
    file = f"{name}.safetensors"
    return asdict(HordeModel(name, "stable diffusion 1", "", None, file, digest.casefold()))


def test_hordes_models_are_merged_or_come_last(tmp_path: Path) -> None:
    horde = [horde_model("Lone Star", "f" * 64), horde_model("Seven", sha256("file70.safetensors"))]
    catalog_entries = list(read_entries(raw(tmp_path, horde=horde), Scope(), "both"))
    assert [(entry.card.name, entry.card.source) for entry in catalog_entries] == [
        ("Invented 7", "civitai"),
        ("Invented 8", "civitai"),
        ("Lone Star", "horde"),
    ]
    assert catalog_entries[0].card.aliases == ("Seven",)
