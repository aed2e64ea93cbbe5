"""The hub's models: a base trained from scratch, and two models of each style fine-tuned from it.

The two of a style are an early and a late checkpoint of one run: they share the style and differ in quality,
a difference that a reward sees and fine-tuning on usage does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffagent.agent.engines.transformers_engine import computes_bf16
from diffagent.data.devices import own_device
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.training.smallhub.pictures import STYLES, Pictures
from diffagent.training.smallhub.pipeline import condition, new_scheduler, new_unet, pipeline_class

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
BASE = "Plain Sketch"
UNCONDITIONAL = 0.1
"""The share of training pictures without their caption, for classifier-free guidance."""


@dataclass(frozen=True)
class Schedule:
    """Steps of ``batch`` pictures for the base and for each style; the poor model is saved at step
    ``early``."""

    base: int = 3000
    style: int = 400
    early: int = 20
    batch: int = 32
    learning_rate: float = 5e-4
    every: int = 250
    channels: tuple[int, ...] = (24, 48, 96)


@dataclass(frozen=True)
class Model:
    """A model of the hub: its name, its style ("plain": the base), and whether its training was complete."""

    name: str
    style: str
    good: bool


def models() -> list[Model]:
    """The base, then a poor and a good model of each style; names do not tell which."""
    names = {
        "pixel art": ("Byte Garden", "Pixel Parade"),
        "line drawing": ("Inkwell", "Contour"),
        "watercolor": ("Wet Paper", "Aquarelle"),
        "neon night": ("Afterglow", "Neon Alley"),
    }
    hub_models = [Model(BASE, "plain", True)]
    for number, style in enumerate(STYLES):
        first, second = names[style]
        poor, good = (first, second) if number % 2 else (second, first)  # neither order nor name tells
        hub_models += [Model(poor, style, False), Model(good, style, True)]
    return hub_models


def model_folders(out: Path) -> dict[str, Path]:
    """Model name → its folder in ``out``."""
    return {model.name: out / model.name.lower().replace(" ", "-") for model in models()}


def train_all(
    pictures: Pictures, hands: list[int], encoder: Encoder, schedule: Schedule, out: Path, progress: Progress
) -> dict[str, Path]:
    """Trains the models and returns model name → folder; existing models are kept, an interrupted one is
    resumed."""
    folders = model_folders(out)
    base = folders[BASE]
    if not _whole(base):
        _train(
            pictures, hands, 0, encoder, schedule, schedule.base, {schedule.base: base}, None, out, progress
        )
    for number, style in enumerate(STYLES, 1):
        poor, good = (folders[model.name] for model in models() if model.style == style)
        if not (_whole(poor) and _whole(good)):
            folders_by_step = {schedule.early: poor, schedule.style: good}
            _train(
                pictures,
                hands,
                number,
                encoder,
                schedule,
                schedule.style,
                folders_by_step,
                base,
                out,
                progress,
            )
    return folders


def _train(
    pictures: Pictures,
    hands: list[int],
    style: int,
    encoder: Encoder,
    schedule: Schedule,
    steps: int,
    folders_by_step: dict[int, Path],
    start: Path | None,
    out: Path,
    progress: Progress,
) -> None:
    """Diffusion training (Ho et al. 2020) on a style's pictures; saves the moving average of the weights at
    the steps of ``folders_by_step``."""
    import torch
    from diffusers.training_utils import EMAModel

    torch.manual_seed(style)
    device = own_device()
    unet, noise = new_unet(schedule.channels), new_scheduler()
    if start is not None:
        unet.load_state_dict(load_unet(start).state_dict())
    unet.to(device, memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(unet.parameters(), schedule.learning_rate, weight_decay=1e-4)
    average = EMAModel(unet.parameters(), use_ema_warmup=True)
    average.to(device)
    half_way = out / f".{style}.pt"
    done_steps = _resume(half_way, unet, optimiser, average, device)
    label = "base" if start is None else pictures.styles[style]
    losses: list[float] = []
    batches = _batches(pictures, hands, style, encoder, schedule.batch, done_steps)
    for step in progress(range(done_steps + 1, steps + 1), f"model, {label}"):
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate * min(1.0, step / 50, 3 * (steps + 1 - step) / steps + 0.05)
        x, text = (tensor.to(device) for tensor in next(batches))
        at = torch.randint(0, 1000, (len(x),), device=device)
        epsilon = torch.randn_like(x)
        with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=computes_bf16(device)):
            guess = unet(noise.add_noise(x, epsilon, at), at, encoder_hidden_states=text).sample
        loss = torch.nn.functional.mse_loss(guess.float(), noise.get_velocity(x, epsilon, at))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimiser.step()
        average.step(unet.parameters())
        losses.append(float(loss.detach()))
        if step in folders_by_step:
            average.store(unet.parameters())
            average.copy_to(unet.parameters())
            save_model(unet, folders_by_step[step], {"steps": step, "loss": float(np.mean(losses[-100:]))})
            average.restore(unet.parameters())
        elif step % schedule.every == 0:
            parts = {"unet": unet, "optimiser": optimiser, "average": average}
            _write(half_way, {"step": step} | {name: part.state_dict() for name, part in parts.items()})
    half_way.unlink(missing_ok=True)


def _batches(
    pictures: Pictures, hands: list[int], style: int, encoder: Encoder, size: int, skip: int
) -> Iterator[tuple[Any, Any]]:
    """Endless batches of pictures in −1…1 and encoded captions; a step's draw depends on its number."""
    import torch

    words = [caption(subject, pictures.styles[style], 0) for subject in pictures.subjects]
    states = condition(words, encoder)
    chosen = torch.from_numpy(pictures.pixels[hands, style]).flatten(0, 1).float() / 127.5 - 1
    count = len(pictures.subjects)
    step = skip
    while True:
        step += 1
        rng = np.random.default_rng([style, step])
        rows = torch.from_numpy(rng.integers(0, len(chosen), size))
        x = chosen[rows]
        shift = rng.integers(-2, 3, 2)
        x = torch.roll(x, tuple(int(n) for n in shift), (2, 3))
        conditions = states[rows % count].clone()
        conditions[torch.from_numpy(rng.random(size) < UNCONDITIONAL)] = 0
        yield x, conditions


