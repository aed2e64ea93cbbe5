"""A call becomes images on each target's server: requests that validate, files that tell what made them."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from families import PAIRS, families_catalog
from families import call_of as family_call
from image_runs import SERVERS, make
from image_servers import Answer, FakeA1111, FakeCivitai, FakeComfyUI, FakeHorde, as_json, picture, serving
from PIL import Image
from target_calls import AURORA, BASALT, GRAND_XL, INK_FOX, call_of

from diffagent.agent.executors import images
from diffagent.agent.targets import generation
from diffagent.agent.targets.a1111 import A1111
from diffagent.agent.targets.civitai import CivitaiWorkflows
from diffagent.agent.targets.installed_models import read_installed
from diffagent.agent.targets.openai import OpenAIImages
from diffagent.agent.targets.seeds import numbered_seeds
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, Refused
from diffagent.data.metadata import infotext
from diffagent.data.metadata.generation import recover
from diffagent.data.records import T2ICall


@pytest.mark.parametrize("target", SERVERS)
def test_an_image_comes_back_with_what_made_it(target: str, catalog: Catalog, tmp_path: Path) -> None:
    call = call_of(INK_FOX)
    (path,) = make(target, SERVERS[target](), tmp_path / "out", catalog, call)
    assert path.name == "ink-fox-7.png"
    with Image.open(path) as image, Image.open(io.BytesIO(picture(7))) as expected:
        assert image.format == "PNG"
        near = zip(image.getpixel((9, 9)), expected.convert("RGB").getpixel((9, 9)), strict=True)  # type: ignore[arg-type]
        assert all(abs(a - b) <= 4 for a, b in near)  # WebP and JPEG are lossy
    texts = images.read_texts(path)
    assert T2ICall.parse(texts["diffagent"]) == call
    row = json.loads((path.parent / "manifest.jsonl").read_text("utf-8"))
    assert (row["file"], row["target"], row["seed"], row["sha256"]) == (
        path.name,
        target,
        7,
        images.sha256(path),
    )
    assert not list(path.parent.glob(".*"))
    if target == "openai":
        assert "<lora:" not in texts["parameters"]
        assert "Sampler" not in texts["parameters"]
        assert list(row["not_carried"]) == ["sampling_method", "scheduler", "clip_skip", "air", "loras"]
    else:
        assert recover(infotext.read(texts["parameters"]), catalog).call == call


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    opened = families_catalog(tmp_path_factory.mktemp("families") / "families.sqlite")
    yield opened
    opened.close()


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize(
    "base_model",
    [
        "Flux.1 D",
        "Qwen",
        "ZImageTurbo",
        "ZImageBase",
        "Flux.2 D",
        "Flux.2 Klein 9B",
        "Anima",
        "Ernie",
        "Pony",
    ],
)
def test_civitai_takes_the_recipe_of_each_base_model(
    base_model: str, lora: bool, families: Catalog, tmp_path: Path
) -> None:
    server = FakeCivitai()
    call = family_call(base_model, lora=lora, clip_skip=None)
    (path,) = make("civitai", server, tmp_path, families, call, nearest=True)
    assert path.is_file()
    assert ("loras" in server.step) is lora


def test_comfyui_runs_a_transformer_with_its_parts(families: Catalog, tmp_path: Path) -> None:
    server = FakeComfyUI()
    server.transformers = ["flux.1-d.safetensors"]
    server.text_encoders = ["clip_l.safetensors", "t5xxl_fp8_e4m3fn_scaled.safetensors"]
    server.vaes, server.loras = ["ae.safetensors"], ["flux.1-d-strokes.safetensors"]
    server.samplers, server.schedules = ["euler"], ["simple"]
    with serving(server) as url:
        there = read_installed("comfyui", url, families, cache=tmp_path / "lists")
    call = family_call("Flux.1 D", lora=True)
    (path,) = make("comfyui", server, tmp_path, families, call, there=there)
    assert T2ICall.parse(images.read_texts(path)["diffagent"]) == call


def test_what_a_comfyui_lacks_is_said_before_a_graph_is_sent(families: Catalog, tmp_path: Path) -> None:
    server = FakeComfyUI()
    server.transformers = ["flux.1-d.safetensors"]
    server.checkpoints = [str(PAIRS["SD 1.5"][0].file_name)]
    server.samplers, server.schedules = ["euler"], ["simple"]
    with serving(server) as url:
        there = read_installed("comfyui", url, families, cache=tmp_path / "lists")
    with pytest.raises(BadInput, match=r"clip_l.safetensors in text_encoders"):
        make("comfyui", server, tmp_path, families, family_call("Flux.1 D"), there=there)
    assert server.count("/prompt") == 0


def test_a1111_is_asked_by_the_title_that_it_knows(catalog: Catalog, tmp_path: Path) -> None:
    server = FakeA1111()
    server.checkpoints = tuple(reversed(server.checkpoints))  # the other one would be taken in silence
    make("a1111", server, tmp_path, catalog)
    assert server.used == "sd15/aurora_v2.safetensors"
    sent = next(body for body in server.bodies if body and "prompt" in body)
    assert sent["override_settings"]["sd_model_checkpoint"] == f"sd15/aurora_v2.safetensors [{'a1' * 5}]"


def test_servers_are_asked_what_they_call_the_models(catalog: Catalog, tmp_path: Path) -> None:
    server = FakeComfyUI()
    with serving(server) as url:
        (path,) = generation.generate(call_of(INK_FOX), tmp_path, "comfyui", catalog, url=url)
    assert path.exists()
    graph = next(body for body in server.bodies if body and "prompt" in body)["prompt"]
    assert graph["1"]["inputs"]["ckpt_name"] == "sd15/aurora_v2.safetensors"
    assert graph["2"]["inputs"]["lora_name"] == "styles/ink-fox.safetensors"


AURORAS = (("a/aurora_v2.safetensors", "99" * 32), ("sd15/aurora_v2.safetensors", "a1" * 32))


@pytest.mark.parametrize("checkpoints", [AURORAS, AURORAS[::-1]])
def test_of_two_files_with_one_name_the_one_with_the_hash_is_used(
    checkpoints: tuple[tuple[str, str], ...], catalog: Catalog, tmp_path: Path
) -> None:
    server = FakeA1111()
    server.checkpoints = (*checkpoints, ("a/sub/aurora_v2.safetensors", ""))
    with serving(server) as url:
        generation.generate(call_of(INK_FOX), tmp_path, "a1111", catalog, url=url)
    assert server.used == "sd15/aurora_v2.safetensors"


@pytest.mark.parametrize(
    ("checkpoints", "call", "says"),
    [
        ((("a/aurora_v2.safetensors", ""), ("aurora_v2.safetensors", "")), call_of(AURORA),
         r"2 files with the name Aurora .*\(a/aurora_v2.safetensors, aurora_v2.safetensors\)"),
        ((("a/aurora_v2.safetensors", ""), ("b/aurora_v2.safetensors", "")), call_of(INK_FOX),
         r"2 files with the name Aurora .*\(a/aurora_v2.safetensors, b/aurora_v2.safetensors\)"),
        ((*AURORAS, ("basalt.safetensors", "77" * 32)), call_of(BASALT),
         r"does not have Basalt \(basalt.safetensors\)"),
    ],
)  # fmt: skip
def test_another_file_of_the_name_is_not_taken_in_silence(
    checkpoints: tuple[tuple[str, str], ...], call: T2ICall, says: str, catalog: Catalog, tmp_path: Path
) -> None:
    server = FakeA1111()
    server.checkpoints = (*checkpoints, ("other.safetensors", "d4" * 32))
    with serving(server) as url, pytest.raises(BadInput, match=says):
        generation.generate(call, tmp_path, "a1111", catalog, url=url)
    assert server.count("/sdapi/v1/txt2img") == 0


def test_comfyui_with_two_files_of_one_name_says_which(catalog: Catalog, tmp_path: Path) -> None:
    server = FakeComfyUI()
    server.checkpoints = ["a/aurora_v2.safetensors", "b/aurora_v2.safetensors", "basalt.safetensors"]
    with serving(server) as url:
        with pytest.raises(BadInput, match=r"\(a/aurora_v2.safetensors, b/aurora_v2.safetensors\)"):
            generation.generate(call_of(AURORA), tmp_path, "comfyui", catalog, url=url)
        assert generation.generate(call_of(BASALT), tmp_path, "comfyui", catalog, url=url)
    assert server.count("/prompt") == 1


def test_a1111_alone_refuses_names_that_several_files_have(catalog: Catalog, tmp_path: Path) -> None:
    server = FakeA1111()
    server.checkpoints = AURORAS
    with pytest.raises(Refused, match=r"2 files that checkpoint 'aurora_v2'.*a/aurora_v2.*sd15/aurora_v2"):
        make("a1111", server, tmp_path, catalog)
    server = FakeA1111()
    server.loras = (("a/one", "ink-fox"), ("b/two", "ink-fox"))
    with pytest.raises(Refused, match=r"2 files that LoRA 'ink-fox'.*/m/Lora/a/one.*/m/Lora/b/two"):
        make("a1111", server, tmp_path, catalog)
    server.loras = (("a/one", "ink-fox"), ("b/ink-fox", "two"))  # a name goes before another's alias
    assert make("a1111", server, tmp_path, catalog)


def test_several_seeds_make_several_images(catalog: Catalog, tmp_path: Path) -> None:
    server = FakeA1111()
    paths = make("a1111", server, tmp_path, catalog, seeds=(1, 2, 3))
    assert [path.name for path in paths] == ["ink-fox-1.png", "ink-fox-2.png", "ink-fox-3.png"]
    assert server.count("/sdapi/v1/txt2img") == 3
    assert server.count("/sdapi/v1/sd-models") == 1  # the lists are asked for once
    make("a1111", FakeA1111(), tmp_path, catalog, seeds=(3, 4))
    rows = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text("utf-8").splitlines()]
    assert [row["seed"] for row in rows] == [1, 2, 3, 4]


def test_comfyui_tells_queue_and_steps(catalog: Catalog, tmp_path: Path) -> None:
    messages: list[str] = []
    server = FakeComfyUI()
    server.polls = 40
    make("comfyui", server, tmp_path, catalog, said=messages)
    assert any("queue position 1" in line for line in messages)
    assert any("sampling" in line for line in messages)


def test_comfyui_works_without_its_websocket(catalog: Catalog, tmp_path: Path) -> None:
    server = FakeComfyUI(wrong=lambda number, path: (404, "text/plain", b"") if path == "/ws" else None)
    assert make("comfyui", server, tmp_path, catalog)


def test_horde_says_its_price_and_the_queue(catalog: Catalog, tmp_path: Path) -> None:
    messages: list[str] = []
    server = FakeHorde()
    make("horde", server, tmp_path, catalog, said=messages)
    assert messages[0] == "9.5 kudos an image, 9.5 for 1"
    assert any("queue position 2, about 7 s" in line for line in messages)
    assert [body["dry_run"] for body in server.bodies if body] == [True, False]
    assert server.headers[0]["apikey"] == "0000000000"
    assert server.headers[0]["client-agent"].startswith("diffagent:")


def test_paid_images_need_a_limit_that_allows_them(catalog: Catalog, tmp_path: Path) -> None:
    server = FakeCivitai()
    with pytest.raises(BadInput, match=r"6 Buzz an image") as unpaid:
        make("civitai", server, tmp_path / "out", catalog, max_price=None)
    assert unpaid.value.hint == "pass --max-price 6 to pay it"
    with pytest.raises(BadInput, match="more than the 5 that an image may cost"):
        make("civitai", server, tmp_path / "out", catalog, max_price=5.0)
    assert all("whatif=true" in line for line in server.seen)
    assert not (tmp_path / "out").exists()


def test_civitai_gets_clip_skip_with_sd1_alone(catalog: Catalog, tmp_path: Path) -> None:
    sd1, sdxl = FakeCivitai(), FakeCivitai()
    make("civitai", sd1, tmp_path / "sd1", catalog, call_of(AURORA, clip_skip=2))
    assert sd1.step["clipSkip"] == 2
    (path,) = make("civitai", sdxl, tmp_path / "sdxl", catalog, call_of(GRAND_XL, clip_skip=2))
    assert "clipSkip" not in sdxl.step
    (row,) = [json.loads(line) for line in (tmp_path / "sdxl" / "manifest.jsonl").read_text().splitlines()]
    assert list(row["not_carried"]) == ["clip_skip"]
    assert "refuses clipSkip" in row["not_carried"]["clip_skip"]
    assert "Clip skip" not in images.read_texts(path)["parameters"]


def test_keys_travel_in_headers_and_nowhere_else(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AI_HORDE_API_KEY", "a-key")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    monkeypatch.setenv("A1111_AUTH", "user:a-key")
    for target, kind in SERVERS.items():
        messages: list[str] = []
        server = kind()
        (path,) = make(target, server, tmp_path / target, catalog, said=messages)
        assert "a-key" not in "".join(server.seen) + "".join(messages) + json.dumps(server.bodies)
        for file in path.parent.iterdir():
            assert b"a-key" not in file.read_bytes()
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    with pytest.raises(BadInput, match="not encrypted"):
        OpenAIImages("http://example.com/v1")
    monkeypatch.delenv("CIVITAI_API_KEY")
    with pytest.raises(Refused, match="set CIVITAI_API_KEY"):
        CivitaiWorkflows()


def test_old_a1111_has_the_schedule_in_the_samplers_name(catalog: Catalog, tmp_path: Path) -> None:
    server = FakeA1111()
    server.schedules, server.samplers = None, ("Euler a", "DPM++ 2M Karras")
    make("a1111", server, tmp_path, catalog)
    sent = next(body for body in server.bodies if body and "prompt" in body)
    assert sent["sampler_name"] == "DPM++ 2M Karras"
    assert "scheduler" not in sent
    server = FakeA1111()
    server.schedules, server.samplers = None, ("DPM++ 2M SDE", "DPM++ 2M SDE Exponential")
    make("a1111", server, tmp_path, catalog, call=call_of(AURORA, sampler="DPM++ 2M SDE Exponential"))
    assert (
        next(body for body in server.bodies if body and "prompt" in body)["sampler_name"]
        == "DPM++ 2M SDE Exponential"
    )
    with pytest.raises(Refused, match=r"no sampler 'DPM.. 2M SDE Beta'"):
        make("a1111", server, tmp_path, catalog, call=call_of(AURORA, sampler="DPM++ 2M SDE Beta"))


@pytest.mark.parametrize(
    ("target", "call", "says"),
    [
        ("a1111", call_of(GRAND_XL), "no checkpoint 'grandXL'"),
        ("a1111", call_of(AURORA, sampler="Heun"), "no sampler 'Heun'"),
        (
            "comfyui",
            call_of(GRAND_XL),
            "ckpt_name: 'sub/grandXL.safetensors' not in.*choose among the installed models",
        ),
        ("comfyui", call_of(AURORA, sampler="Heun"), "sampler_name: 'heun' not in"),
        ("openai", call_of(GRAND_XL), "The model `Grand XL` does not exist"),
    ],
)
def test_what_a_server_lacks_is_refused_before_it_is_replaced(
    catalog: Catalog, tmp_path: Path, target: str, call: T2ICall, says: str
) -> None:
    server = SERVERS[target]()
    with pytest.raises(Refused, match=says):
        make(target, server, tmp_path, catalog, call, there=None)
    assert server.count("/sdapi/v1/txt2img") == 0


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"target": "diffagent"}, "makes no image: give one of a1111"),
        ({"seeds": ()}, "0 images"),
        ({"seeds": tuple(range(65))}, "65 images"),
        ({"seeds": (-1,)}, "seed -1"),
    ],
)
def test_orders_are_checked(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        generation.Order(**{"call": call_of(AURORA), "target": "a1111", "seeds": (1,), **fields})


def test_seeds_follow_one_another() -> None:
    assert numbered_seeds(2**64 - 1, 2) == (2**64 - 1, 0)
    drawn = numbered_seeds(None, 3)
    assert drawn[1:] == tuple((drawn[0] + i) % 2**32 for i in (1, 2))


def test_an_executor_serves_one_loop_after_another(catalog: Catalog, tmp_path: Path) -> None:
    """As a reward's images and an evaluation's do, each call in a loop of its own."""
    call = call_of(INK_FOX)
    with serving(FakeA1111()) as url:
        executor = A1111(url, backoff=0.01)
        for seed in (1, 2):
            order = generation.Order(call, "a1111", (seed,))
            assert asyncio.run(generation.make(order, tmp_path, catalog, executor))


def test_schedules_without_a_label_go_by_their_name(catalog: Catalog, tmp_path: Path) -> None:
    """As SD.Next lists them."""

    class Unlabelled(FakeA1111):
        def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
            if path == "/sdapi/v1/schedulers":
                return as_json([{"name": name} for name in self.schedules or ()])
            return super().answer(method, path, query, body)

    server = Unlabelled()
    assert make("a1111", server, tmp_path, catalog, call_of(INK_FOX, sampler="DPM++ 2M Karras"))
    with serving(server) as url:
        there = read_installed("a1111", url, catalog, cache=tmp_path / "lists")
    assert {str(sampler) for sampler in there.samplers or ()} >= {"DPM++ 2M Karras"}
