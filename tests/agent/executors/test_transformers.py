"""Local diffusers for real: base models whose file is a transformer, as small ones of the same classes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from diffagent.agent.executors import images
from diffagent.agent.targets import generation
from diffagent.agent.targets.emitting import emit
from diffagent.data.base_model_rows import BUILT
from diffagent.data.base_models import TABLE, backend, find
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import JobFailed, MissingWeights
from diffagent.data.records import Card, T2ICall
from diffagent.data.samplers import split

diffusers = pytest.importorskip("diffusers", reason="needs diffusers: pip install 'diffagent[images]'")
pytest.importorskip("peft", reason="needs peft: pip install 'diffagent[images]'")
from tiny_transformers import BUILDERS, save, save_lora  # noqa: E402

from diffagent.agent.targets.diffusers import LocalDiffusers  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore:Mismatch dtype",
    "ignore:The `local_dir_use_symlinks`",
)


class Tiny:
    """A base model's small transformer and a LoRA on it, with a catalog that knows them."""

    def __init__(self, base_model: str, folder: Path) -> None:
        row = find(base_model)
        assert row is not None
        pipeline = backend(base_model, "diffusers")
        if not hasattr(diffusers, str(pipeline)):
            pytest.skip(f"diffusers {diffusers.__version__} has no {pipeline}")
        self.row = row
        file, self.config = save(base_model, folder)
        air = f"urn:air:{row.ecosystem}:%s:civitai:%d@%d"
        self.card = Card("Tiny", "Checkpoint", base_model, air % ("checkpoint", 1, 2), 1, 2,
                         sha256="0a" * 32, file_name=file.name)  # fmt: skip
        self.lora = Card("Tiny LoRA", "LoRA", base_model, air % ("lora", 3, 4), 3, 4,
                         sha256="0b" * 32, file_name="lora.safetensors")  # fmt: skip
        with Catalog.create(folder / "tiny.sqlite") as catalog:
            catalog.add([self.card, self.lora])
        self.catalog = Catalog.open(folder / "tiny.sqlite")
        self.files = {self.card.air: file}

    def call(self, weight: float | None = None) -> T2ICall:
        row, guided = self.row, self.row.guidance
        method, schedule = split((row.samplers or ("Euler",))[0])
        card = self.card if weight is None else self.lora
        return T2ICall.parse({
            "model": card.name, "type": card.type, "base_model": row.name, "width": 64, "height": 96,
            "sampling_method": method, "scheduler": schedule or (row.schedules or (None,))[0],
            "sampling_steps": 2,
            "cfg_scale": guided.usual if guided is not None and guided.kind == "cfg" else 1.0,
            "guidance": guided.usual if guided is not None and guided.kind == "distilled" else None,
            "model_description": "", "prompt": "a fox", "seed": 7, "air": card.air,
            "negative_prompt": "blurry" if row.dialect.negative else "",
            "base_checkpoint": None if weight is None else self.card.air,
            "loras": [] if weight is None else [{"model": card.name, "air": card.air, "weight": weight}],
        })  # fmt: skip

    def pixels(self, call: T2ICall, folder: Path) -> bytes:
        order = generation.Order(call, "diffusers", (7,))
        maker = LocalDiffusers(files=self.files, config=str(self.config))
        (path,) = asyncio.run(generation.make(order, folder, self.catalog, maker))
        picture = images.decode(path.read_bytes())
        assert picture.size == (64, 96)
        return picture.tobytes()


@pytest.fixture(scope="module", params=BUILDERS)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(request.param, tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def z_image(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny("ZImageTurbo", tmp_path_factory.mktemp("z-image"))


@pytest.mark.wide
def test_each_base_model_makes_a_picture_with_and_without_a_lora(tiny: Tiny, tmp_path: Path) -> None:
    tiny.files[tiny.lora.air] = save_lora(tiny.row.name, tmp_path)
    plain = tiny.pixels(tiny.call(), tmp_path / "plain")
    assert len(set(plain)) > 1  # no black one
    assert tiny.pixels(tiny.call(), tmp_path / "again") == plain
    assert tiny.pixels(tiny.call(weight=1.0), tmp_path / "lora") != plain


def test_a_transformers_file_runs_with_its_repositorys_other_parts(z_image: Tiny, tmp_path: Path) -> None:
    plain = z_image.pixels(z_image.call(), tmp_path / "plain")
    assert len(set(plain)) > 1
    assert z_image.pixels(z_image.call(), tmp_path / "again") == plain


def test_words_that_a_pipeline_does_not_read_are_told(z_image: Tiny, tmp_path: Path) -> None:
    long = z_image.call().model_copy(update={"prompt": "a fox " * 300})
    order = generation.Order(long, "diffusers", (7,))
    maker = LocalDiffusers(files=z_image.files, config=str(z_image.config))
    (path,) = asyncio.run(generation.make(order, tmp_path, z_image.catalog, maker))
    reason = json.loads(images.read_texts(path)[images.NOT_CARRIED])["prompt"]
    assert reason.startswith("ZImagePipeline reads the first 512 of ")
    assert reason.endswith(" tokens of the prompt")
    z_image.pixels(z_image.call(), tmp_path / "short")
    (short,) = (tmp_path / "short").glob("*.png")
    assert "prompt" not in json.loads(images.read_texts(short).get(images.NOT_CARRIED, "{}"))


def test_every_pipeline_that_is_built_is_run_here() -> None:
    run = {backend(name, "diffusers") for name in BUILDERS}
    of_parts = {row.backends.diffusers for row in TABLE if row.pipeline is not None}
    assert of_parts & BUILT["diffusers"] == run


def test_a_file_of_another_model_is_refused(z_image: Tiny, tmp_path: Path) -> None:
    other, _ = save("SD 3.5 Large", tmp_path)
    maker = LocalDiffusers(files={z_image.card.air: other}, config=str(z_image.config))
    order = generation.Order(z_image.call(), "diffusers", (7,))
    with pytest.raises(
        JobFailed, match=r"transformer.safetensors is not a transformer that ZImagePipeline reads"
    ):
        asyncio.run(generation.make(order, tmp_path / "out", z_image.catalog, maker))


def test_a_hub_that_does_not_answer_is_an_error(
    z_image: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    maker = LocalDiffusers(files=z_image.files)
    order = generation.Order(z_image.call(), "diffusers", (7,))
    with pytest.raises(MissingWeights, match=r"the text encoders and the VAE of Tongyi-MAI/Z-Image-Turbo"):
        asyncio.run(generation.make(order, tmp_path / "out", z_image.catalog, maker))


def test_the_script_opens_the_same_parts(z_image: Tiny) -> None:
    script = emit(z_image.call(), "diffusers", z_image.catalog).request["snippet"]
    assert "transformer = ZImageTransformer2DModel.from_single_file(" in script
    assert "ZImagePipeline.from_pretrained('Tongyi-MAI/Z-Image-Turbo', transformer=transformer" in script
    compile(script, "script", "exec")
