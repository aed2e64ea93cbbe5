"""Listed pairs: prompts of other lists with the models that they show, on lists of our own in their shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from invented_items import image, item, sha256, version

from diffagent.data.catalog.quality import Quality
from diffagent.data.dabench import dabench
from diffagent.data.dabench.dabench import build
from diffagent.data.dabench.listed import ListedPairs, read_listed
from diffagent.data.errors import BadInput
from diffagent.data.hubs.raw import RawFolder, publish
from diffagent.data.records import Card, Stats
from diffagent.serving.cli import root


def card(name: str, base_model: str, air: str, *aliases: str, **more: Any) -> Card:
    kind = "LoRA" if ":lora:" in air else "Checkpoint"
    return Card(name, kind, base_model, air, aliases=aliases, description=f"{name}.", **more)  # type: ignore[arg-type]


CARDS = (
    card("Lab Dev", "Flux.1 D", "urn:air:flux1:diffusionmodel:huggingface:black-forest-labs/FLUX.1-dev",
         "black-forest-labs/FLUX.1-dev"),
    card("Lab Fast", "Flux.1 S", "urn:air:flux1:diffusionmodel:huggingface:black-forest-labs/FLUX.1-schnell",
         "black-forest-labs/FLUX.1-schnell"),
    card("SDXL 1.0", "SDXL 1.0", "urn:air:sdxl:checkpoint:horde:SDXL 1.0"),
    card("Moor XL", "SDXL 1.0", "urn:air:sdxl:checkpoint:civitai:1@2", stats=Stats(downloads=5)),
    card("Moor Old", "SD 1.5", "urn:air:sd1:checkpoint:civitai:3@4"),
    card("Tin Type", "Flux.1 D", "urn:air:flux1:lora:huggingface:moor/tin-type", "moor/tin-type",
         trigger_words=("tintyp plate",)),
    card("Two_Worlds", "Flux.1 D", "urn:air:flux1:lora:huggingface:moor/two_worlds", "moor/two_worlds",
         trigger_words=("2wrlds",)),
)  # fmt: skip
LORAS = [
    {
        "name": "Tin Type", "repo": "moor_tin-type", "trigger_word": "tintyp plate", "base_model": "Flux.1 D",
        "prompts": [
            "a harbour pilot in oilskins, tintyp plate, soft grain",
            "A harbour pilot in oilskins, tintyp plate, soft grain",
            "tintyp plate",
            "naked lighthouse keeper, tintyp plate",
            "an orchard after the storm with ladders against three trees, tintyp plate",
        ],
    },
    {
        "name": "Two Worlds", "repo": "moor_two_worlds", "trigger_word": "2wrlds", "base_model": "Flux.1 D",
        "prompts": ["a staircase between a reef and a ballroom, 2wrlds"],
    },
    {
        "name": "Gone", "repo": "moor_gone", "trigger_word": "gne", "base_model": "Flux.1 D",
        "prompts": ["a kite, gne", "a bell tower, gne"],
    },
]  # fmt: skip


def hosted(
    name: str, example: dict[str, Any] | None, family: str = "sdxl", **defaults: Any
) -> dict[str, Any]:
    owner, _, model = name.partition("/")
    return {
        "owner": owner, "name": model, "family": family, "description": "A hosted model.", "run_count": 41,
        "version": "ab" * 32, "created_at": "2025-01-09T08:00:00.000000Z", "license_url": None,
        "example_input": example,
        "input_defaults": {key: {"default": value} for key, value in defaults.items()} | {"seed": {}},
    }  # fmt: skip


HOSTED = [
    hosted(
        "black-forest-labs/flux-dev",
        {"prompt": "a cake in the shape of a tugboat", "guidance": 2.5, "go_fast": True, "num_outputs": 1,
         "aspect_ratio": "2:3", "output_format": "webp", "num_inference_steps": 28},
        "flux", negative_prompt="blur",
    ),
    hosted(
        "black-forest-labs/flux-schnell", {"prompt": "a tram in fog", "aspect_ratio": "1:1"}, "flux",
        num_inference_steps=4,
    ),
    hosted("lab/flux-fill-dev", {"prompt": "a sign", "image": "https://example.org/a.png"}, "flux"),
    hosted(
        "hut/moor-xl-v7",
        {"prompt": "a moth on a lamp", "negative_prompt": "noise", "width": 1024, "height": 768, "seed": 4,
         "scheduler": "KarrasDPM", "refine": "no_refiner", "guidance_scale": 6, "num_inference_steps": 40},
    ),
    hosted("hut/sdxl", {"prompt": "a weather balloon", "scheduler": "K_EULER_ANCESTRAL"},
           width=1152, height=896, guidance_scale=7.5, num_inference_steps=25, mask=None),
    hosted("hut/moor-xl", {"prompt": "a moor", "mask": "https://example.org/m.png"}),
    hosted("hut/moor-old", {"prompt": "a fen"}, "other"),
    hosted("hut/moor-xl", {"image_count": 2}),
    hosted("hut/unheard-of", {"prompt": "a well"}),
    hosted("hut/flux-dev-lora", {"prompt": "a goat, tintyp plate", "hf_lora": "moor/tin-type",
                                 "guidance_scale": 3.5, "num_inference_steps": 30}, "flux"),
    hosted("hut/flux-dev", {"prompt": "a mule", "lora_weights": "someone/else"}, "flux"),
    hosted("moor/two_worlds", {"prompt": "2wrlds a hen house and a nebula", "model": "dev"}, "flux-dev-lora"),
]  # fmt: skip


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    (tmp_path / "flux_loras.json").write_text(json.dumps(LORAS), "utf-8")
    lines = "".join(json.dumps(row) + "\n" for row in HOSTED)
    (tmp_path / "hosted_t2i.jsonl").write_text(lines, "utf-8")
    (tmp_path / "drawthings.json").write_text("[]", "utf-8")
    return tmp_path


def of(listed_pairs: ListedPairs, model: str) -> list[dict[str, Any]]:
    return [row for row in listed_pairs.rows if row["api"]["model"] == model]


def test_a_lora_is_shown_with_the_base_models_usual_settings(lists: Path) -> None:
    row = of(read_listed(lists, CARDS), "Tin Type")[0]
    assert row["instruction"] == {
        "prompt": "a harbour pilot in oilskins, soft grain", "negative_prompt": "",
    }  # fmt: skip
    assert row["api"] == {
        "model": "Tin Type", "type": "LoRA", "base_model": "Flux.1 D", "width": 1024, "height": 1024,
        "sampling_method": "Euler", "sampling_steps": 25, "cfg_scale": 1.0, "model_description": "Tin Type.",
    }  # fmt: skip
    assert row["source"] == {
        "list": "flux_loras", "name": "moor/tin-type", "settings": "usual", "guidance": 3.5,
    }  # fmt: skip
    assert row["split"] in ("train", "align", "test")


def test_a_hosted_model_is_the_entry_that_its_name_means(lists: Path) -> None:
    listed_pairs = read_listed(lists, CARDS)
    dev = of(listed_pairs, "Lab Dev")[0]
    assert (dev["api"]["width"], dev["api"]["height"], dev["api"]["sampling_steps"]) == (832, 1216, 28)
    assert (dev["api"]["cfg_scale"], dev["source"]["guidance"], dev["source"]["settings"]) == (
        1.0,
        2.5,
        "given",
    )
    assert dev["instruction"]["negative_prompt"] == ""  # it reads none
    fast = of(listed_pairs, "Lab Fast")[0]
    assert (fast["api"]["sampling_steps"], fast["api"]["cfg_scale"], fast["source"]["guidance"]) == (
        4,
        1.0,
        None,
    )
    moor = of(listed_pairs, "Moor XL")[0]
    assert (moor["api"]["width"], moor["api"]["height"]) == (1024, 768)
    assert (moor["api"]["sampling_method"], moor["api"]["cfg_scale"]) == ("DPM++ 2M Karras", 6.0)
    assert moor["instruction"]["negative_prompt"] == "noise"
    assert moor["source"]["name"] == "hut/moor-xl-v7"
    base = of(listed_pairs, "SDXL 1.0")[0]["api"]
    assert (base["width"], base["height"], base["sampling_method"], base["sampling_steps"]) == (
        1152, 896, "Euler a", 25,
    )  # fmt: skip


def test_an_example_with_a_lora_is_the_loras(lists: Path) -> None:
    rows = of(read_listed(lists, CARDS), "Tin Type")
    loaded = next(row for row in rows if row["source"]["list"] == "hosted_t2i")
    assert (loaded["instruction"]["prompt"], loaded["api"]["sampling_steps"]) == ("a goat", 30)
    names = [row["source"]["name"] for row in of(read_listed(lists, CARDS), "Two_Worlds")]
    assert names == ["moor/two_worlds", "moor/two_worlds"]


def test_what_is_no_pair_is_counted_by_list_and_reason(lists: Path) -> None:
    listed_pairs = read_listed(lists, CARDS)
    assert listed_pairs.counts() == {
        "pairs": {
            "flux_loras, Flux.1 D": 3, "hosted_t2i, Flux.1 D": 3, "hosted_t2i, Flux.1 S": 1,
            "hosted_t2i, SDXL 1.0": 2,
        },
        "left out": {
            "flux_loras, explicit": 1, "flux_loras, model is not in the catalog": 2,
            "flux_loras, nothing left of the prompt": 1, "flux_loras, repeated": 1,
            "hosted_t2i, base model is older": 1, "hosted_t2i, example has an input image": 1,
            "hosted_t2i, model is not in the catalog": 3, "hosted_t2i, no prompt": 1,
        },
    }  # fmt: skip
    examples, pairs = listed_pairs.stages()
    assert (
        examples["count"] - sum(examples["dropped"].values()) == pairs["count"] == len(listed_pairs.rows) == 9
    )


def test_near_duplicates_stay_on_one_side(tmp_path: Path) -> None:
    words = [f"alder birch cedar dogwood elm number{n % 40}" for n in range(80)]
    rows = [
        {**LORAS[1], "prompts": [f"{prompt} {'fir' if n > 39 else 'gum'}" for n, prompt in enumerate(words)]}
    ]
    (tmp_path / "flux_loras.json").write_text(json.dumps(rows), "utf-8")
    assert len({row["split"] for row in read_listed(tmp_path, CARDS).rows}) == 1  # 5 of 9 words, and chains
    apart = [f"{name}{n} of {name}{n + 100} by {name}{n + 200}" for n in range(40) for name in ("oak", "ash")]
    (tmp_path / "flux_loras.json").write_text(json.dumps([{**LORAS[1], "prompts": apart}]), "utf-8")
    assert {row["split"] for row in read_listed(tmp_path, CARDS).rows} == {"train", "align", "test"}


def test_a_folder_without_lists_and_a_broken_list_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has none of flux_loras\.json, hosted_t2i\.jsonl"):
        read_listed(tmp_path, CARDS)
    (tmp_path / "hosted_t2i.jsonl").write_text('{"owner": "hut"\n', "utf-8")
    with pytest.raises(BadInput, match="is not JSON"):
        read_listed(tmp_path, CARDS)
    (tmp_path / "hosted_t2i.jsonl").write_text("[1]\n", "utf-8")
    with pytest.raises(BadInput, match="is not a list of objects"):
        read_listed(tmp_path, CARDS)


@pytest.fixture
def raw(tmp_path: Path) -> RawFolder:
    meta = {"Model hash": sha256("file2000.safetensors")[:10]}
    images = [image(2000 + n, f"a quarry number{n} in a storm{n}", meta=meta) for n in range(12)]
    (tmp_path / "raw").mkdir()
    publish(tmp_path / "raw", "civitai", [item(2, version(2000, *images))], {"newest": "2030-01-01"})
    return RawFolder(tmp_path / "raw")


def test_a_build_with_lists_changes_no_other_file(raw: RawFolder, lists: Path, tmp_path: Path) -> None:
    plain = build(raw, tmp_path / "plain", Quality(0, 0), None)
    listed_pairs = read_listed(lists, CARDS)
    stats = build(raw, tmp_path / "out", Quality(0, 0), None, listed=listed_pairs)
    assert stats["files"]["listed"]["rows"] == 9
    assert stats["files"]["listed"]["groups"]["LoRA, Flux.1 D"] == 5
    assert {name: facts for name, facts in stats["files"].items() if name != "listed"} == plain["files"]
    assert stats["funnel"]["lists"] == listed_pairs.stages()
    lines = (tmp_path / "out" / "listed.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == list(listed_pairs.rows)
    page = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "- config_name: listed\n  data_files: listed.jsonl" in page
    assert "listed" not in (tmp_path / "plain" / "README.md").read_text("utf-8")
    build(raw, tmp_path / "out", Quality(0, 0), None)
    assert not (tmp_path / "out" / "listed.jsonl").exists()


def test_lists_on_the_command_line(raw: RawFolder, lists: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = ["data", "build", str(raw.path), "-o", str(out), "--no-novel", "--lists", str(lists)]
    outcome = CliRunner().invoke(root, args, catch_exceptions=False)
    summary = json.loads(outcome.stdout)
    assert summary["listed"] == sum(summary["lists"]["pairs"].values()) > 0
    assert summary["lists"]["pairs"]["hosted_t2i, Flux.1 D"] == 1
    assert "listed.jsonl" in CliRunner().invoke(root, ["data", "stats", str(out)]).stdout
    assert dabench.read_statistics(out)["listed"] == summary["lists"]
