"""``diffagent library``: folders become the default catalog, a hub is asked, models are fetched."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.numpy import save, save_file

from diffagent.data.catalog.callability import flaw
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.descriptions.describe import DescribeJob as Describing
from diffagent.data.descriptions.questions import question
from diffagent.data.encoders.text_encoder import TextEncoder
from diffagent.data.hubs.civitai import CivitaiClient
from diffagent.data.library.catalog import build, generation_data
from diffagent.data.library.fetching import destination, file_name
from diffagent.data.library.hashing import Hashing, HashJob, hash_jobs
from diffagent.data.library.hub import look_up
from diffagent.data.library.scan import Problems, scan
from diffagent.data.library.state import CATALOG, State, library_file
from diffagent.data.records import Card, ModelType
from diffagent.serving.cli import root

UNET = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k"
LAYER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


def checkpoint(value: float = 0, width: int = 768) -> dict[str, np.ndarray]:
    return {
        f"{UNET}.weight": np.full((320, width), value, np.float16),
        "first_stage_model.decoder.conv_in.weight": np.zeros((2, 4, 3, 3), np.float16),
    }


def lora(value: float = 0, width: int = 768) -> dict[str, np.ndarray]:
    return {
        f"{LAYER}.lora_down.weight": np.full((4, width), value, np.float16),
        f"{LAYER}.lora_up.weight": np.zeros((320, 4), np.float16),
        f"{LAYER}.alpha": np.full((), 4, np.float16),
    }


@dataclass
class Hub:
    """A hub with one LoRA, whose file it hands out in pieces; ``requests`` are what it was sent."""

    file: bytes = b""
    breaks: int = 0
    requests: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.file).hexdigest().upper()

    @property
    def version(self) -> dict[str, Any]:
        return {
            "id": 71, "modelId": 7, "name": "v3", "baseModel": "SD 1.5", "trainedWords": ["hubfox"],
            "publishedAt": "2026-01-02T00:00:00Z", "model": {"name": "Hub Ink", "type": "LORA"},
            "files": [{"name": "hub-ink.safetensors", "type": "Model", "primary": True, "sizeKB": 9,
                       "hashes": {"SHA256": self.digest}}],
        }  # fmt: skip

    def answer(self, path: str, body: bytes) -> Any:
        if path.endswith("/by-hash/ids"):
            version = {"modelVersionId": 71, "modelId": 7, "hash": self.digest}
            return [version] if self.digest in json.loads(body) else []
        if path.endswith("/by-hash"):
            return [self.version] if self.digest in json.loads(body) else []
        item = {"id": 7, "name": "Hub Ink", "type": "LORA", "nsfw": False, "tags": ["ink", "fox"],
                "allowCommercialUse": ["Image"], "allowNoCredit": False, "stats": {"downloadCount": 5},
                "modelVersions": [self.version]}  # fmt: skip
        return {"items": [item], "metadata": {}}


@pytest.fixture
def hub() -> Iterator[tuple[Hub, str]]:
    fake = Hub(save(lora(7)))

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            self._json(self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self) -> None:
            if "/api/download/models/71" in self.path:
                return self._file()
            self._json(b"")

        def _json(self, body: bytes) -> None:
            fake.requests.append(self.path)
            data = json.dumps(fake.answer(self.path.partition("?")[0], body)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _file(self) -> None:
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "bytes=0-"))
            assert match is not None
            start, stop = int(match[1]), int(match[2] or len(fake.file) - 1) + 1
            fake.requests.append(f"{start}-{match[2]}")
            part = fake.file[start:stop]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(fake.file)}")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            if fake.breaks and not match[2]:
                fake.breaks -= 1
                self.wfile.write(part[: len(part) // 2])
                self.connection.close()
            else:
                self.wfile.write(part)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield fake, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIFFAGENT_LIBRARY", str(tmp_path / "library"))
    monkeypatch.delenv("CIVITAI_API_KEY", raising=False)
    monkeypatch.setattr("diffagent.agent.executors.downloads.home", lambda: tmp_path / "cache")
    return tmp_path / "library"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A1111's folders: a checkpoint, a LoRA with caption counts and a preview, a second one of its name."""
    folder = tmp_path / "models"
    for name in ("Stable-diffusion", "Lora/anime", "VAE"):
        (folder / name).mkdir(parents=True)
    save_file(checkpoint(), folder / "Stable-diffusion" / "base.safetensors")
    captions = {"ss_tag_frequency": json.dumps({"9_inkfox": {"inkfox": 12, "snow": 5}}),
                "ss_dataset_dirs": json.dumps({"9_inkfox": {"n_repeats": 9, "img_count": 12}})}  # fmt: skip
    save_file(lora(1), folder / "Lora" / "ink.safetensors", captions)
    save_file(lora(2), folder / "Lora" / "anime" / "ink.safetensors")
    text = ("inkfox in snow <lora:ink:0.6>\nNegative prompt: blurry\nSteps: 22, Sampler: Euler a, "
            "CFG scale: 6, Seed: 1, Size: 512x768, Model: base")  # fmt: skip
    info = PngInfo()
    info.add_text("parameters", text)
    Image.new("RGB", (8, 8)).save(folder / "Lora" / "ink.preview.png", pnginfo=info)
    return folder


