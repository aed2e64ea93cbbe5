"""Entries that are repositories of the Hugging Face hub: which targets have them, and what those are sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from families import PAIRS, call_of

from diffagent.agent.choosing.nearest import nearest_base_model
from diffagent.agent.choosing.scope import ChoiceScope
from diffagent.agent.targets.emitting import emit
from diffagent.agent.targets.horde import name_of, read
from diffagent.data.base_models import find
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput
from diffagent.data.records import Card


def base_card(base_model: str) -> Card:
    """A base model's own entry, as lists of references give it."""
    row = find(base_model)
    assert row is not None
    kind = (row.types or ("checkpoint",))[0]
    return Card(
        f"Own {base_model}", "Checkpoint", base_model,
        f"urn:air:{row.ecosystem}:{kind}:huggingface:{row.repository}",
        file_name=f"{row.family}.safetensors", source="huggingface",
        aliases=(str(row.repository), str(row.repository).split("/")[1]),
    )  # fmt: skip


OWN = {
    name: base_card(name) for name in ("Flux.1 D", "Flux.1 S", "ZImageTurbo", "Qwen", "SDXL Turbo", "HiDream")
}
LIKE_FLUX = Card(
    "Like Flux", "Checkpoint", "Flux.1 D", "urn:air:flux1:diffusionmodel:huggingface:inventor/like-flux",
    source="huggingface", aliases=("inventor/like-flux", "like-flux"),
)  # fmt: skip
ONE_FILE = Card(
    "One File", "Checkpoint", "Flux.1 D",
    "urn:air:flux1:diffusionmodel:huggingface:inventor/files+one.safetensors",
    file_name="one.safetensors", source="huggingface",
)  # fmt: skip
LORA = PAIRS["Flux.1 D"][1]
STROKES = Card(
    "Strokes", "LoRA", "Flux.1 D", "urn:air:flux1:lora:huggingface:inventor/strokes",
    file_name="strokes_v2.safetensors", source="huggingface",
)  # fmt: skip


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    path = tmp_path_factory.mktemp("repositories") / "own.sqlite"
    with Catalog.create(path) as new_catalog:
        new_catalog.add([*OWN.values(), LIKE_FLUX, ONE_FILE, LORA, STROKES])
    opened = Catalog.open(path)
    yield opened
    opened.close()


def of(card: Card, **fields: Any) -> Any:
    return call_of(card.base_model, air=card.air, model=card.name, **fields)


@pytest.mark.parametrize("base_model", ["Flux.1 D", "Flux.1 S", "ZImageTurbo", "Qwen", "SDXL Turbo"])
def test_diffusers_is_offered_whole_repositories(base_model: str) -> None:
    assert ChoiceScope(target="diffusers", base_model=base_model).allows(OWN[base_model])


def test_diffusers_is_offered_no_other_files_of_the_hub() -> None:
    """One file of a repository, a repository of a base model that it does not run, and a LoRA's whose file is
    not known to be safetensors."""
    scope = ChoiceScope(target="diffusers")
    assert scope.allows(LIKE_FLUX)
    assert scope.allows(STROKES)
    unknown, pickle = replace(STROKES, file_name=None), replace(STROKES, file_name="strokes.bin")
    others = (ONE_FILE, OWN["HiDream"], unknown, pickle)
    assert [scope.allows(card) for card in others] == [False, False, False, False]


def test_diffusers_opens_a_repository_whole(catalog: Catalog) -> None:
    request = emit(of(LIKE_FLUX), "diffusers", catalog).request
    assert request["repository"] == "inventor/like-flux"
    assert request["checkpoint"] == {
        "air": LIKE_FLUX.air, "file": None, "sha256": None,
        "url": "https://huggingface.co/inventor/like-flux",
    }  # fmt: skip
    lines = request["snippet"].splitlines()
    assert lines[1] == "from diffusers import FluxPipeline, FlowMatchEulerDiscreteScheduler"
    assert "dtype = torch.bfloat16" in lines
    assert "pipe = FluxPipeline.from_pretrained('inventor/like-flux', torch_dtype=dtype)" in lines
    assert "from_single_file" not in request["snippet"]
    turbo = emit(of(OWN["SDXL Turbo"], sampling_method="Euler a", scheduler=None), "diffusers", catalog)
    assert "StableDiffusionXLPipeline.from_pretrained('stabilityai/sdxl-turbo'" in turbo.request["snippet"]


