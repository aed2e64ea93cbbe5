"""The quickstart's commands as they stand there, from a folder of models to a stand-in server's picture."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from image_servers import FakeComfyUI, serving
from library_files import checkpoint, kohya, trained, write
from PIL import Image

from diffagent.agent.executors import images
from diffagent.data.records import T2ICall
from diffagent.data.weights.weights import home

DOC = Path(__file__).resolve().parents[2] / "docs" / "quickstart.md"
MOST = 5
LAYERS = r"attn[12]\.to_[qkv]"


def commands() -> list[str]:
    """The lines of the page's first block."""
    block = DOC.read_text("utf-8").split("```sh\n")[1].split("```")[0]
    return block.splitlines()


class Studio(FakeComfyUI):
    """A server on this machine with two checkpoints and three LoRAs."""

    checkpoints = ["harbour.safetensors", "inkwell.safetensors"]  # noqa: RUF012
    loras = ["pixel_sprites.safetensors", "snow_fox.safetensors", "sub/watercolour.safetensors"]  # noqa: RUF012
    samplers = ["euler", "euler_ancestral", "dpmpp_2m", "dpmpp_sde", "ddim"]  # noqa: RUF012


def write_models(folder: Path) -> None:
    for name in Studio.checkpoints:
        write(folder / "checkpoints" / name, checkpoint("sd15"))
    tags = {"pixel_sprites": "pixel art", "snow_fox": "fox", "sub/watercolour": "watercolor"}
    for name, tag in tags.items():
        header = trained("sd_v1", ss_tag_frequency=json.dumps({"10_x": {tag: 40, "simple background": 9}}))
        write(
            folder / "loras" / f"{name}.safetensors",
            kohya("sd15_diffusers", "lora_unet_", LAYERS, 4),
            metadata=header,
        )


@pytest.mark.wide
def test_the_quickstarts_commands_make_a_picture(tmp_path: Path) -> None:
    first, *others = commands()
    assert first == "pip install ."
    assert len(others) < MOST
    write_models(tmp_path / "ComfyUI" / "models")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "diffagent"  # what pip makes of the package's script
    program.write_text(
        f"#!{sys.executable}\nfrom diffagent.serving.cli import main\nmain()\n", encoding="utf-8"
    )
    program.chmod(0o755)
    (tmp_path / "cache").mkdir()
    (home() / "weights").mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache" / "weights").symlink_to(home() / "weights")
    server = Studio()
    with serving(server) as url:
        environment = os.environ | {
            "HOME": str(tmp_path), "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "DIFFAGENT_HOME": str(tmp_path / "cache"), "DIFFAGENT_CONFIG": str(tmp_path / "config.toml"),
            "DIFFAGENT_LIBRARY": str(tmp_path / "library"), "DIFFAGENT_TARGET_URL": url,
            "DIFFAGENT_LIBRARY_SCAN_OFFLINE": "true", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        outputs = []
        for command in others:
            assert shlex.split(command)[0] == "diffagent"
            done = subprocess.run(
                command,
                shell=True,
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == 0, f"{command}: {done.stderr}"
            outputs.append(done.stdout)
    assert "5 files: 5 usable" in outputs[0]
    path = tmp_path / outputs[-1].strip()
    call = T2ICall.parse(images.read_texts(path)["diffagent"])
    assert call.model == "pixel_sprites"
    assert call.prompt.startswith("a fox in the snow, pixel art")
    sent = next(body for body in server.bodies if body and "prompt" in body)["prompt"]
    assert any(node["inputs"].get("lora_name") == "pixel_sprites.safetensors" for node in sent.values())
    assert sorted(file.name for file in path.parent.iterdir()) == sorted(
        (path.name, images.MANIFEST, images.SHEET)
    )
    with Image.open(path.parent / images.SHEET) as sheet:
        assert sheet.width == 256 + 2 * 8
