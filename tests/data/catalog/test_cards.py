"""Cards from invented items: identity, usage counts, names, and what Horde adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from invented_items import file, image, item, sha256, version

from diffagent.data.catalog.cards import Names, compose, entries, needed_words, survey
from diffagent.data.catalog.horde_cards import merge_horde
from diffagent.data.catalog.texts import clean
from diffagent.data.hubs.horde import HordeModel, HordeStyle
from diffagent.data.records import Card, Licence, Stats


def cards_of(*items: dict[str, Any], **options: Any) -> list[Card]:
    return [entry.card for entry in entries(items, survey(items), **options)]


def test_a_card_states_the_facts() -> None:
    model = item(
        7,
        version(72, trainedWords=["inkfox, ink", "inkfox, ink", "nude"], baseModel="SD 1.5"),
        version(71),
        name="  Fox\u200b \n Ink ",
        type="LORA",
        tags=["Style", "style", "lora"],
    )
    (card,) = cards_of(model)
    assert (card.name, card.type, card.base_model) == ("Fox Ink", "LoRA", "SD 1.5")
    assert card.air == "urn:air:sd1:lora:civitai:7@72"
    assert card.older_airs == ("urn:air:sd1:lora:civitai:7@71",)
    assert (card.model_id, card.version_id, card.file_name) == (7, 72, "file72.safetensors")
    assert card.sha256 == sha256("file72.safetensors").lower()
    assert card.autov2 == card.sha256[:10]
    assert card.hashes[:2] == (card.sha256, card.autov2)
    assert sha256("file71.safetensors").lower() in card.hashes
    assert card.tags == ("Style", "lora")
    assert (card.trigger_words, card.optional_words) == (("inkfox",), ("ink",))
    assert card.stats == Stats(7, 2, 1, 3, 4.5)
    assert card.licence == Licence(True, "Rent", True, False)
    assert card.description == "SD 1.5 LoRA: Style. Trigger words: inkfox; ink."


def test_usage_is_counted_over_all_versions_of_the_base_model() -> None:
    model = item(
        1,
        version(12, image(1), image(2, meta={"sampler": "DDIM", "Clip skip": "2", "cfgScale": "7.5"})),
        version(11, image(3), image(4, meta={"Mask blur": "4"}), image(5, meta={"Denoising strength": 1})),
        version(10, image(6), baseModel="SVD"),
    )
    (card,) = cards_of(model)
    assert card.usage.sampler == {"Euler a": 3, "DDIM": 1}
    assert card.usage.cfg_scale == {7.0: 3, 7.5: 1}
    assert card.usage.clip_skip == {2: 1}
    assert card.usage.size == {"512x768": 3}  # not the img2img's


def test_held_out_samples_leave_no_trace() -> None:
    model = item(1, version(1, image(1), image(2, meta={"sampler": "DDIM"})))
    summary = survey([model])
    (entry,) = entries([model], summary, keep=lambda sample: sample.image_id == 1)
    assert entry.card.usage.sampler == {"Euler a": 1}
    assert [sample.image_id for sample in entry.samples] == [1]


def test_a_loras_checkpoints_and_weights() -> None:
    base = item(1, version(11), version(10))
    old_hash = "0x" + sha256("file10.safetensors")[:10]
    lora = item(
        2,
        version(
            20,
            image(1, "a <lora:file20:0.78>", {"Model hash": old_hash}),
            image(2, "b <lora:renamed:0.8>", {"Model hash": sha256("file11.safetensors")[-8:]}),
            image(3, "c <lora:x:1> <lora:y:1>", {"Model hash": old_hash}),
            image(4, "d, no tag", {"Model hash": "ffffffffff"}),
        ),
        type="LORA",
    )
    card = cards_of(base, lora)[1]
    assert card.usage.checkpoints == {"urn:air:sd1:checkpoint:civitai:1@11": 2}
    assert card.usage.lora_weight == {0.8: 2}
    assert card.usage.steps == {20: 3}  # the image with two other LoRAs does not count


def test_images_of_another_checkpoint_do_not_count() -> None:
    first = item(1, version(10))
    other = {"Model hash": sha256("file10.safetensors")[:10]}
    second = item(2, version(20, image(1, meta=other), image(2, meta={"Model hash": "0123456789"}), image(3)))
    assert cards_of(first, second)[1].usage.steps == {20: 2}


def test_a_shared_file_means_the_most_downloaded_model() -> None:
    shared = [file("shared.safetensors")]
    models = [item(1, version(10, files=shared)), item(2, version(20, files=shared))]
    summary = survey(models)
    assert summary.checkpoints[sha256("shared.safetensors").lower()].endswith("civitai:2@20")
    assert survey(models[::-1]) == summary


def test_vaes_are_nobodys_hash() -> None:
    vae = file("shared.vae.safetensors", type="VAE")
    (card,) = cards_of(item(1, version(1, files=[file("a.safetensors"), vae])))
    assert vae["hashes"]["SHA256"].lower() not in card.hashes


def test_one_card_per_base_model_with_names_apart() -> None:
    model = item(5, version(51), version(52, baseModel="SDXL 1.0"), name="Twin")
    twin = item(6, name="ＴＷＩＮ")
    assert [(c.name, c.air) for c in cards_of(model, twin)] == [
        ("Twin", "urn:air:sd1:checkpoint:civitai:5@51"),
        ("Twin (5)", "urn:air:sdxl:checkpoint:civitai:5@52"),
        ("ＴＷＩＮ (6)", "urn:air:sd1:checkpoint:civitai:6@60"),
    ]


def test_names_run_out_of_ids_but_not_of_names() -> None:
    names = Names()
    assert [names.claim("A", 1) for _ in range(4)] == ["A", "A (1)", "A (1, 2)", "A (1, 3)"]
    assert names.claim("", 9) == "model 9"


@pytest.mark.parametrize(
    ("permission", "level"),
    [("None", None), ("Image", "Image"), ("Sell", "Sell"), (["Image", "RentCivit", "Rent"], "Rent"),
     (["RentCivit"], None), ("{Image,RentCivit}", "Image"), ([], None), (None, None), (True, None)],
)  # fmt: skip
def test_commercial_use(permission: object, level: str | None) -> None:
    assert cards_of(item(1, allowCommercialUse=permission))[0].licence.commercial == level


def test_damaged_hashes_are_left_out() -> None:
    model = item(
        1, version(1, files=[file("a.safetensors"), file("b.ckpt", hashes={"SHA256": "??", "CRC32": None})])
    )
    assert all(len(digest) >= 8 for digest in cards_of(model)[0].hashes)


def test_text_for_one_line() -> None:
    assert clean("a\x00b\u202e c\t\n d\ud800 水墨é") == "ab c d 水墨é"
    assert clean(None) == ""
    assert compose("Checkpoint", "SDXL 1.0", (), ()) == "SDXL 1.0 checkpoint."


def horde(name: str = "Aurora", **changes: Any) -> HordeModel:
    style = HordeStyle("s", "{p}", sampler="DDIM", steps=40, cfg_scale=9, width=640, height=960)
    facts = {"baseline": "stable diffusion 1", "style": "anime", "homepage": None}
    facts |= {"file": "aurora.ckpt", "sha256": "ab" * 32}
    return HordeModel(name, **{**facts, "styles": (style,), **changes})


def merged(items: Sequence[dict[str, Any]], *models: HordeModel) -> list[Card]:
    summary = survey(items)
    return [entry.card for entry in merge_horde(entries(items, summary), models, summary)]


def test_a_horde_model_of_its_own() -> None:
    (card,) = merged([], horde(trigger_words=("aur",)))
    assert (card.name, card.air, card.source) == ("Aurora", "urn:air:sd1:checkpoint:horde:Aurora", "horde")
    assert card.is_pickle
    assert card.usage.size == {"640x960": 1}
    assert card.usage.cfg_scale == {9.0: 1}
    assert card.hashes == ("ab" * 32, "ab" * 5)
    assert card.description == "SD 1.5 checkpoint: anime. Trigger words: aur."


def test_horde_merges_by_hash_and_by_model_id() -> None:
    row = item(1, version(10, image(1)))
    for model in (
        horde(sha256=sha256("file10.safetensors").lower()),
        horde(civitai_model=1),
    ):
        (card,) = merged([row], model)
        assert card.air == "urn:air:sd1:checkpoint:civitai:1@10"
        assert card.aliases == ("Aurora",)
        assert card.usage.sampler == {"Euler a": 1, "DDIM": 1}
        assert card.source == "civitai"


def test_another_family_of_the_same_home_page_is_another_entry() -> None:
    cards = merged([item(1)], horde(baseline="stable_diffusion_xl", civitai_model=1, civitai_version=99))
    assert [card.air for card in cards][1] == "urn:air:sdxl:checkpoint:civitai:1@99"


def test_what_horde_has_and_the_catalog_does_not_take() -> None:
    row = item(1, nsfw=True)
    unwanted = (
        horde(inpainting=True),
        horde(sha256=None),
        horde(sha256=sha256("file10.safetensors").lower()),
        horde(civitai_model=1),
        horde(name="Hentai Diffusion"),
        horde(baseline="flux_1"),
    )
    for model in unwanted:
        assert merged([row], model) == []


def test_styles_with_loras_say_nothing_about_the_model() -> None:
    fast = HordeStyle("fast", "{p}", sampler="DPM++ SDE", steps=8, cfg_scale=2, loras=("247778",))
    (card,) = merged([], horde(styles=(fast,), requirements={"clip_skip": 2}))
    assert (card.usage.steps, card.usage.clip_skip) == ({}, {2: 1})


def test_a_horde_name_that_is_taken() -> None:
    cards = merged([item(1, name="aurora")], horde())
    assert [(card.name, card.aliases) for card in cards] == [("aurora", ()), ("Aurora (horde)", ("Aurora",))]


@pytest.mark.parametrize(
    ("prompts", "needed"),
    [
        (["inkfox, a hill", "Inkfox in a red_coat"], ("inkfox", "red coat")),
        (["inkfox, a hill", "inkfox", "inkfox, red coat"], ("inkfox",)),
        (["a hill", "a lake, red coat", "a wood"], ("red coat",)),
        ([], ("inkfox",)),
        (["a hill"], ("inkfox",)),
    ],
)
def test_words_in_half_of_the_prompts_are_needed_else_the_most_used(
    prompts: list[str], needed: tuple[str, ...]
) -> None:
    assert needed_words(("inkfox", "red coat"), prompts) == needed