def test_a_file_that_is_there_is_opened_in_a_repositorys_place(catalog: Catalog) -> None:
    names = {LIKE_FLUX.air: "like-flux.safetensors"}
    request = emit(of(LIKE_FLUX), "diffusers", catalog, names=names).request
    assert request["checkpoint"]["file"] == "like-flux.safetensors"
    assert "FluxTransformer2DModel.from_single_file(" in request["snippet"]


def test_a_lora_goes_on_a_repository(catalog: Catalog) -> None:
    call = call_of("Flux.1 D", lora=True, base_checkpoint=LIKE_FLUX.air)
    emitted = emit(call, "diffusers", catalog)
    assert emitted.call.base_checkpoint == LIKE_FLUX.air
    assert emitted.request["loras"][0]["file"] == LORA.file_name
    compile(emitted.request["snippet"], "snippet", "exec")


def test_a_loras_file_is_one_of_its_repository(catalog: Catalog) -> None:
    """Others than diffusers need a server that has it, or a version of Civitai."""
    call = call_of(
        "Flux.1 D", lora=True, model="Strokes", air=STROKES.air, base_checkpoint=OWN["Flux.1 D"].air,
        loras=({"model": "Strokes", "air": STROKES.air, "weight": 0.75, "trigger_words": ()},),
    )  # fmt: skip
    request = emit(call, "diffusers", catalog).request
    assert request["loras"] == [
        {
            "air": STROKES.air, "repository": "inventor/strokes", "file": "strokes_v2.safetensors",
            "sha256": None, "url": "https://huggingface.co/inventor/strokes", "weight": 0.75,
        }
    ]  # fmt: skip
    line = (
        "pipe.load_lora_weights('inventor/strokes', weight_name='strokes_v2.safetensors', "
        "adapter_name='lora1')"
    )
    assert line in request["snippet"].splitlines()
    compile(request["snippet"], "snippet", "exec")
    installed = emit(call, "diffusers", catalog, names={STROKES.air: "here.safetensors"}).request
    assert installed["loras"][0]["file"] == "here.safetensors"
    assert "pipe.load_lora_weights('here.safetensors', adapter_name='lora1')" in installed["snippet"]
    for target, reason in (("civitai", "Strokes is not on Civitai"), ("horde", "Strokes has no Civitai")):
        with pytest.raises(BadInput, match=reason):
            emit(call, target, catalog, nearest=True)
        assert not ChoiceScope(target=target).allows(STROKES)


@pytest.mark.parametrize(
    ("base_model", "version", "model"),
    [
        ("Flux.1 D", 691639, "urn:air:flux1:checkpoint:civitai:618692@691639"),
        ("Flux.1 S", 699279, "urn:air:flux1:checkpoint:civitai:618692@699279"),
        ("ZImageTurbo", 2442439, "turbo"),
        ("Qwen", 2552908, "20b"),
    ],
)
def test_civitai_runs_its_own_copy_of_a_base_models_own_model(
    base_model: str, version: int, model: str, catalog: Catalog
) -> None:
    card = OWN[base_model]
    assert ChoiceScope(target="civitai", base_model=base_model).allows(card)
    emitted = emit(of(card), "civitai", catalog, nearest=True)
    assert emitted.request["steps"][0]["input"]["model"] == model
    assert emitted.reasons["air"] == f"Civitai runs its own copy of {card.name}, version {version}"
    assert emitted.call.air == card.air


