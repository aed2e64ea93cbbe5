"""Local diffusers for real: small SD and SDXL checkpoints and LoRAs, as single files in Civitai's layouts."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from target_calls import call_of

from diffagent.agent.executors import images, silent
from diffagent.agent.targets import generation
from diffagent.agent.targets.emitting import emit, supported
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, JobFailed, MissingWeights, Refused
from diffagent.data.records import Card, T2ICall, Usage

diffusers = pytest.importorskip("diffusers", reason="needs diffusers: pip install 'diffagent[images]'")
pytest.importorskip("peft", reason="needs peft: pip install 'diffagent[images]'")
import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from tiny_pipelines import PARTS, save_lora, save_pipeline, sha256  # noqa: E402

from diffagent.agent.executors.pipelines import device_and_dtype, from_single_file  # noqa: E402
from diffagent.agent.targets.diffusers import LocalDiffusers  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@dataclass
class Tiny:
    """A family's checkpoint and LoRA with a catalog that knows them."""

    checkpoint: Card
    lora: Card
    files: dict[str, Path]
    config: str
    catalog: Catalog

    def call(self, lora: bool = False, **fields: Any) -> T2ICall:
        size = {"width": 64, "height": 96, "sampling_steps": 3, "clip_skip": None}
        return call_of(self.lora if lora else self.checkpoint, base=self.checkpoint, **{**size, **fields})

    def make(self, call: T2ICall, folder: Path, seeds: tuple[int, ...] = (7,)) -> list[Path]:
        order = generation.Order(call, "diffusers", seeds)
        maker = LocalDiffusers(files=self.files, config=self.config)
        return asyncio.run(generation.make(order, folder, self.catalog, maker))

    def pixels(self, call: T2ICall, folder: Path) -> bytes:
        (path,) = self.make(call, folder)
        return images.decode(path.read_bytes()).tobytes()


