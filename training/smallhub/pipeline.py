"""A diffusers pipeline in pixel space: MiniLM encodes the prompt's parts, a small UNet draws 32 × 32 pixels,
which are enlarged to the requested size.

The parts between a prompt's commas are encoded one by one, so that subject and style are separate vectors
that the UNet attends to. Folders hold UNet and scheduler as diffusers saves them; the text encoder is the
prefilter's.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.prompts import plain
from diffagent.training.smallhub.pictures import SIDE

if TYPE_CHECKING:
    import torch

PARTS, WIDTH = 4, 384
"""The number of a prompt's vectors, and their width."""


def condition(prompts: list[str], encoder: Encoder) -> torch.Tensor:
    """Float32 [n, 4, 384]: a vector for each of a prompt's first parts, padded with zeros; an empty prompt is
    all zeros, the unconditional input of classifier-free guidance."""
    import torch

    states = torch.zeros(len(prompts), PARTS, WIDTH)
    for number, prompt in enumerate(prompts):
        parts = [text for piece in prompt.split(",") if (text := plain(piece).strip())][:PARTS]
        if parts:
            states[number, : len(parts)] = torch.from_numpy(np.asarray(encoder.encode(parts), np.float32))
    return states


def new_unet(channels: tuple[int, ...] = (24, 48, 96)) -> Any:
    """A UNet2DConditionModel with random weights, cross-attention at the lowest level."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=3,
        out_channels=3,
        block_out_channels=channels,
        layers_per_block=1,
        down_block_types=(*["DownBlock2D"] * (len(channels) - 1), "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", *["UpBlock2D"] * (len(channels) - 1)),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def new_scheduler() -> Any:
    """A scheduler of a thousand noise steps, from which every sampler's scheduler takes its levels.

    The model predicts v = α ε − σ x (Salimans and Ho 2022, section 4): an error in ε would be σ / α times as
    large in the picture, which turns red or black at the first of twelve steps.
    """
    from diffusers import DDPMScheduler

    return DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear", prediction_type="v_prediction")


@cache
def pipeline_class() -> Any:
    """The pipeline's class, created at first use, because diffusers takes seconds to import."""
    import torch
    from diffusers import DDPMScheduler, DiffusionPipeline, ImagePipelineOutput, UNet2DConditionModel

    class SmallPipeline(DiffusionPipeline):  # type: ignore[misc]
        """The pipeline, with the keyword arguments that the diffusers target emits."""

        encoder: Encoder

        def __init__(self, unet: UNet2DConditionModel, scheduler: DDPMScheduler) -> None:
            super().__init__()
            self.register_modules(unet=unet, scheduler=scheduler)

        @torch.no_grad()  # type: ignore[untyped-decorator]
        def __call__(
            self,
            prompt: str,
            negative_prompt: str = "",
            width: int = 64,
            height: int = 64,
            num_inference_steps: int = 20,
            guidance_scale: float = 7.0,
            generator: torch.Generator | None = None,
            num_images_per_prompt: int = 1,
            callback_on_step_end: Any = None,
            **_: Any,
        ) -> Any:
            """``num_images_per_prompt`` images of a prompt; guidance steps away from
            ``negative_prompt``."""
            unet, count = self.unet, num_images_per_prompt
            texts = condition([negative_prompt, prompt], self.encoder).to(unet.device, unet.dtype)
            states = texts.repeat_interleave(count, 0)
            self.scheduler.set_timesteps(num_inference_steps)
            noise = torch.randn((count, 3, SIDE, SIDE), generator=generator)
            x = noise.to(unet.device, unet.dtype) * self.scheduler.init_noise_sigma
            takes = {"generator": generator} if _takes_generator(self.scheduler) else {}
            for step, at in enumerate(self.scheduler.timesteps):
                both = self.scheduler.scale_model_input(torch.cat([x, x]), at)
                away, to = unet(both, at, encoder_hidden_states=states).sample.chunk(2)
                guess = away + guidance_scale * (to - away)
                x = self.scheduler.step(guess, at, x, **takes).prev_sample
                if callback_on_step_end is not None:
                    callback_on_step_end(self, step, at, {})
            return ImagePipelineOutput(images=_pictures(x, width, height))

    kinds = {"unet": UNet2DConditionModel, "scheduler": DDPMScheduler}
    SmallPipeline.__init__.__annotations__ = kinds  # diffusers reads classes there, not their names
    return SmallPipeline


def reader(encoder: Encoder) -> Any:
    """A function that opens a folder in a dtype, for
    :class:`diffagent.agent.targets.diffusers.LocalDiffusers`."""

    def read(folder: Path, dtype: torch.dtype) -> Any:
        pipe = pipeline_class().from_pretrained(str(folder), torch_dtype=dtype)
        pipe.encoder = encoder
        return pipe

    return read


def _takes_generator(scheduler: Any) -> bool:
    import inspect

    return "generator" in inspect.signature(scheduler.step).parameters


def _pictures(x: torch.Tensor, width: int, height: int) -> list[Any]:
    from PIL import Image

    values = ((x.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC) for pixels in values]
