"""Entries that are repositories of the Hugging Face hub: which targets have them, and what those are sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from families import PAIRS, call_of

from diffagent.agent.choosing.scope import Scope
from diffagent.agent.targets.emitting import emit
from diffagent.data.base_models import find
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.records import Card


def own(base_model: str) -> Card:
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


OWN = {name: own(name) for name in ("Flux.1 D", "Flux.1 S", "ZImageTurbo", "Qwen", "SDXL Turbo", "HiDream")}
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


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    path = tmp_path_factory.mktemp("repositories") / "own.sqlite"
    with Catalog.create(path) as made:
        made.add([*OWN.values(), LIKE_FLUX, ONE_FILE, LORA])
    opened = Catalog.open(path)
    yield opened
    opened.close()


def of(card: Card, **fields: Any) -> Any:
    return call_of(card.base_model, air=card.air, model=card.name, **fields)


@pytest.mark.parametrize("base_model", ["Flux.1 D", "Flux.1 S", "ZImageTurbo", "Qwen", "SDXL Turbo"])
def test_diffusers_is_offered_whole_repositories(base_model: str) -> None:
    assert Scope(target="diffusers", base_model=base_model).allows(OWN[base_model])


def test_diffusers_is_offered_no_other_files_of_the_hub() -> None:
    """One file of a repository, a repository that lacks a part, and a LoRA's."""
    scope = Scope(target="diffusers")
    lora = Card("Strokes", "LoRA", "Flux.1 D", "urn:air:flux1:lora:huggingface:inventor/strokes")
    assert scope.allows(LIKE_FLUX)
    assert [scope.allows(card) for card in (ONE_FILE, OWN["HiDream"], lora)] == [False, False, False]


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