@pytest.fixture(scope="module", params=["sd", pytest.param("sdxl", marks=pytest.mark.wide)])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return build(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def sd(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return build("sd", tmp_path_factory.mktemp("sd-only"))


@functools.cache
def build(kind: str, folder: Path) -> Tiny:
    xl = kind == "sdxl"
    file, config = save_pipeline(folder, xl)
    lora_file = save_lora(folder, xl)
    base, system = ("SDXL 1.0", "sdxl") if xl else ("SD 1.5", "sd1")
    checkpoint = Card("Tiny", "Checkpoint", base, f"urn:air:{system}:checkpoint:civitai:1@2", 1, 2,
                      sha256=sha256(file), file_name=file.name, hashes=(sha256(file),))  # fmt: skip
    lora = Card("Tiny LoRA", "LoRA", base, f"urn:air:{system}:lora:civitai:3@4", 3, 4,
                sha256=sha256(lora_file), file_name=lora_file.name, hashes=(sha256(lora_file),))  # fmt: skip
    with Catalog.create(folder / "tiny.sqlite") as catalog:
        catalog.add([checkpoint, lora])
    opened = Catalog.open(folder / "tiny.sqlite")
    return Tiny(checkpoint, lora, {checkpoint.air: file, lora.air: lora_file}, str(config), opened)


def distance(first: bytes, second: bytes) -> int:
    """The largest difference of two pictures' values, 0…255."""
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


def test_a_checkpoint_with_seeds(tiny: Tiny, tmp_path: Path) -> None:
    paths = tiny.make(tiny.call(), tmp_path, (7, 8))
    first, second = (images.decode(path.read_bytes()) for path in paths)
    assert first.size == (64, 96)
    assert first.tobytes() != second.tobytes()
    assert tiny.pixels(tiny.call(), tmp_path / "again") == first.tobytes()
    assert images.read_texts(paths[0])["parameters"].startswith("a fox in the snow\nNegative prompt: blurry")


def test_one_pipeline_makes_the_images_of_all_prompts(
    sd: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a checkpoint, and of a LoRA on it."""
    from diffagent.agent.pmi.generating import generate_examples
    from diffagent.agent.targets import diffusers as target

    used = {sd.checkpoint.air: 9}
    small = Usage(size={"64x64": 9}, steps={2: 9}, sampler={"Euler a": 9}, cfg_scale={2.0: 9})
    cards = [
        replace(sd.checkpoint, usage=small),
        replace(sd.lora, usage=Usage(checkpoints=used, size={"64x64": 9})),
    ]
    with Catalog.create(tmp_path / "used.sqlite") as catalog:
        catalog.add(cards)
    opened: list[Path] = []

    def counted(path: Path, *rest: Any) -> Any:
        opened.append(path)
        return from_single_file(path, *rest)

    monkeypatch.setattr(target, "from_single_file", counted)
    (tmp_path / "two.txt").write_text("a boat\na tower\n", "utf-8")
    executor = LocalDiffusers(files=sd.files, config=sd.config)
    examples = generate_examples(
        ["Tiny", "Tiny LoRA"], tmp_path / "used.sqlite", tmp_path / "two.txt", tmp_path / "made",
        executor=executor,
    )  # fmt: skip
    assert [example.file.is_file() for example in examples] == [True] * 4
    assert opened == [sd.files[sd.checkpoint.air]]
    calls = [json.loads(images.read_texts(example.file)["diffagent"]) for example in examples]
    assert [call["seed"] for call in calls] == [0, 1, 0, 1]
    # the LoRA has the sampler, steps and scale of the distilled checkpoint that carries it
    assert {(call["sampling_method"], call["sampling_steps"], call["cfg_scale"]) for call in calls} == {
        ("Euler a", 2, 2.0)
    }


def test_a_lora_with_its_weight(tiny: Tiny, tmp_path: Path) -> None:
    without = tiny.pixels(tiny.call(), tmp_path)
    none, half, full = (
        tiny.pixels(tiny.call(lora=True, weight=weight), tmp_path) for weight in (0.0, 0.5, 1.0)
    )
    assert none == without
    assert len({none, half, full}) == 3


def test_a_lora_is_what_its_file_adds_to_the_checkpoint(tiny: Tiny, tmp_path: Path) -> None:
    xl = tiny.checkpoint.base_model == "SDXL 1.0"
    merged, _ = save_pipeline(tmp_path, xl, merged=0.5)
    plain = replace(tiny, files={tiny.checkpoint.air: merged}).pixels(tiny.call(clip_skip=2), tmp_path)
    with_lora = tiny.pixels(tiny.call(lora=True, weight=0.5, clip_skip=2), tmp_path)
    without = tiny.pixels(tiny.call(clip_skip=2), tmp_path)
    assert distance(plain, with_lora) <= 2
    assert distance(plain, without) > 10


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.wide
def test_every_part_of_a_lora_changes_the_image(part: str, tiny: Tiny, tmp_path: Path) -> None:
    xl = tiny.checkpoint.base_model == "SDXL 1.0"
    if part == "text_encoder_2" and not xl:
        pytest.skip("SD 1.x has one text encoder")
    path = save_lora(tmp_path, xl, (part,))
    alone = replace(tiny, files={**tiny.files, tiny.lora.air: path})
    without, half, full = (
        alone.pixels(alone.call(lora=True, weight=weight), tmp_path) for weight in (0.0, 0.5, 1.0)
    )
    assert without == tiny.pixels(tiny.call(), tmp_path)
    assert len({without, half, full}) == 3


def test_two_loras_add_up(sd: Tiny, tmp_path: Path) -> None:
    """A LoRA of the UNet and one of the text encoder are together the one that has both."""
    parts = {f"part {part}": save_lora(tmp_path, False, (part,), f"{part}.safetensors") for part in PARTS[:2]}

    async def run() -> list[bytes]:
        async with LocalDiffusers(files={**sd.files, **parts}, config=sd.config) as maker:
            request = emit(sd.call(lora=True, weight=0.5), "diffusers", sd.catalog).request
            split = {**request, "loras": [{"air": air, "weight": 0.5} for air in parts]}
            uneven = {**request, "loras": [{"air": air, "weight": n / 2} for n, air in enumerate(parts)]}
            return [(await maker.image(order, silent)).data for order in (request, split, uneven)]

    whole, together, half = (images.decode(data).tobytes() for data in asyncio.run(run()))
    assert distance(whole, together) <= 2
    assert distance(whole, half) > 2


def test_a_schedule_is_of_one_image_alone(sd: Tiny) -> None:
    async def run() -> list[bytes]:
        calls = [sd.call(sampler=name) for name in ("Euler", "Euler SGM Uniform", "Euler")]
        async with LocalDiffusers(files=sd.files, config=sd.config) as maker:
            requests = [emit(call, "diffusers", sd.catalog).request for call in calls]
            return [(await maker.image(request, silent)).data for request in requests]

    plain, trailing, again = asyncio.run(run())
    assert plain == again
    assert plain != trailing


def test_one_executor_makes_images_with_and_without_a_lora(tiny: Tiny) -> None:
    """Clip skip and LoRA touch the same text encoder, which stays loaded between images."""

    async def run() -> list[bytes]:
        calls = [tiny.call(clip_skip=2), tiny.call(lora=True, clip_skip=2)] * 2
        async with LocalDiffusers(files=tiny.files, config=tiny.config) as maker:
            requests = [emit(call, "diffusers", tiny.catalog).request for call in calls]
            return [(await maker.image(request, silent)).data for request in requests]

    plain, adapted, plain_again, adapted_again = asyncio.run(run())
    assert (plain, adapted) == (plain_again, adapted_again)
    assert plain != adapted


def test_clip_skip_is_the_layer_that_a1111_means(tiny: Tiny, tmp_path: Path) -> None:
    usual, first, second, third = (
        tiny.pixels(tiny.call(clip_skip=skip), tmp_path) for skip in (None, 1, 2, 3)
    )
    default = second if tiny.checkpoint.base_model == "SDXL 1.0" else first
    assert usual == default
    assert third not in (first, second)


@pytest.mark.wide
def test_every_sampler_of_the_table_makes_an_image(sd: Tiny) -> None:
    async def run() -> None:
        async with LocalDiffusers(files=sd.files, config=sd.config) as maker:
            for sampler in supported("diffusers", "SD 1.5"):
                call = sd.call(sampler=sampler, sampling_steps=4, width=64, height=64)
                image = await maker.image(emit(call, "diffusers", sd.catalog).request, silent)
                assert images.decode(image.data).size == (64, 64), sampler

    asyncio.run(run())


def test_the_emitted_script_makes_the_same_image(
    sd: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = sd.call(lora=True, seed=7, sampler="DPM++ 2M Karras", clip_skip=2)
    script = emit(call, "diffusers", sd.catalog).request["snippet"]
    kind = diffusers.StableDiffusionPipeline
    monkeypatch.setattr(kind, "from_single_file", functools.partial(kind.from_single_file, config=sd.config))
    monkeypatch.chdir(sd.files[sd.lora.air].parent)
    exec(compile(script, "snippet", "exec"), {})
    image = images.decode((sd.files[sd.lora.air].parent / "image.png").read_bytes())
    assert image.tobytes() == sd.pixels(call, tmp_path)


def test_large_images_decode_in_tiles(sd: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("diffagent.agent.executors.pipelines.TILED_PIXELS", 64 * 64)
    tiled: list[bool] = []
    real = diffusers.AutoencoderKL.enable_tiling

    def enable(self: Any, *args: Any) -> None:
        tiled.append(True)
        real(self, *args)

    monkeypatch.setattr(diffusers.AutoencoderKL, "enable_tiling", enable)
    sd.make(sd.call(), tmp_path)
    assert tiled == [True]


def test_this_machine_runs_in_single_precision_unless_it_has_a_gpu() -> None:
    device, dtype = device_and_dtype()
    assert (device == "cpu") == (str(dtype) == "torch.float32")


def test_files_that_are_no_checkpoints_are_errors(sd: Tiny, tmp_path: Path) -> None:
    swapped = replace(sd, files={sd.checkpoint.air: sd.files[sd.lora.air]})
    with pytest.raises(JobFailed, match="not a checkpoint"):
        swapped.make(sd.call(), tmp_path)
    pickled = tmp_path / "x.ckpt"
    pickled.touch()
    with pytest.raises(BadInput, match="not a safetensors"):
        replace(sd, files={sd.checkpoint.air: pickled}).make(sd.call(), tmp_path)
    wrong = replace(sd, files={**sd.files, sd.lora.air: sd.files[sd.checkpoint.air]})
    with pytest.raises(JobFailed, match="not a LoRA"):
        wrong.make(sd.call(lora=True), tmp_path)


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("hada_w1_a", "a LoHa"),
        ("lokr_w1", "a LoKr"),
        ("oft_blocks", "an OFT"),
        ("on_input", "an IA3"),
        ("dora_scale", "a DoRA"),
        ("lora_mid.weight", "a LoCon with Tucker"),
        ("diff_b", "a file of weights' differences"),
    ],
)
def test_formats_that_diffusers_does_not_read_are_named_with_a_key(
    suffix: str, kind: str, sd: Tiny, tmp_path: Path
) -> None:
    key = f"lora_unet_down_blocks_1_attentions_0_proj_in.{suffix}"
    path = tmp_path / "other.safetensors"
    save_file({**load_file(sd.files[sd.lora.air]), key: torch.ones(2, 2)}, path)
    with pytest.raises(JobFailed, match=rf"other\.safetensors is {kind}.*\(keys such as {re.escape(key)}\)"):
        replace(sd, files={**sd.files, sd.lora.air: path}).make(sd.call(lora=True), tmp_path)


def test_a_lora_that_fits_in_part_only_is_refused(sd: Tiny, tmp_path: Path) -> None:
    """peft puts on what fits and logs the rest."""
    path = tmp_path / "part.safetensors"
    extra = {"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(4, 32),
             "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.ones(37, 4)}  # fmt: skip
    save_file({**load_file(sd.files[sd.lora.air]), **extra}, path)
    layers = sum(key.endswith("lora_down.weight") for key in load_file(path))
    with pytest.raises(JobFailed, match=rf"put {layers - 1} of the {layers} layers of part\.safetensors"):
        replace(sd, files={**sd.files, sd.lora.air: path}).make(sd.call(lora=True), tmp_path)


def test_a_lora_of_another_family_is_refused_with_its_keys(sd: Tiny, tmp_path: Path) -> None:
    path = save_lora(tmp_path, sdxl=True)
    with pytest.raises(JobFailed, match=r"lora_te1_text_model_encoder_layers_0"):
        replace(sd, files={**sd.files, sd.lora.air: path}).make(sd.call(lora=True), tmp_path)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"<html>")
    with pytest.raises(JobFailed, match="not a safetensors file"):
        replace(sd, files={**sd.files, sd.lora.air: damaged}).make(sd.call(lora=True), tmp_path)


def test_a_cancelled_image_ends_after_the_step_under_way(sd: Tiny) -> None:
    steps: list[str] = []

    async def run() -> tuple[bytes, bytes]:
        request = emit(sd.call(sampling_steps=150), "diffusers", sd.catalog).request
        short = emit(sd.call(), "diffusers", sd.catalog).request
        async with LocalDiffusers(files=sd.files, config=sd.config) as maker:
            first = await maker.image(short, silent)
            task = asyncio.create_task(maker.image(request, lambda what, _: steps.append(what)))
            while len(steps) < 2:
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            done = len(steps)
            await asyncio.sleep(0.2)
            assert len(steps) == done
            return first.data, (await maker.image(short, silent)).data

    before, after = asyncio.run(run())
    assert len(steps) < 140
    assert before == after


def test_steps_are_reported(sd: Tiny, tmp_path: Path) -> None:
    reports: list[tuple[str, float | None]] = []
    order = generation.Order(sd.call(), "diffusers", (7,))
    maker = LocalDiffusers(files=sd.files, config=sd.config)
    asyncio.run(
        generation.make(order, tmp_path, sd.catalog, maker, lambda what, done: reports.append((what, done)))
    )
    assert [done for what, done in reports if ": step " in what] == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_a_samplers_limit_is_told_with_a_remedy(sd: Tiny, tmp_path: Path) -> None:
    """LCM has 50 steps at most."""
    with pytest.raises(JobFailed, match=r"with LCMScheduler refuses the call: .*50.*ask for other steps"):
        sd.make(sd.call(sampling_method="LCM", scheduler=None, sampling_steps=60), tmp_path)


def test_a_repository_is_opened_whole(sd: Tiny, tmp_path: Path) -> None:
    """A folder stands for it, as it would lie in the hub's cache."""
    whole = tmp_path / "whole"
    from_single_file(sd.files[sd.checkpoint.air], "StableDiffusionPipeline", torch.float32, sd.config
                     ).save_pretrained(whole)  # fmt: skip
    card = replace(
        sd.checkpoint, air="urn:air:sd1:checkpoint:huggingface:inventor/tiny", sha256=None, hashes=()
    )
    with Catalog.create(tmp_path / "whole.sqlite") as new_catalog:
        new_catalog.add([card])
    catalog = Catalog.open(tmp_path / "whole.sqlite")
    there = replace(sd, checkpoint=card, files={}, config=str(whole), catalog=catalog)
    assert there.pixels(there.call(), tmp_path / "one") == sd.pixels(sd.call(), tmp_path / "other")
    gone = replace(there, config=str(tmp_path / "gone"))
    with pytest.raises(JobFailed, match="gone holds no StableDiffusionPipeline of safetensors"):
        gone.make(gone.call(), tmp_path)
    catalog.close()


STROKES = "inventor/strokes"


def with_a_lora_of_the_hub(tiny: Tiny, folder: Path) -> Tiny:
    card = replace(
        tiny.lora, air=f"urn:air:sd1:lora:huggingface:{STROKES}", model_id=None, version_id=None,
        sha256=None, hashes=(), file_name="strokes.safetensors", source="huggingface",
    )  # fmt: skip
    with Catalog.create(folder / "hub.sqlite") as catalog:
        catalog.add([tiny.checkpoint, card])
    files = {tiny.checkpoint.air: tiny.files[tiny.checkpoint.air]}
    return replace(tiny, lora=card, files=files, catalog=Catalog.open(folder / "hub.sqlite"))


def test_a_loras_file_comes_from_the_hubs_cache(
    sd: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    there = with_a_lora_of_the_hub(sd, tmp_path)
    with pytest.raises(MissingWeights, match=r"strokes.safetensors of inventor/strokes is neither cached"):
        there.make(there.call(lora=True), tmp_path)
    cached = tmp_path / "cache" / "models--inventor--strokes"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("a" * 40)
    snapshot = cached / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "strokes.safetensors").write_bytes(sd.files[sd.lora.air].read_bytes())
    picture = there.pixels(there.call(lora=True), tmp_path / "one")
    assert picture == sd.pixels(sd.call(lora=True), tmp_path / "other")
    assert picture != sd.pixels(sd.call(), tmp_path / "plain")
    there.catalog.close()


class GatedHub(BaseHTTPRequestHandler):
    """Answers as the hub does for a repository whose licence the caller has not accepted."""

    def do_HEAD(self) -> None:
        self.send_response(403)
        self.send_header("X-Error-Code", "GatedRepo")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def gated_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", 0), GatedHub) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def test_a_gated_repository_is_refused_with_what_to_do(sd: Tiny, tmp_path: Path, gated_hub: None) -> None:
    there = with_a_lora_of_the_hub(sd, tmp_path)
    with pytest.raises(Refused, match=r"strokes.safetensors of inventor/strokes is for account .*HF_TOKEN"):
        there.make(there.call(lora=True), tmp_path)
    there.catalog.close()