def run(*words: object) -> Result:
    return CliRunner().invoke(root, ["library", *map(str, words)], catch_exceptions=False)


def failed(*words: object) -> str:
    """The message of a command that fails."""
    result = CliRunner().invoke(root, ["library", *map(str, words)])
    assert result.exception is not None
    assert result.exit_code != 0
    return str(result.exception) + result.stderr


def test_a_folder_becomes_the_catalog_offline(home: Path, models: Path) -> None:
    result = run(models, "--offline", "--json")
    assert result.exit_code == 0
    lines = {line["file"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert {name: (line["kind"], line["base_model"], line["usable"]) for name, line in lines.items()} == {
        "Lora/anime/ink.safetensors": ("LoRA", "SD 1.5", True),
        "Lora/ink.safetensors": ("LoRA", "SD 1.5", True),
        "Stable-diffusion/base.safetensors": ("checkpoint", "SD 1.5", True),
    }
    assert "3 files: 3 usable" in result.stderr
    with Catalog.open(home / CATALOG) as catalog:
        cards = {card.name: card for card in catalog.cards()}
        assert sorted(cards) == ["base", "ink", "ink (Lora)"]
        inked = next(card for card in cards.values() if card.trigger_words)
        assert inked.trigger_words == ("inkfox",)
        assert inked.tags == ("inkfox", "snow")
        assert inked.usage.steps == {22: 1}
        assert inked.usage.checkpoints == {cards["base"].air: 1}
        assert inked.attributes is not None
        assert inked.attributes.is_estimated
        assert (
            catalog.find("urn:air:sd1:checkpoint:local:" + cards["base"].air.rpartition(":")[2]).name
            == "base"
        )


def test_full_hashes_are_those_of_sha256sum_and_files_are_found_by_them(home: Path, models: Path) -> None:
    run(models, "--offline")
    digest = hashlib.sha256((models / "Lora" / "ink.safetensors").read_bytes()).hexdigest()
    assert digest in run("show", "Lora/ink.safetensors").stdout
    run(models, "--offline")
    with Catalog.open(home / CATALOG) as catalog:
        assert catalog.find(digest[:10]).file_name == "ink.safetensors"


def test_other_commands_choose_among_it_until_it_is_forgotten(home: Path, models: Path) -> None:
    run(models, "--offline")
    listed = CliRunner().invoke(root, ["catalog", "list", "--json"])
    assert {json.loads(line)["name"] for line in listed.stdout.splitlines()} == {"base", "ink", "ink (Lora)"}
    assert "choosing among your library" in listed.stderr
    shipped = CliRunner().invoke(root, ["catalog", "list", "--json", "--limit", "3", "--catalog", "shipped"])
    assert "base" not in {json.loads(line)["name"] for line in shipped.stdout.splitlines()}
    assert "your library" not in shipped.stderr
    assert run("forget").exit_code == 0
    assert not (home / CATALOG).exists()
    assert "your library" not in CliRunner().invoke(root, ["catalog", "list", "--limit", "1"]).stderr
    assert "there is no library yet" in failed("list")


def test_a_call_names_models_of_the_library(home: Path, models: Path) -> None:
    from stand_ins import RuleEngine

    from diffagent.agent.agent import Agent

    run(models, "--offline")
    agent = Agent.of(home / CATALOG, RuleEngine())
    call = agent.call("inkfox in snow", type="LoRA")
    assert (call.type, call.base_model) == ("LoRA", "SD 1.5")
    assert call.air.startswith("urn:air:sd1:lora:local:")
    assert call.base_checkpoint is not None
    assert flaw(call.model_dump(), agent.catalog) is None


def test_nothing_usable_is_an_error_and_leaves_no_catalog(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    save_file(lora(), folder / "alone.safetensors")
    (folder / "old.ckpt").write_bytes(b"x")
    result = CliRunner().invoke(root, ["library", str(folder), "--offline"])
    assert "no file of" in str(result.exception)
    assert "no checkpoint of the library runs LoRAs of SD 1.5: add one" in result.stdout
    assert "2 files: 0 usable, 1 not usable LoRA, 1 pickle" in result.stdout
    assert not (home / CATALOG).exists()


def test_the_users_word_wins_over_files_and_stays(home: Path, models: Path) -> None:
    run(models, "--offline")
    result = run("set", "Lora/anime/ink.safetensors", "--trigger", "night ink", "--name", "Night")
    assert result.exit_code == 0
    run(models, "--offline")
    with Catalog.open(home / CATALOG) as catalog:
        card = catalog.find("Night")
        assert card.trigger_words == ("night ink",)
        assert card.needed_words in ((), ("night ink",))
    run("set", "Lora/anime/ink.safetensors", "--reset")
    with Catalog.open(home / CATALOG) as catalog:
        assert catalog.by_name("Night") is None


def test_wrong_words_of_the_user_are_named(home: Path, models: Path) -> None:
    run(models, "--offline")
    assert "no base model 'SD 99' is supported" in failed("set", "base", "--base-model", "SD 99")
    assert "2 files are named 'ink'" in failed("set", "ink", "--name", "x")
    assert "did you mean" in failed("show", "Lora/inc.safetensors")
    assert "is not a folder" in failed(models / "missing", "--offline")
    assert "nothing to set" in failed("set", "base")
    assert "is not a folder of the library" in failed("forget", models / "Lora")


def test_a_second_run_reads_and_builds_nothing(home: Path, models: Path) -> None:
    run(models, "--offline")
    run("--offline")
    before = (home / CATALOG).stat().st_mtime_ns
    again = run("--offline")
    assert "0 files read, 3 as before" in again.stderr
    assert (home / CATALOG).stat().st_mtime_ns == before


def test_the_old_catalog_stands_where_a_build_fails(home: Path, models: Path, monkeypatch: Any) -> None:
    run(models, "--offline")
    before = (home / CATALOG).read_bytes()
    save_file(checkpoint(3), models / "Stable-diffusion" / "more.safetensors")

    def broken() -> Any:
        raise OSError("the disk is full")

    monkeypatch.setattr("diffagent.serving.commands.library._encoder", broken)
    CliRunner().invoke(root, ["library", str(models), "--offline"])
    assert (home / CATALOG).read_bytes() == before


def test_the_hub_tells_what_a_file_is(home: Path, models: Path, hub: tuple[Hub, str]) -> None:
    fake, url = hub
    (models / "Lora" / "renamed.safetensors").write_bytes(fake.file)
    result = run(models, "--url", url)
    assert "the hub knows 1 of 4 files" in result.stderr
    with Catalog.open(home / CATALOG) as catalog:
        card = catalog.find("Hub Ink")
        assert card.air == "urn:air:sd1:lora:civitai:7@71"
        assert (card.trigger_words, card.tags) == (("hubfox",), ("ink", "fox"))
        assert (card.file_name, card.licence.no_credit) == ("renamed.safetensors", False)
        assert catalog.find("renamed").name == "Hub Ink"
    fake.requests.clear()
    run(models, "--url", url)
    assert fake.requests == []


def test_many_hashes_are_asked_for_at_once(hub: tuple[Hub, str]) -> None:
    fake, url = hub

    async def ask() -> Any:
        async with CivitaiClient(url) as client:
            return await look_up(client, [*(f"{n:064x}" for n in range(3000)), fake.digest.lower()])

    answers = asyncio.run(ask())
    assert [digest for digest, answer in answers.items() if answer] == [fake.digest.lower()]
    assert answers[fake.digest.lower()]["version"]["id"] == 71
    assert len(answers) == 3001
    assert len(fake.requests) == 3


def test_without_a_hub_what_the_files_say_stands(home: Path, models: Path) -> None:
    result = run(models, "--url", "http://127.0.0.1:9")
    assert result.exit_code == 0
    assert "the hub was not asked" in result.stderr


def test_get_fetches_into_the_right_folder_and_resumes(
    home: Path, models: Path, hub: tuple[Hub, str], tmp_path: Path
) -> None:
    fake, url = hub
    run(models, "--offline")
    path = tmp_path / "hub.sqlite"
    digest = fake.digest.lower()
    card = Card(
        "Hub Ink", "LoRA", "SD 1.5", "urn:air:sd1:lora:civitai:7@71", 7, 71, "v3", digest, digest[:10],
        "../../hub-ink.safetensors", hashes=(digest,),
    )  # fmt: skip
    with Catalog.create(path) as catalog:
        catalog.add([card])
    assert "stdin is not a terminal" in failed("get", "Hub Ink", "--catalog", path, "--url", url)
    fake.breaks = 2
    result = run("get", "Hub Ink", "--catalog", path, "--url", url, "--yes")
    target = models / "Lora" / "hub-ink.safetensors"
    assert result.stdout.strip() == str(target)
    assert target.read_bytes() == fake.file
    assert digest in result.stderr
    assert "images may not be sold" in result.stderr
    starts = [int(line.partition("-")[0]) for line in fake.requests if line.endswith("-")]
    assert len(starts) == 3
    assert 0 == starts[0] < starts[1] < starts[2]
    assert "hub-ink.safetensors" in run("list").stdout
    run(models, "--offline")
    assert (
        "the file is there already" in run("get", "Hub Ink", "--catalog", path, "--url", url, "--yes").stderr
    )


def test_get_throws_away_what_is_another_file(home: Path, models: Path, hub: tuple[Hub, str]) -> None:
    _, url = hub
    run(models, "--offline")
    path = models.parent / "hub.sqlite"
    with Catalog.create(path) as catalog:
        catalog.add([Card("X", "LoRA", "SD 1.5", "urn:air:sd1:lora:civitai:7@71", 7, 71, sha256="0" * 64)])
    assert "it was thrown away" in failed("get", "X", "--catalog", path, "--url", url, "--yes")
    assert sorted(file.name for file in (models / "Lora").iterdir() if file.is_file()) == [
        "ink.preview.png", "ink.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("folders", "kind", "air", "shown"),
    [
        (("Stable-diffusion", "Lora", "VAE"), "LoRA", "lora", "Lora"),
        (("Stable-diffusion", "Lora", "VAE"), "Checkpoint", "checkpoint", "Stable-diffusion"),
        (("checkpoints", "loras", "diffusion_models"), "Checkpoint", "diffusionmodel", "diffusion_models"),
        (("checkpoints", "loras", "unet"), "Checkpoint", "checkpoint", "checkpoints"),
        (("StableDiffusion", "Lora", "DiffusionModels"), "Checkpoint", "checkpoint", "StableDiffusion"),
        (("Stable-Diffusion", "Lora", "diffusion_models"), "Checkpoint", "checkpoint", "Stable-Diffusion"),
        (("mine",), "LoRA", "lora", ""),
    ],
)
def test_programs_folders_are_known(
    tmp_path: Path, folders: tuple[str, ...], kind: ModelType, air: str, shown: str
) -> None:
    for name in folders:
        (tmp_path / name).mkdir()
    card = Card("a", kind, "SD 1.5", f"urn:air:sd1:{air}:civitai:1@2", 1, 2, file_name="a.safetensors")
    assert destination(tmp_path, card) == tmp_path / shown / "a.safetensors"


@pytest.mark.parametrize(
    ("raw_name", "name"),
    [
        ("../../etc/passwd", "passwd.safetensors"), ("a\\b.safetensors", "b.safetensors"),
        (".hidden.safetensors", "hidden.safetensors"), ('a<b>:"|?*\n.safetensors', "a_b_______.safetensors"),
        ("..", "2.safetensors"), ("墨.SAFETENSORS", "墨.safetensors"),
    ],
)  # fmt: skip
def test_names_of_files_are_safe(raw_name: str, name: str) -> None:
    card = Card("a", "LoRA", "SD 1.5", "urn:air:sd1:lora:civitai:1@2", 1, 2, file_name=raw_name)
    assert file_name(card) == name


def test_hashing_stops_at_once_and_goes_on_where_it_was(tmp_path: Path) -> None:
    root = tmp_path / "models"
    root.mkdir()
    for n in range(8):
        save_file(
            {"double_blocks.0.x": np.full(2_000_000 * (n + 1), n, np.float16)}, root / f"{n}.safetensors"
        )
    with State.open(tmp_path / "state") as state:
        list(scan(state, [root], Problems()))
        with Hashing(tmp_path / "state", hash_jobs(state)):
            pass
        jobs = hash_jobs(state)
        with Hashing(tmp_path / "state", jobs) as hashing:
            hashing.wait(lambda *_: None, 0.01)
        assert hashing.hashed == len(jobs)
        assert hash_jobs(state) == []
        hashes = {file.path.name: file.sha256 for file in state.files()}
    for n in range(8):
        name = f"{n}.safetensors"
        assert hashes[name] == hashlib.sha256((root / name).read_bytes()).hexdigest()


def test_a_file_that_changes_while_it_is_hashed_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"double_blocks.0.x": np.zeros(4, np.float16)}, path)
    with Hashing(
        tmp_path / "state", [HashJob(path, path.stat().st_size, 1), HashJob(path / "gone", 1, 1)]
    ) as hashing:
        hashing.wait(lambda *_: None, 0.01)
    assert hashing.hashed == 0


def test_previews_of_a1111_and_swarmui_are_generation_data() -> None:
    text = "a fox\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 3, Size: 512x768"
    assert generation_data(text) == {
        "prompt": "a fox", "negativePrompt": "blurry", "steps": "20", "sampler": "Euler a", "cfgScale": "7",
        "seed": "3", "Size": "512x768",
    }  # fmt: skip
    parameters = {"prompt": "a fox", "model": "base", "steps": 20, "cfgscale": 7, "width": 512, "height": 768}
    assert generation_data(json.dumps({"sui_image_params": parameters})) == {
        "prompt": "a fox", "Model": "base", "steps": 20, "cfgScale": 7, "Size": "512x768",
    }  # fmt: skip
    assert generation_data("a fox") is None
    assert generation_data("{") is None
    assert generation_data('{"sui_image_params": 3}') is None


@pytest.mark.wide
def test_killed_at_any_moment_the_old_catalog_stands(home: Path, models: Path) -> None:
    """Real processes, killed while they read headers, encode, write and hash."""
    run(models, "--offline")
    program = "import sys; from diffagent.serving.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", program, "library", str(models), "--offline"]
    for number, delay in enumerate((0.4, 0.9, 1.6, 2.5)):
        for n in range(40):
            save_file(lora(100 * number + n + 5), models / "Lora" / f"more{number}-{n}.safetensors")
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        running.kill()
        running.wait()
        with Catalog.open(home / CATALOG) as catalog:
            assert len(catalog) in (3, *(3 + 40 * (k + 1) for k in range(number + 1)))
            catalog.check()
    run(models, "--offline")
    with Catalog.open(home / CATALOG) as catalog:
        assert len(catalog) == 3 + 160


