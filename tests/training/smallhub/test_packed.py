"""The packed hub: what goes in comes out, and the weights that ship make better and worse images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="needs pip install 'diffagent[images]'")
import torch
from diffusers import EulerAncestralDiscreteScheduler
from safetensors.torch import save_file

from diffagent.data.encoders.text_encoder import TextEncoder
from diffagent.data.errors import BadInput
from diffagent.training.rewards.unified import unified
from diffagent.training.smallhub.models import BASE, caption, load_unet, model_folders, models, save_model
from diffagent.training.smallhub.packed import SIDES, pack, unpack
from diffagent.training.smallhub.pictures import STYLES
from diffagent.training.smallhub.pipeline import new_unet, reader
from diffagent.training.smallhub.scorers import KINDS, SmallScorer, backbone, build

ASSET = Path(__file__).parents[2] / "assets" / "smallhub.safetensors"
MOST_BYTES = 12 * 10**6
SUBJECTS = ("airplane", "spider", "briefcase", "microscope", "trolleybus", "pushpin", "handbag", "dango")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine tiny models, each but the base a rank-two change of it, and six scorers."""
    out = tmp_path_factory.mktemp("hub")
    torch.manual_seed(0)
    base = new_unet((8, 16))
    for name, folder in model_folders(out / "models").items():
        unet = new_unet((8, 16))
        unet.load_state_dict(base.state_dict())
        if name != BASE:
            with torch.no_grad():
                for weight in unet.parameters():
                    flat = weight.view(len(weight), -1)
                    flat += 0.1 * torch.randn(len(flat), 2) @ torch.randn(2, flat.shape[1])
        save_model(unet, folder, {"steps": len(name)})
    for side in SIDES:
        for number, kind in enumerate(KINDS):
            (out / "scorers" / side).mkdir(parents=True, exist_ok=True)
            torch.save(build(kind, number).state_dict(), out / "scorers" / side / f"{kind}.pt")
    return out


def gap(path: Path, other_path: Path) -> float:
    """The largest difference of two models' weights."""
    first, second = load_unet(path).state_dict(), load_unet(other_path).state_dict()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.wide
def test_what_is_packed_comes_out_again(hub: Path, tmp_path: Path) -> None:
    path = tmp_path / "a" / "hub.safetensors"
    size = pack(model_folders(hub / "models"), hub / "scorers", path, rank=2)
    assert size == path.stat().st_size
    out = model_folders(tmp_path / "models")
    unpack(path, out, tmp_path / "scorers")
    for name, folder in model_folders(hub / "models").items():
        assert gap(folder, out[name]) < 2e-2  # of up to 1.5: eight bits, and the rank is the true one
        assert (out[name] / "training.json").read_text() == (folder / "training.json").read_text()
    weights = torch.load(tmp_path / "scorers" / "report" / "second.pt", weights_only=True)
    for name, weight in build("second", 2).state_dict().items():
        torch.testing.assert_close(weights[name], weight, atol=2e-3, rtol=2e-3)


def test_a_lower_rank_is_smaller_and_only_near(hub: Path, tmp_path: Path) -> None:
    folders = model_folders(hub / "models")
    sizes = [pack(folders, hub / "scorers", tmp_path / f"{r}", rank=r) for r in (1, 2)]
    assert sizes[0] < sizes[1]
    out = model_folders(tmp_path / "models")
    unpack(tmp_path / "1", out, tmp_path / "scorers")
    name = models()[1].name
    assert gap(folders[name], out[name]) > 0.05
    assert gap(folders[BASE], out[BASE]) < 2e-3


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no\.safetensors is not a file"):
        unpack(tmp_path / "no.safetensors", {}, tmp_path)
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(BadInput, match="a packed hub is 'diffagent small hub 2'"):
        unpack(tmp_path / "x.safetensors", {}, tmp_path)


@pytest.mark.wide
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
def test_of_the_models_that_ship_the_good_ones_are_better(tmp_path: Path) -> None:
    """By the scorers that report: those of other hands than the models and the reward's scorers saw."""
    assert ASSET.stat().st_size <= MOST_BYTES
    folders = model_folders(tmp_path / "models")
    unpack(ASSET, folders, tmp_path / "scorers")
    encoder, see = TextEncoder.load(), backbone()
    scorers = []
    for kind in KINDS:
        net = build(kind, 0)
        net.load_state_dict(torch.load(tmp_path / "scorers" / "report" / f"{kind}.pt", weights_only=True))
        scorers.append(SmallScorer(kind, net.eval(), see, encoder))
    load_pipe = reader(encoder)
    gains: dict[str, float] = {}
    for style in STYLES[1:]:  # of 32 pixels a side, pixel art and plain pictures are much alike
        pair = sorted((model for model in models() if model.style == style), key=lambda model: model.good)
        pipes = [load_pipe(folders[model.name], torch.float32) for model in pair]
        for pipe in pipes:
            pipe.set_progress_bar_config(disable=True)
            pipe.scheduler = EulerAncestralDiscreteScheduler.from_config(pipe.scheduler.config)
        leads = []
        for subject in SUBJECTS:
            prompt = caption(subject, style, 0)
            images = []
            for pipe in pipes:
                noise = torch.Generator().manual_seed(7)
                images += pipe(
                    prompt,
                    num_inference_steps=12,
                    guidance_scale=3.0,
                    generator=noise,
                    num_images_per_prompt=2,
                ).images
            poor, good = unified(
                {scorer.name: np.reshape(scorer.score(prompt, images), (2, 2)) for scorer in scorers}
            )
            leads.append(good - poor)
        gains[style] = float(np.mean(leads))
    assert min(gains.values()) > 0.2, gains
