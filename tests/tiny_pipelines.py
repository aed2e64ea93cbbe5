"""Small Stable Diffusion and SDXL pipelines with random weights, as single files in Civitai's layouts.

The names of the tensors are those of the original repositories (``model.diffusion_model…``,
``first_stage_model…``, ``cond_stage_model…`` or ``conditioner…``), which from_single_file of diffusers reads.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIDTHS = (32, 64)
LAYERS = 1


def save_pipeline(folder: Path, sdxl: bool, merged: float = 0.0) -> tuple[Path, Path]:
    """A checkpoint file, and the folder with its configuration in diffusers' layout.

    ``merged``: the weight at which :func:`save_lora`'s layers are added to the checkpoint's own tensors.
    """
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(3)
    pipe = _pipeline(sdxl)
    for layer in _lora_layers(sdxl) if merged else ():
        layer.merge(pipe, merged)
    config = folder / ("sdxl" if sdxl else "sd")
    pipe.save_pretrained(config)
    for weights in config.rglob("*.safetensors"):
        weights.unlink()  # only the configuration may be read from here
    tensors = {f"model.diffusion_model.{_unet(k)}": v for k, v in pipe.unet.state_dict().items()}
    tensors |= {f"first_stage_model.{_vae(k)}": _as_conv(k, v) for k, v in pipe.vae.state_dict().items()}
    text = {_prefixed(k): v for k, v in pipe.text_encoder.state_dict().items()}
    if sdxl:
        tensors |= {f"conditioner.embedders.0.transformer.{k}": v for k, v in text.items()}
        tensors |= _open_clip(pipe.text_encoder_2.state_dict())
    else:
        tensors |= {f"cond_stage_model.transformer.{k}": v for k, v in text.items()}
    path = folder / ("tiny-xl.safetensors" if sdxl else "tiny.safetensors")
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, path)
    return path, config


@dataclass(frozen=True)
class Layer:
    """What a LoRA adds to one tensor: ``alpha`` / rank · up · down, named as kohya's trainers name it."""

    part: str
    """The pipeline's component: ``unet``, ``text_encoder`` or ``text_encoder_2``."""
    name: str
    key: str
    down: Any
    up: Any
    alpha: float

    def merge(self, pipe: Any, weight: float) -> None:
        import torch

        tensor = getattr(pipe, self.part).state_dict()[self.name]
        delta = self.up.float().flatten(1) @ self.down.float().flatten(1)
        with torch.no_grad():
            tensor += weight * self.alpha / len(self.down) * delta.reshape(tensor.shape)


PARTS = ("unet", "text_encoder", "text_encoder_2")


def save_lora(folder: Path, sdxl: bool, parts: Sequence[str] = PARTS, name: str | None = None) -> Path:
    """A LoRA as kohya's trainers and LyCORIS write them, in half precision.

    All linear layers of the transformers and text encoders at rank 4, the UNet's convolutions at rank 2
    (LoCon), each with its alpha. UNet keys for SD 1.x take diffusers' names, those for SDXL the original's.
    """
    import torch
    from safetensors.torch import save_file

    tensors = {}
    for layer in _lora_layers(sdxl):
        if layer.part in parts:
            tensors[f"{layer.key}.lora_down.weight"] = layer.down
            tensors[f"{layer.key}.lora_up.weight"] = layer.up
            tensors[f"{layer.key}.alpha"] = torch.tensor(layer.alpha, dtype=torch.float16)
    file = folder / (name or ("tiny-xl-lora.safetensors" if sdxl else "tiny-lora.safetensors"))
    save_file(tensors, file, {"ss_network_module": "lycoris.kohya", "ss_network_dim": "4"})
    return file


def _lora_layers(sdxl: bool) -> list[Layer]:
    import torch

    torch.manual_seed(4)
    pipe, layers = _pipeline(sdxl), []
    prefixes = {"unet": "unet", "text_encoder": "te1" if sdxl else "te", "text_encoder_2": "te2"}
    for part in PARTS if sdxl else PARTS[:2]:
        for name, weight in getattr(pipe, part).state_dict().items():
            path = name.removesuffix(".weight")
            if weight.ndim < 2 or not re.search(_TRAINED, path):
                continue
            if part == "unet":
                path = _unet(f"{path}.").removesuffix(".") if sdxl else path
            else:
                path = _prefixed(path)
            key = f"lora_{prefixes[part]}_{path.replace('.', '_')}"
            conv = weight.ndim == 4 and weight.shape[-1] == 3
            rank, alpha = (2, 1.0) if conv else (4, 2.0)
            spread = 0.2 if part == "unet" else 1.0
            down = torch.randn(rank, *weight.shape[1:]) * spread
            up = torch.randn(weight.shape[0], rank, *[1] * (weight.ndim - 2)) * spread
            layers.append(Layer(part, name, key, down.half(), up.half(), alpha))
    return layers