def test_civitai_has_no_copy_of_other_repositories(catalog: Catalog) -> None:
    for card in (LIKE_FLUX, ONE_FILE, OWN["SDXL Turbo"]):
        assert not ChoiceScope(target="civitai").allows(card)
    with pytest.raises(BadInput, match="Like Flux is not on Civitai"):
        emit(of(LIKE_FLUX), "civitai", catalog)


def test_civitai_runs_a_lora_on_its_own_copy(catalog: Catalog) -> None:
    call = call_of("Flux.1 D", lora=True, base_checkpoint=OWN["Flux.1 D"].air)
    emitted = emit(call, "civitai", catalog)
    step = emitted.request["steps"][0]["input"]
    assert (step["model"], step["loras"]) == (
        "urn:air:flux1:checkpoint:civitai:618692@691639", {LORA.air: 0.75},
    )  # fmt: skip
    assert "version 691639" in emitted.reasons["base_checkpoint"]


def test_horde_lists_no_repository_by_the_hubs_name(catalog: Catalog) -> None:
    """Its own name of one is known, or it does not list it."""
    assert name_of(OWN["ZImageTurbo"]) == "Z-Image-Turbo"
    assert name_of(OWN["Flux.1 S"]) == "Flux.1-Schnell fp8 (Compact)"
    assert (name_of(OWN["Flux.1 D"]), name_of(LIKE_FLUX)) == (None, None)
    with pytest.raises(BadInput, match="Like Flux is not among the models that AI Horde lists"):
        emit(of(LIKE_FLUX), "horde", catalog)


def test_horde_calls_a_model_of_civitai_by_its_own_name(tmp_path: Path) -> None:
    """In its requests, and on the way back."""
    card = replace(
        PAIRS["Pony"][0], air="urn:air:sdxl:checkpoint:civitai:257749@290640", model_id=257749, aliases=()
    )
    with Catalog.create(tmp_path / "pony.sqlite") as new_catalog:
        new_catalog.add([card])
    catalog = Catalog.open(tmp_path / "pony.sqlite")
    assert ChoiceScope(target="horde", base_model="Pony").allows(card)
    request = emit(of(card, clip_skip=2), "horde", catalog, nearest=True).request
    assert request["models"] == ["Pony Diffusion XL"]
    assert read(request, catalog).checkpoint.name == card.name
    catalog.close()


def test_the_nearest_base_model_is_one_that_runs_the_same_loras() -> None:
    had = ("ZImageTurbo", "SDXL 1.0", "SD 1.5", "SD 1.5")
    assert nearest_base_model("Illustrious", had) == "SDXL 1.0"
    assert nearest_base_model("Flux.1 Krea", ("Krea 2", "Flux.1 S")) == "Flux.1 S"
    assert nearest_base_model("Anima", ("SD 1.5", "ZImageTurbo")) == "ZImageTurbo"


def test_what_ships_for_each_target() -> None:
    """Entries of Flux.1 D and of base models that answer by their own repository or Civitai's copy of it."""
    asked = ("Flux.1 D", "ZImageTurbo", "Qwen", "Pony")
    with Catalog.open() as shipped:
        cards = [card for card in shipped.cards() if card.base_model in asked]
    counts = {
        target: Counter(
            (card.base_model, card.type) for card in cards if ChoiceScope(target=target).allows(card)
        )
        for target in ("diffusers", "civitai", "horde")
    }
    pony = {("Pony", "Checkpoint"): 3, ("Pony", "LoRA"): 64}
    turbo = {("ZImageTurbo", "Checkpoint"): 1}
    flux = {("Flux.1 D", "Checkpoint"): 2, ("Flux.1 D", "LoRA"): 146}
    assert counts == {
        "diffusers": {**flux, **turbo, ("Qwen", "Checkpoint"): 2, **pony},
        "civitai": {("Flux.1 D", "Checkpoint"): 1, **turbo, ("Qwen", "Checkpoint"): 1, **pony},
        "horde": {**turbo, ("Qwen", "Checkpoint"): 1, **pony, ("Pony", "Checkpoint"): 2},
    }
