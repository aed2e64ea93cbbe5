"""What a server has, matched to the catalog; the agent chooses among that alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from image_servers import HTML, FakeA1111, FakeComfyUI, FakeHorde, ImageServer, closed_port, serving
from stand_ins import RuleEngine
from target_calls import AURORA, BASALT, CHALK_OWL, INK_FOX, PICKLED, invented_catalog

from diffagent.agent.agent import Agent
from diffagent.agent.asking.request import Request
from diffagent.agent.targets.emitting import emit
from diffagent.agent.targets.installed import Installed
from diffagent.agent.targets.installed_models import read_installed
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, Unreachable
from diffagent.data.samplers import split


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    opened = invented_catalog(tmp_path_factory.mktemp("installed") / "invented.sqlite")
    yield opened
    opened.close()


def read(target: str, server: ImageServer, catalog: Catalog, cache: Path) -> Installed:
    with serving(server) as url:
        return read_installed(target, url, catalog, cache=cache)


def test_a1111_by_hash_then_by_file(catalog: Catalog, tmp_path: Path) -> None:
    server = FakeA1111()
    server.checkpoints = (
        ("sd15/My Aurora.safetensors", "a1" * 32),  # renamed: found by hash
        ("basalt.safetensors", "99" * 32),  # another file of that name
        ("other.safetensors", "77" * 32),
    )
    stock = read("a1111", server, catalog, tmp_path)
    title = f"sd15/My Aurora.safetensors [{'a1' * 5}]"
    assert stock.names == {AURORA.air: title, INK_FOX.air: "ink-fox"}
    assert stock.unknown == ("basalt.safetensors", "other.safetensors")
    assert stock.samplers is not None
    assert {split("DPM++ 2M"), split("DPM++ 2M Karras"), split("DDIM")} <= set(stock.samplers)
    assert not {split("Heun"), split("DPM2 Karras")} & set(stock.samplers)


def test_a_files_own_hash_goes_before_another_versions_and_before_a_name(tmp_path: Path) -> None:
    card = replace(AURORA, hashes=("a1" * 32, "a1" * 5, "f0" * 32))
    with Catalog.create(tmp_path / "versions.sqlite") as new_catalog:
        new_catalog.add([card])
    server = FakeA1111()
    files = ("a/aurora_v2.safetensors", "b/aurora_v1.safetensors", "c/aurora_v2.safetensors")
    server.checkpoints = tuple(zip(files, ("", "f0" * 32, "a1" * 32), strict=True))
    with Catalog.open(tmp_path / "versions.sqlite") as opened:
        assert read("a1111", server, opened, tmp_path).names == {
            card.air: f"c/aurora_v2.safetensors [{'a1' * 5}]"
        }
        server.checkpoints = server.checkpoints[:2]
        assert read("a1111", server, opened, tmp_path).names == {
            card.air: f"b/aurora_v1.safetensors [{'f0' * 5}]"
        }


def test_files_of_one_name_are_kept_apart(catalog: Catalog, tmp_path: Path) -> None:
    server = FakeComfyUI()
    server.checkpoints = ["a/aurora_v2.safetensors", "b/aurora_v2.safetensors", "basalt.safetensors"]
    server.loras = ["styles/ink-fox.safetensors", "old/ink-fox.safetensors"]
    stock = read("comfyui", server, catalog, tmp_path)
    assert stock.names == {BASALT.air: "basalt.safetensors"}
    assert stock.ambiguous == {
        AURORA.air: ("a/aurora_v2.safetensors", "b/aurora_v2.safetensors"),
        INK_FOX.air: ("styles/ink-fox.safetensors", "old/ink-fox.safetensors"),
    }


def test_a1111_without_schedules_names_them_in_its_samplers(catalog: Catalog, tmp_path: Path) -> None:
    server = FakeA1111()
    server.schedules, server.samplers = None, ("Euler a", "DPM++ 2M Karras")
    assert read("a1111", server, catalog, tmp_path).samplers == (split("Euler a"), split("DPM++ 2M Karras"))


def test_comfyui_by_file_name_in_either_form_of_its_lists(catalog: Catalog, tmp_path: Path) -> None:
    stock = read("comfyui", FakeComfyUI(), catalog, tmp_path)
    assert stock.names == {
        AURORA.air: "sd15/aurora_v2.safetensors",
        BASALT.air: "basalt.safetensors",
        INK_FOX.air: "styles/ink-fox.safetensors",
    }
    samplers = stock.samplers or ()
    assert {str(sampler) for sampler in samplers if sampler.method in ("DPM++ 2M", "DDIM", "Heun")} == {
        "DPM++ 2M", "DPM++ 2M Karras", "DPM++ 2M DDIM Uniform", "DPM++ 2M Normal",
        "DDIM", "DDIM Karras", "DDIM DDIM Uniform", "DDIM Normal",
    }  # fmt: skip


def test_horde_by_display_name_with_all_of_civitais_loras(catalog: Catalog, tmp_path: Path) -> None:
    stock = read("horde", FakeHorde(), catalog, tmp_path)
    assert stock.names == {
        AURORA.air: "Aurora Horde",
        PICKLED.air: "Pickled One",
        INK_FOX.air: "32",
        CHALK_OWL.air: "52",
    }
    assert stock.unknown == ()  # a model that no worker runs is not there


def test_lists_are_kept_for_their_lifetime(catalog: Catalog, tmp_path: Path) -> None:
    server = FakeComfyUI()
    with serving(server) as url:
        first = read_installed("comfyui", url, catalog, cache=tmp_path)
        count = len(server.seen)
        assert read_installed("comfyui", url, catalog, cache=tmp_path) == first
        assert len(server.seen) == count
        read_installed("comfyui", url, catalog, cache=tmp_path, lifetime=0)
        assert len(server.seen) == 2 * count
        next(tmp_path.glob("*.json")).write_text("{damaged", "utf-8")
        assert read_installed("comfyui", url, catalog, cache=tmp_path) == first


def test_what_cannot_be_read_is_an_error(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffagent.agent.targets.installed_models.BACKOFF", 0.01)
    with pytest.raises(BadInput, match="civitai has no list"):
        read_installed("civitai", "http://x", catalog, cache=tmp_path)
    with pytest.raises(Unreachable, match="nothing answers"):
        read_installed("a1111", closed_port(), catalog, cache=tmp_path)
    with pytest.raises(Unreachable, match="text/html"):
        read("comfyui", FakeComfyUI(wrong=lambda number, path: HTML), catalog, tmp_path)
    nothing = FakeComfyUI()
    nothing.checkpoints, nothing.loras = ["x.safetensors"], []
    with pytest.raises(BadInput, match="1 models, none of which is in the catalog"):
        read("comfyui", nothing, catalog, tmp_path)


def test_the_agent_chooses_among_what_is_installed(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent(RuleEngine())
    oil, ink = agent.catalog.find('Oil "Masters" {v2}'), agent.catalog.find("Ink Fox Style")
    there = Installed("comfyui", "u", {oil.air: "oil.safetensors"}, (split("Euler"),))
    call = agent.decide(Request.from_prompt("pixel art of a fox", target="comfyui", installed=there)).call
    assert (call.model, call.sampling_method) == (oil.name, "Euler")  # DPM++ 2M Karras is not there
    with_lora = Installed(
        "comfyui", "u", {oil.air: "oil.safetensors", ink.air: "ink.safetensors"}, (split("Euler"),)
    )
    call = agent.decide(
        Request.from_prompt("ink drawing of a fox", type="LoRA", target="comfyui", installed=with_lora)
    ).call
    assert (call.model, call.base_checkpoint) == (ink.name, oil.air)
    request = emit(call, "comfyui", agent.catalog, names=with_lora.names).request
    assert request["prompt"]["2"]["inputs"]["lora_name"] == "ink.safetensors"
    alone = Installed("comfyui", "u", {ink.air: "ink.safetensors"}, (split("Euler"),))
    with pytest.raises(BadInput, match="no model"):
        agent.decide(
            Request.from_prompt("a fox", target="comfyui", installed=alone)
        )  # a LoRA without a checkpoint
    with pytest.raises(BadInput, match="is not installed there"):
        agent.decide(Request.from_prompt("a fox", model="Tiny Pixels", target="comfyui", installed=there))


def test_the_agent_chooses_what_a_target_can_run(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent(RuleEngine())
    pickle = agent.catalog.find("Old Pickle")
    assert agent.call("pixel art dragon").model == "Tiny Pixels"
    with pytest.raises(BadInput, match="no model"):
        agent.call("pixel art dragon", target="horde")  # none of the invented models is on the Horde
    with pytest.raises(BadInput, match=r"\.ckpt"):
        agent.call("a dragon", model=pickle.air)
    with pytest.raises(BadInput, match="no model"):
        agent.call("an ink drawing", type="LoRA", target="openai")
    assert set(agent.targets) == {"diffagent", "a1111", "comfyui", "horde", "civitai", "openai", "diffusers"}
    call = agent.call("pixel art of a fox")
    assert agent.targets["a1111"](call).request["override_settings"] == {
        "sd_model_checkpoint": "11.safetensors"
    }