_TRAINED = (
    r"attn[12]\.to_(q|k|v|out\.0)$|ff\.net\.(0\.proj|2)$|attentions\.\d\.proj_(in|out)$"
    r"|resnets\.\d\.(conv[12]|conv_shortcut|time_emb_proj)$|samplers\.0\.conv$"
    r"|self_attn\.(q|k|v|out)_proj$|mlp\.fc[12]$"
)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pipeline(sdxl: bool) -> Any:
    from diffusers import (
        AutoencoderKL,
        EulerDiscreteScheduler,
        PNDMScheduler,
        StableDiffusionPipeline,
        StableDiffusionXLPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    blocks = {"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
              "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D")}  # fmt: skip
    extra = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8,
             "use_linear_projection": True,
             "projection_class_embeddings_input_dim": 6 * 8 + 64, "transformer_layers_per_block": (1, 1),
             "cross_attention_dim": 32 + 64} if sdxl else {"cross_attention_dim": 32}  # fmt: skip
    unet = UNet2DConditionModel(
        block_out_channels=WIDTHS, layers_per_block=LAYERS, sample_size=8, in_channels=4, out_channels=4,
        attention_head_dim=(2, 4) if sdxl else 2, norm_num_groups=8, **blocks, **extra,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(16, 32), in_channels=3, out_channels=3, latent_channels=4,
        norm_num_groups=8, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    noise = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    text = CLIPTextModel(_text_config())
    if not sdxl:
        scheduler = PNDMScheduler(skip_prk_steps=True, **noise)
        return StableDiffusionPipeline(
            vae, text, _tokenizer(), unet, scheduler, None, None, requires_safety_checker=False
        )  # fmt: skip
    second = CLIPTextModelWithProjection(_text_config(64, hidden_act="gelu"))
    scheduler = EulerDiscreteScheduler(**noise)
    return StableDiffusionXLPipeline(vae, text, second, _tokenizer(), _tokenizer(), unet, scheduler)


def _text_config(width: int = 32, **changes: Any) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=len(_vocabulary()), hidden_size=width, intermediate_size=37, num_hidden_layers=4,
        num_attention_heads=4, max_position_embeddings=77, projection_dim=width,
        bos_token_id=len(_vocabulary()) - 2, eos_token_id=len(_vocabulary()) - 1, **changes,
    )  # fmt: skip


def _vocabulary() -> dict[str, int]:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789,.()"
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}


def _tokenizer() -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer(vocab=_vocabulary(), merges=[], model_max_length=77)


_RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
           "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection"}  # fmt: skip
_ENDS = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
         "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
         "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}  # fmt: skip


def _unet(key: str) -> str:
    for ours, original in _ENDS.items():
        if key.startswith(f"{ours}."):
            return key.replace(ours, original, 1)
    match = re.fullmatch(
        r"(down|up)_blocks\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(.*)", key
    )
    if match is None:
        mid = re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", key)
        assert mid, key
        place = 1 if mid[1] == "attentions" else 2 * int(mid[2])
        return f"middle_block.{place}.{_resnet(mid[3])}"
    side, block, kind, number, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    if kind == "downsamplers":
        return f"input_blocks.{(LAYERS + 1) * (block + 1)}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsamplers":
        return f"output_blocks.{(LAYERS + 1) * block + LAYERS}.{2 if block == 0 else 1}.{rest}"
    place = (LAYERS + 1) * block + number + (1 if side == "down" else 0)
    part = 1 if kind == "attentions" else 0
    return f"{'input' if side == 'down' else 'output'}_blocks.{place}.{part}.{_resnet(rest)}"


def _resnet(rest: str) -> str:
    head, _, tail = rest.partition(".")
    return f"{_RESNET[head]}.{tail}" if head in _RESNET else rest


def _vae(key: str) -> str:
    key = re.sub(r"(encoder)\.down_blocks\.(\d)\.resnets\.(\d)", r"\1.down.\2.block.\3", key)
    key = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", key)
    key = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{1 - int(m[1])}.block.{m[2]}", key)
    key = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{1 - int(m[1])}.upsample", key)
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
    if "mid_block.attentions.0" in key:
        names = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
        head, _, tail = key.partition("mid_block.attentions.0.")
        part, _, what = tail.rpartition(".")
        return f"{head}mid.attn_1.{names[part]}.{what}"
    return key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")


def _as_conv(key: str, value: Any) -> Any:
    """The VAE's attention is made of 1×1 convolutions in the original."""
    if "attentions" in key and value.ndim == 2:
        return value[:, :, None, None]
    return value


def _prefixed(key: str) -> str:
    return key if key.startswith("text_model.") else f"text_model.{key}"


def _open_clip(state: Mapping[str, Any]) -> dict[str, Any]:
    """A text encoder of transformers in OpenCLIP's names; queries, keys and values are one matrix there."""
    import torch

    prefix = "conditioner.embedders.1.model."
    state = {k.removeprefix("text_model."): v for k, v in state.items()}
    weights = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "text_projection": state["text_projection.weight"].T,
    }
    names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
             "self_attn.out_proj": "attn.out_proj"}  # fmt: skip
    for layer in range(4):
        of, to = f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        for kind in ("weight", "bias"):
            parts = [state[f"{of}self_attn.{letter}_proj.{kind}"] for letter in "qkv"]
            weights[f"{to}attn.in_proj_{kind}"] = torch.cat(parts)
            weights |= {f"{to}{theirs}.{kind}": state[f"{of}{ours}.{kind}"] for ours, theirs in names.items()}
    return {prefix + name: value for name, value in weights.items()}
