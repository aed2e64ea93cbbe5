"""Lists of models that others keep: what becomes an entry, with which facts, and what is left out."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from invented_items import item, version

from diffagent.data.catalog.card_json import card_from_json, card_to_json
from diffagent.data.catalog.references import RECOMMENDED, Notes, References, read_references
from diffagent.data.errors import BadInput
from diffagent.data.records import Card

MODELS = [
    {"name": "Tongyi Z-Image-Turbo", "list": "base", "path": "Tongyi-MAI/Z-Image-Turbo",
     "desc": "Made up.", "extras": "sampler: Default, cfg_scale: 1.0, steps: 8", "date": "2025 November"},
    {"name": "Tongyi Z-Image", "list": "base", "path": "huggingface/Tongyi-MAI/Z-Image", "desc": "",
     "extras": "sampler: Euler, cfg_scale: 4.0, steps: 50, width: 1024, height: 1024", "date": "2026 May"},
    {"name": "Moorland Pony", "list": "community", "desc": "",
     "path": "moorlandPony_v2.safetensors@https://civitai.com/api/download/models/22"},
    {"name": "Heather XL", "list": "community", "desc": "",
     "path": "heather.safetensors@https://huggingface.co/moor/heather/resolve/main/a/heather.safetensors?x=1"},
    {"name": "Z-Image-Turbo int4", "list": "quantized", "path": "moor/z-int4", "desc": ""},
    {"name": "Nobody's", "list": "base", "path": "moor/nobody", "desc": ""},
    {"name": "SDXL", "list": "base", "path": "stabilityai/stable-diffusion-xl-base-1.0", "desc": ""},
]  # fmt: skip
FLUX = [
    {"name": "Felt", "repo": "moor-labs_FLUX_1-dev-LoRA-Felt_Toys", "trigger_word": "feltoy, wool",
     "prompts": ["feltoy, a fox"], "base_model": "Flux.1 D"},
    {"name": "Tin", "repo": "moor_Tin-Flux-2_0", "trigger_word": "", "prompts": [], "base_model": "Flux.1 D"},
    {"name": "Tin", "repo": "moor_tin-two", "trigger_word": "tn2", "prompts": [], "base_model": "Flux.1 D"},
    {"name": "Rude", "repo": "moor_rude", "trigger_word": "nude", "prompts": [], "base_model": "Flux.1 D"},
]  # fmt: skip
PONY = [
    {"name": "old_mira", "model_id": 5, "version_id": 50, "weight": 0.7, "base_models": ["Pony"],
     "triggers": ["mira"], "outfits": []},
    {"name": "mira_moor", "model_id": 5, "version_id": 51, "weight": 0.9, "base_models": ["Pony"],
     "triggers": ["mira \\\\(moor\\\\)"], "outfits": ["MiraCoat", "MiraBikini"]},
]  # fmt: skip
NOTES = Notes(
    left_out={"urn:air:sdxl:checkpoint:huggingface:moor/heather": "a test"},
    files={"urn:air:flux1:lora:huggingface:moor/tin-two": f"tin2.safetensors\t{'ab' * 32}"},
    bases={"11@22": "Pony", "moor/heather": "SDXL Lightning", "33@44": "Illustrious\tIllustrious Early"},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "reference_models.json").write_text(json.dumps(MODELS), "utf-8")
    (tmp_path / "base_models.json").write_text(json.dumps({"default_version_ids": {"I": 44, "J": 45}}))
    (tmp_path / "flux_loras.json").write_text(json.dumps(FLUX), "utf-8")
    (tmp_path / "pony_loras.json").write_text(json.dumps(PONY), "utf-8")
    return tmp_path


def by_name(references: References) -> dict[str, Card]:
    return {entry.card.name: entry.card for entry in references.entries}


def test_lists_become_entries(folder: Path) -> None:
    references = read_references(folder, NOTES)
    cards = by_name(references)
    assert {name: card.air for name, card in cards.items()} == {
        "Tongyi Z-Image-Turbo": "urn:air:zimageturbo:diffusionmodel:huggingface:Tongyi-MAI/Z-Image-Turbo",
        "Tongyi Z-Image": "urn:air:zimagebase:diffusionmodel:huggingface:Tongyi-MAI/Z-Image",
        "Moorland Pony": "urn:air:sdxl:checkpoint:civitai:11@22",
        "Illustrious Early": "urn:air:sdxl:checkpoint:civitai:33@44",
        "Felt": "urn:air:flux1:lora:huggingface:moor-labs/FLUX.1-dev-LoRA-Felt_Toys",
        "Tin": "urn:air:flux1:lora:huggingface:moor/Tin-Flux-2.0",
        "Tin (moor/tin-two)": "urn:air:flux1:lora:huggingface:moor/tin-two",
        "mira moor": "urn:air:sdxl:lora:civitai:5@51",
    }
    assert references.to_json()["kept"] == {
        "reference_models": 3, "base_models": 1, "flux_loras": 3, "pony_loras": 1
    }  # fmt: skip
    assert references.to_json()["left_out"] == {
        "reference_models": {
            "other precision or service": 1, "base model is not in the table": 1, "a test": 1,
            "usual base model": 1,
        },
        "base_models": {"default version has no name": 1},
        "flux_loras": {"explicit words": 1},
        "pony_loras": {"older version": 1},
    }  # fmt: skip


def test_facts_of_the_lists_are_kept(folder: Path) -> None:
    cards = by_name(read_references(folder, NOTES))
    turbo, base = cards["Tongyi Z-Image-Turbo"], cards["Tongyi Z-Image"]
    assert (turbo.usage.steps, turbo.usage.cfg_scale) == ({8: RECOMMENDED}, {})  # it has no guidance
    assert (base.usage.steps, base.usage.cfg_scale) == ({50: RECOMMENDED}, {4.0: RECOMMENDED})
    assert (base.usage.sampler, base.usage.size) == ({"Euler": RECOMMENDED}, {"1024x1024": RECOMMENDED})
    assert turbo.file_name == "z_image_turbo_bf16.safetensors"
    assert (turbo.created_at, turbo.aliases) == ("2025", ("Tongyi-MAI/Z-Image-Turbo", "Z-Image-Turbo"))
    assert (cards["Moorland Pony"].model_id, cards["Moorland Pony"].file_name) == (
        11,
        "moorlandPony_v2.safetensors",
    )
    assert cards["Felt"].trigger_words == ("feltoy", "wool")
    assert cards["Tin (moor/tin-two)"].sha256 == "ab" * 32
    mira = cards["mira moor"]
    assert (mira.trigger_words, mira.optional_words) == (("mira (moor)",), ("MiraCoat",))
    assert (mira.usage.lora_weight, mira.older_airs) == ({0.9: 5}, ("urn:air:sdxl:lora:civitai:5@50",))


def test_no_text_of_others_is_in_a_card(folder: Path) -> None:
    for entry in read_references(folder, NOTES).entries:
        text = json.dumps(card_to_json(entry.card))
        assert "Made up." not in text
        assert "a fox" not in text
        assert card_from_json(json.loads(text)) == entry.card  # what catalog add reads


def test_items_pass_the_filters_of_a_crawl(tmp_path: Path) -> None:
    good = item(7, version(70, baseModel="NoobAI"), name="Vane v-pred", type="Checkpoint")
    other = item(8, version(80, baseModel="NoobAI"), nsfw=True)
    with gzip.open(tmp_path / "civitai_items.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in (good, other))
    references = read_references(tmp_path)
    assert [(entry.card.name, entry.card.base_model) for entry in references.entries] == [
        ("Vane v-pred", "NoobAI v-pred")
    ]
    assert references.dropped == {("civitai_items", "nsfw"): 1}


def test_folders_without_lists_and_damaged_lists_are_errors(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="none of the lists"):
        read_references(tmp_path)
    (tmp_path / "pony_loras.json").write_text('[{"name": 1}]')
    with pytest.raises(BadInput, match=r"pony_loras\.json is damaged"):
        read_references(tmp_path)


def test_notes_are_three_tables(tmp_path: Path) -> None:
    (tmp_path / "left_out.tsv").write_text("# why\na\tbecause\n", "utf-8")
    (tmp_path / "bases.tsv").write_text("1@2\tPony\tMoor\n", "utf-8")
    notes = Notes.read(tmp_path)
    assert (notes.left_out, notes.files) == ({"a": "because"}, {})
    assert (notes.key("2"), notes.key("3")) == ("1@2", "3")
    base = notes.base("1@2")
    assert base is not None
    assert base.name == "Pony"