WORDINGS = (
    "a {subject}, {style}",
    "{subject}, {style}",
    "picture of a {subject}, {style}",
    "one {subject}, {style}",
)


def caption(subject: str, style: str, wording: int) -> str:
    """The caption of a picture; the plain style is not mentioned."""
    text = WORDINGS[wording % len(WORDINGS)].format(subject=subject, style=style)
    return text.removesuffix(", plain")


def save_model(unet: Any, folder: Path, facts: dict[str, Any]) -> None:
    """Writes a model as a pipeline's folder, atomically, with the ``facts`` of its training."""
    import shutil

    scratch = folder.with_name(f".{folder.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    training = unet.training
    pipeline_class()(unet.eval(), new_scheduler()).save_pretrained(str(scratch))
    unet.train(training)
    (scratch / "training.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def _whole(folder: Path) -> bool:
    return (folder / "training.json").is_file()


def load_unet(folder: Path) -> Any:
    """The UNet in a model's folder."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(str(folder), subfolder="unet")


def _resume(path: Path, unet: Any, optimiser: Any, average: Any, device: str) -> int:
    import torch

    if not path.is_file():
        return 0
    stored = torch.load(path, map_location=device, weights_only=True)
    unet.load_state_dict(stored["unet"])
    optimiser.load_state_dict(stored["optimiser"])
    average.load_state_dict(stored["average"])
    return int(stored["step"])


def _write(path: Path, stored: dict[str, Any]) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    torch.save(stored, scratch)
    scratch.replace(path)