def test_a_model_of_the_library_is_found_on_disk_by_its_air(home: Path, models: Path) -> None:
    run(models, "--offline")
    with Catalog.open(home / CATALOG) as catalog:
        card = catalog.find("base")
    path = models / "Stable-diffusion" / "base.safetensors"
    assert library_file(card.air) == path
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert library_file("urn:air:sd1:checkpoint:civitai:1@2", digest) == path
    assert library_file("urn:air:sd1:checkpoint:civitai:1@2", "0" * 64) is None
    save_file(checkpoint(9), path)
    assert library_file(card.air) is None
    run("forget")
    assert library_file(card.air) is None


def test_the_local_pipelines_take_the_librarys_files(home: Path, models: Path) -> None:
    from stand_ins import RuleEngine

    from diffagent.agent.agent import Agent

    run(models, "--offline")
    call = Agent.of(home / CATALOG, RuleEngine()).call("a fox", target="diffusers", type="Checkpoint")
    assert call.model == "base"


def test_a_language_models_word_is_kept_for_later_runs(home: Path, models: Path) -> None:
    answer = {"description": "An SD 1.5 LoRA that draws an ink fox in loose black lines on white paper.",
            "role": "style", "media": ["ink"], "subjects": ["ink foxes"], "breadth": "broad"}  # fmt: skip
    questions: list[str] = []

    def writer(prompts: list[str]) -> list[str]:
        questions.extend(prompts)
        return [json.dumps(answer)] * len(prompts)

    job = Describing(writer, question, "a strong model", "none")
    run(models, "--offline")
    with State.open() as state:
        build(state, TextEncoder.load, job)
        first = len(questions)
        build(state, TextEncoder.load, job)
        assert len(questions) == first > 0
        build(state, TextEncoder.load)
    with Catalog.open(home / CATALOG) as catalog:
        card = catalog.find("ink (Lora)")
        assert card.attributes is not None
        assert (card.attributes.media, card.attributes.is_estimated) == (("ink",), False)


def test_a_sidecar_with_the_files_full_hash_gives_its_air_offline(home: Path, models: Path) -> None:
    path = models / "Lora" / "ink.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest().upper()
    version = {"id": 81, "modelId": 8, "name": "v1", "baseModel": "SD 1.5", "trainedWords": ["side fox"],
               "model": {"name": "Side Ink", "type": "LORA"},
               "files": [{"hashes": {"SHA256": digest}}]}  # fmt: skip
    path.with_suffix(".civitai.info").write_text(json.dumps(version))
    other = {**version, "id": 82, "model": {"name": "Replaced"}, "files": [{"hashes": {"SHA256": "AB" * 32}}]}
    (models / "Lora" / "anime" / "ink.civitai.info").write_text(json.dumps(other))
    run(models, "--offline")
    with Catalog.open(home / CATALOG) as catalog:
        assert catalog.find("Side Ink").air == "urn:air:sd1:lora:civitai:8@81"
        assert catalog.find("Side Ink").trigger_words == ("side fox",)
        assert catalog.by_name("Replaced") is None
        assert {card.name for card in catalog.cards()} == {"base", "Side Ink", "ink"}
