"""A models folder of over eighty files with the headers of real models: their tensors' names, shapes and
types, written as sparse files, so that a FLUX.1 of 24 GB takes a few kilobytes.

    for item in write_folder(tmp_path / "models"):
        item.path, item.kind, item.base, item.usable

Names and shapes of whole models are in ``assets/library_headers.json.gz`` (``make_library_headers.py`` makes
it from the projects' own classes); LoRAs are named here as their trainers name them: kohya's scripts
``lora_unet_`` and the layer with underscores, PEFT ``transformer.`` and the layer, LyCORIS ``lycoris_`` or
kohya's.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

Shapes = dict[str, list[int]]
BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "I64": 8}


@dataclass(frozen=True)
class Item:
    """A file, and what it is."""

    path: str
    kind: str
    base: str | None = None
    usable: bool = False


@cache
def parts() -> dict[str, Shapes]:
    path = Path(__file__).parent / "assets" / "library_headers.json.gz"
    shapes: dict[str, Shapes] = json.loads(gzip.decompress(path.read_bytes()))
    return shapes


def header(
    shapes: Mapping[str, Sequence[int]],
    dtype: str = "F16",
    metadata: Mapping[str, str] | None = None,
) -> tuple[bytes, int]:
    """A safetensors header and the bytes of the tensors behind it."""
    table: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        kind = "I64" if name.endswith("position_ids") else dtype
        size = math.prod(shape) * BYTES[kind]
        table[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, end


def write(
    path: Path,
    shapes: Mapping[str, Sequence[int]],
    dtype: str = "F16",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """A sparse safetensors file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    start, size = header(shapes, dtype, metadata)
    with path.open("wb") as stream:
        stream.write(start)
        stream.truncate(len(start) + size)
        if size > 64:  # contents of its own
            stream.seek(len(start) + size - 16)
            stream.write(hashlib.md5(str(path).encode()).digest())


def write_gguf(path: Path, shapes: Mapping[str, Sequence[int]], arch: str, quant: str = "Q8_0") -> None:
    """A sparse GGUF file, its header by the gguf library."""
    import gguf
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, arch)
    kind = gguf.GGMLQuantizationType[quant]
    block, width = gguf.GGML_QUANT_SIZES[kind]
    total = 0
    for name, shape in shapes.items():
        packed = len(shape) > 1 and shape[-1] % block == 0
        size = math.prod(shape) // block * width if packed else math.prod(shape) * 2
        if packed:
            rows = [*shape[:-1], shape[-1] // block * width]
            writer.add_tensor_info(name, rows, np.dtype(np.uint8), size, kind)
        else:
            writer.add_tensor_info(name, shape, np.dtype(np.float16), size)
        total += size + (-size % 32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("ab") as stream:
        stream.truncate(path.stat().st_size + total + 64)


def prefixed(prefix: str, part: str) -> Shapes:
    return {prefix + name: shape for name, shape in parts()[part].items()}


def checkpoint(unet: str) -> Shapes:
    """A whole model of SD 1.x, SD 2.x or SDXL as one file."""
    whole = prefixed("model.diffusion_model.", unet) | prefixed("first_stage_model.", "vae_sd")
    if unet.startswith("sd15"):
        return whole | prefixed("cond_stage_model.transformer.", "clip_l")
    if unet == "sd21":
        return whole | open_clip("cond_stage_model.model.", 1024, 24)
    if unet == "sdxl_refiner":
        return whole | open_clip("conditioner.embedders.0.model.", 1280, 32)
    whole |= prefixed("conditioner.embedders.0.transformer.", "clip_l")
    return whole | open_clip("conditioner.embedders.1.model.", 1280, 32)


def open_clip(prefix: str, width: int, depth: int) -> Shapes:
    """OpenCLIP's text tower, as open_clip names it."""
    shapes = {
        "token_embedding.weight": [49408, width],
        "positional_embedding": [77, width],
        "ln_final.weight": [width],
        "ln_final.bias": [width],
        "text_projection": [width, width],
        "logit_scale": [],
    }
    for n in range(depth):
        block = f"transformer.resblocks.{n}."
        shapes |= {
            block + "attn.in_proj_weight": [3 * width, width],
            block + "attn.in_proj_bias": [3 * width],
            block + "attn.out_proj.weight": [width, width],
            block + "attn.out_proj.bias": [width],
            block + "ln_1.weight": [width],
            block + "ln_1.bias": [width],
            block + "ln_2.weight": [width],
            block + "ln_2.bias": [width],
            block + "mlp.c_fc.weight": [4 * width, width],
            block + "mlp.c_fc.bias": [4 * width],
            block + "mlp.c_proj.weight": [width, 4 * width],
            block + "mlp.c_proj.bias": [width],
        }
    return {prefix + name: shape for name, shape in shapes.items()}


ATTENTION = r"attn[12]\.to_(?:q|k|v|out\.0)|ff\.net\.(?:0\.proj|2)|proj_(?:in|out)"
CLIP = r"self_attn\.(?:q|k|v|out)_proj|mlp\.fc[12]"


def layers(part: str, pattern: str) -> Iterator[tuple[str, list[int]]]:
    """The layers of a part whose names end as a pattern says, with their weights' shapes."""
    for name, shape in parts()[part].items():
        if len(shape) >= 2 and re.search(rf"(?:^|\.)(?:{pattern})\.weight$", name):
            yield name.removesuffix(".weight"), shape


def kohya(part: str, prefix: str, pattern: str, rank: int = 16) -> Shapes:
    shapes: Shapes = {}
    for layer, shape in layers(part, pattern):
        name, kernel = prefix + layer.replace(".", "_"), shape[2:]
        ones = [1] * len(kernel)
        shapes |= {
            f"{name}.alpha": [],
            f"{name}.lora_down.weight": [rank, shape[1], *kernel],
            f"{name}.lora_up.weight": [shape[0], rank, *ones],
        }
    return shapes


def peft(
    part: str, prefix: str, pattern: str, rank: int = 16, ends: tuple[str, str] = ("lora_A", "lora_B")
) -> Shapes:
    shapes: Shapes = {}
    for layer, shape in layers(part, pattern):
        shapes |= {
            f"{prefix}{layer}.{ends[0]}.weight": [rank, shape[1]],
            f"{prefix}{layer}.{ends[1]}.weight": [shape[0], rank],
        }
    return shapes


def lycoris(part: str, prefix: str, pattern: str, kind: str) -> Shapes:
    """As LyCORIS names the parts of one layer, with this layer's shapes (linear layers of rank 8)."""
    rank = 8
    shapes: Shapes = {}
    for layer, shape in layers(part, pattern):
        name, (out, into) = prefix + layer.replace(".", "_"), shape[:2]
        sizes: Mapping[str, list[int]] = {
            "lycoris_loha": {
                "hada_w1_a": [out, rank],
                "hada_w1_b": [rank, into],
                "hada_w2_a": [out, rank],
                "hada_w2_b": [rank, into],
                "alpha": [],
            },
            "lycoris_lokr": {
                "lokr_w1": [8, 8],
                "lokr_w2_a": [out // 8, rank],
                "lokr_w2_b": [rank, into // 8],
                "alpha": [],
            },
            "lycoris_dora": {
                "lora_down.weight": [rank, into],
                "lora_up.weight": [out, rank],
                "dora_scale": [1, into],
                "alpha": [],
            },
        }[kind]
        assert {end for end in sizes if end != "alpha"} <= set(parts()[kind]) | {"lokr_w2_a", "lokr_w2_b"}
        shapes |= {f"{name}.{end}": size for end, size in sizes.items()}
    return shapes


def trained(base: str, **more: str) -> dict[str, str]:
    return {"ss_base_model_version": base, "ss_network_module": "networks.lora", **more}


def _models() -> Iterator[tuple[Item, Shapes, str, dict[str, str]]]:
    """Whole models: file, tensors, type of number, metadata."""
    xl = checkpoint("sdxl")
    yield Item("checkpoints/plain15.safetensors", "checkpoint", "SD 1.5", True), checkpoint("sd15"), "F16", {}
    yield (
        Item("checkpoints/brush-inpaint.safetensors", "checkpoint", "SD 1.5"),
        checkpoint("sd15_inpainting"),
        "F16",
        {},
    )
    yield Item("checkpoints/second.safetensors", "checkpoint", "SD 2.1", True), checkpoint("sd21"), "F16", {}
    yield Item("checkpoints/large.safetensors", "checkpoint", "SDXL 1.0", True), xl, "F16", {}
    yield Item("checkpoints/large-refiner.safetensors", "checkpoint"), checkpoint("sdxl_refiner"), "F16", {}
    yield (
        Item("checkpoints/horses.safetensors", "checkpoint", "Pony", True),
        xl,
        "F16",
        {
            "modelspec.title": "Horses, a Pony Diffusion V6 XL merge",
            "modelspec.architecture": "stable-diffusion-xl-v1-base",
        },
    )
    yield Item("checkpoints/Illustrious/plum.safetensors", "checkpoint", "Illustrious", True), xl, "F16", {}
    yield (
        Item("checkpoints/vee.safetensors", "checkpoint", "NoobAI v-pred", True),
        xl | {"v_pred": [], "ztsnr": []},
        "F16",
        {},
    )
    yield (
        Item("diffusion_models/xl_unet.safetensors", "transformer", "SDXL 1.0", True),
        dict(parts()["sdxl_diffusers"]),
        "F16",
        {},
    )
    for name, part, base, usable in (
        ("flux1-own-dev", "flux_dev", "Flux.1 D", True),
        ("quick4", "flux_schnell", "Flux.1 S", True),
        ("colours-HD", "chroma", "Chroma", True),
        ("big35", "sd35_large", "SD 3.5 Large", True),
        ("mid35", "sd35_medium", "SD 3.5 Medium", True),
        ("dawn", "auraflow", "AuraFlow", True),
        ("sig", "pixart_sigma", "PixArt E", True),
        ("hun", "hunyuan_dit", "Hunyuan 1", True),
        ("lum", "lumina2", "Lumina", True),
        ("qw", "qwen_image", "Qwen", True),
        ("dream", "hidream", "HiDream", True),
        ("zed", "z_image", "ZImageTurbo", True),
        ("second-dev", "flux2_dev", "Flux.2 D", True),
        ("little", "flux2_klein_4b", "Flux.2 Klein 4B", True),
        ("kol", "kolors_diffusers", "Kolors", True),
        ("big35-hf", "sd35_diffusers", "SD 3.5 Large", True),
        ("unet15", "sd15_diffusers", "SD 1.5", True),
        ("flux-hf", "flux_diffusers", "Flux.1 D", True),
        ("film", "wan_t2v_1_3b", None, False),
        ("clip", "ltxv", None, False),
    ):
        yield (
            Item(f"diffusion_models/{name}.safetensors", "transformer", base, usable),
            dict(parts()[part]),
            "BF16",
            {},
        )
    whole = prefixed("model.diffusion_model.", "flux_dev") | prefixed("vae.", "vae_flux")
    whole |= prefixed("text_encoders.clip_l.transformer.", "clip_l")
    whole |= prefixed("text_encoders.t5xxl.transformer.", "t5xxl")
    yield Item("checkpoints/all-in-one-fp8.safetensors", "checkpoint", "Flux.1 D", True), whole, "F8_E4M3", {}
    three = prefixed("model.diffusion_model.", "sd3_medium") | prefixed("first_stage_model.", "vae_flux")
    three |= prefixed("text_encoders.clip_l.transformer.", "clip_l")
    yield Item("checkpoints/three.safetensors", "checkpoint", "SD 3", True), three, "F16", {}


def _helpers() -> Iterator[tuple[Item, Shapes, str, dict[str, str]]]:
    """What stands beside models."""
    for name, part in (
        ("sd-mse", "vae_sd"),
        ("ae", "vae_flux"),
        ("wan_vae", "vae_qwen_wan"),
        ("xl-fix", "vae_sdxl_diffusers"),
        ("two", "vae_flux2_diffusers"),
        ("tiny", "taesd_diffusers"),
    ):
        yield Item(f"vae/{name}.safetensors", "VAE"), dict(parts()[part]), "F32", {}
    for name in ("clip_l", "clip_g", "t5xxl", "qwen3_4b", "qwen25_vl_7b", "gemma2_2b"):
        yield Item(f"text_encoders/{name}.safetensors", "text encoder"), dict(parts()[name]), "F16", {}
    yield Item("clip_vision/h.safetensors", "CLIP vision"), dict(parts()["clip_vision_h"]), "F16", {}
    yield (
        Item("controlnet/edges15.safetensors", "ControlNet"),
        prefixed("control_model.", "sd15_controlnet"),
        "F16",
        {},
    )
    yield Item("controlnet/edges-xl.safetensors", "ControlNet"), dict(parts()["sdxl_controlnet"]), "F16", {}
    yield (
        Item("controlnet/flux-union.safetensors", "ControlNet"),
        dict(parts()["flux_controlnet"]),
        "BF16",
        {},
    )
    yield Item("controlnet/sketch.safetensors", "T2I-Adapter"), dict(parts()["t2i_adapter"]), "F16", {}
    yield (
        Item("animatediff_models/move.safetensors", "motion module"),
        dict(parts()["motion_module"]),
        "F16",
        {},
    )
    face = {
        "image_proj.proj.weight": [3072, 1024],
        "image_proj.proj.bias": [3072],
        "image_proj.norm.weight": [768],
        "image_proj.norm.bias": [768],
    }
    face |= {f"ip_adapter.{n}.to_{k}_ip.weight": [320, 768] for n in range(1, 32, 2) for k in "kv"}
    yield Item("ipadapter/face.safetensors", "IP-Adapter"), face, "F16", {}
    sharp = {
        "model.0.weight": [64, 3, 3, 3],
        "model.0.bias": [64],
        "model.3.weight": [64, 64, 3, 3],
        "model.10.weight": [3, 64, 3, 3],
    }
    sharp |= {
        f"model.1.sub.{n}.RDB{r}.conv{c}.0.weight": [32, 64, 3, 3]
        for n in range(23)
        for r in (1, 2, 3)
        for c in (1, 2, 3, 4, 5)
    }
    yield Item("upscale_models/4x_sharp.safetensors", "upscaler"), sharp, "F32", {}
    yield Item("embeddings/bad-hands.safetensors", "embedding"), {"emb_params": [8, 768]}, "F32", {}
    yield (
        Item("embeddings/bad-xl.safetensors", "embedding"),
        {"clip_l": [4, 768], "clip_g": [4, 1280]},
        "F32",
        {},
    )


def _loras() -> Iterator[tuple[Item, Shapes, str, dict[str, str]]]:
    """LoRAs, as their trainers write them."""

    def item(name: str, kind: str, base: str | None, usable: bool = True) -> Item:
        return Item(f"loras/{name}.safetensors", kind, base, usable)

    fifteen = kohya("sd15_diffusers", "lora_unet_", ATTENTION) | kohya("clip_l", "lora_te_text_model_", CLIP)
    xl = kohya("sdxl", "lora_unet_", ATTENTION) | kohya("clip_l", "lora_te1_text_model_", CLIP)
    xl |= kohya("clip_g", "lora_te2_text_model_", CLIP)
    yield (
        item("ink15", "LoRA", "SD 1.5"),
        fifteen,
        "F16",
        trained("sd_v1", ss_sd_model_name="base15.safetensors"),
    )
    yield item("bare15", "LoRA", "SD 1.5"), fifteen, "F16", {}
    yield item("second21", "LoRA", "SD 2.1"), kohya("sd21", "lora_unet_", ATTENTION), "F16", {}
    yield item("ink-large", "LoRA", "SDXL 1.0"), xl, "F16", trained("sdxl_base_v1-0")
    yield (
        item("horse-shoes", "LoRA", "Pony"),
        xl,
        "F16",
        trained("sdxl_base_v1-0", ss_sd_model_name="ponyDiffusionV6XL_v6.safetensors"),
    )
    yield (
        item("slider-noxattn", "LoRA", "SDXL 1.0"),
        kohya("sdxl_diffusers", "lora_unet_", r"attn1\.to_(?:q|k|v|out\.0)", 4),
        "BF16",
        {},
    )
    flux = r"(?:img|txt)_attn\.(?:qkv|proj)|(?:img|txt)_mlp\.[02]|linear[12]|img_mod\.lin|modulation\.lin"
    yield item("fluxgym", "LoRA", "Flux.1 D"), kohya("flux_dev", "lora_unet_", flux, 4), "BF16", {}
    hf = r"attn\.(?:to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)|proj_mlp|ff\.net\.(?:0\.proj|2)"
    yield item("flux-hf", "LoRA", "Flux.1 D"), peft("flux_diffusers", "transformer.", hf), "BF16", {}
    yield (
        item("flux-trainer-fal", "LoRA", "Flux.1 D"),
        peft("flux_diffusers", "transformer.", r"attn\.to_[qkv]"),
        "BF16",
        {},
    )
    yield (
        item("qwen-toolkit", "LoRA", "Qwen"),
        peft("qwen_image", "diffusion_model.", hf.replace("ff", "img_mlp")),
        "BF16",
        {},
    )
    yield (
        item("qwen-musubi", "LoRA", "Qwen"),
        kohya("qwen_image", "lora_unet_", hf.replace("ff", "(?:img|txt)_mlp")),
        "BF16",
        {},
    )
    yield (
        item("qwen-plain", "LoRA", "Qwen"),
        peft("qwen_image", "", hf, 16, ("lora_A.default", "lora_B.default")),
        "BF16",
        {},
    )
    zed = r"attention\.(?:qkv|out)|feed_forward\.w[123]|adaLN_modulation\.0"
    yield item("zed-kohya", "LoRA", "ZImageTurbo"), kohya("z_image", "lora_unet_", zed), "BF16", {}
    split = {
        n.replace(".qkv", ".to_q"): [s[0] // 3, s[1]] if ".qkv" in n and len(s) == 2 and "lora_B" in n else s
        for n, s in peft("z_image", "diffusion_model.", zed).items()
    }
    split = {n: [3840, 16] if n.endswith("to_q.lora_B.weight") else s for n, s in split.items()}
    yield item("zed-toolkit", "LoRA", "ZImageTurbo"), split, "BF16", {}
    yield (
        item("little2", "LoRA", "Flux.2 Klein 4B"),
        peft("flux2_klein_4b", "diffusion_model.", flux),
        "BF16",
        {},
    )
    yield item("dev2", "LoRA", "Flux.2 D"), peft("flux2_dev", "diffusion_model.", flux), "BF16", {}
    yield (
        item("big35", "LoRA", "SD 3.5 Large"),
        peft("sd35_diffusers", "transformer.", r"attn\.(?:to_[qkv]|to_out\.0)"),
        "F16",
        {},
    )
    yield item("colours", "LoRA", "Chroma"), kohya("chroma", "lora_unet_", flux), "BF16", trained("chroma")
    yield item("lum", "LoRA", "Lumina"), kohya("lumina2", "lora_unet_", zed), "BF16", trained("lumina2")
    yield (
        item("dream", "LoRA", "HiDream"),
        peft(
            "hidream", "diffusion_model.", r"attn1\.to_[qkvo](?:ut)?|ff_i\.shared_experts\.w1|attn1\.to_[qkv]"
        ),
        "BF16",
        {},
    )
    yield (
        item("dawn", "LoRA", "AuraFlow"),
        peft("auraflow", "diffusion_model.", r"attn\.w[12][qkvo]"),
        "BF16",
        {},
    )
    conv = kohya("sd15_diffusers", "lora_unet_", ATTENTION + r"|conv[12]|conv_shortcut|time_emb_proj")
    yield item("locon15", "LoCon", "SD 1.5"), conv, "F16", {}
    yield (
        item("loha-xl", "LoHa", "SDXL 1.0"),
        lycoris("sdxl", "lora_unet_", ATTENTION, "lycoris_loha"),
        "F16",
        {},
    )
    yield (
        item("lokr-xl", "LoKr", "SDXL 1.0"),
        lycoris("sdxl_diffusers", "lycoris_", ATTENTION, "lycoris_lokr"),
        "F16",
        {},
    )
    yield (
        item("dora-xl", "DoRA", "SDXL 1.0"),
        lycoris("sdxl", "lora_unet_", ATTENTION, "lycoris_dora"),
        "F16",
        {},
    )
    yield (
        item("dora15", "DoRA", "SD 1.5"),
        lycoris("sd15_diffusers", "lora_unet_", ATTENTION, "lycoris_dora"),
        "F16",
        {},
    )
    unet = peft("sdxl_diffusers", "unet.", ATTENTION)
    yield item("peft-xl", "LoRA", "SDXL 1.0"), unet, "F16", {}
    old = {
        name.replace(".lora_A.", "_lora.down.")
        .replace(".lora_B.", "_lora.up.")
        .replace(".to_", ".processor.to_"): s
        for name, s in peft("sd15_diffusers", "unet.", r"attn[12]\.to_[qkv]").items()
    }
    yield item("old-diffusers15", "LoRA", "SD 1.5"), old, "F32", {}
    labs: Shapes = {}
    for n in range(19):
        for k in (1, 2):
            block = f"double_blocks.{n}.processor."
            labs |= {
                f"{block}qkv_lora{k}.down.weight": [16, 3072],
                f"{block}qkv_lora{k}.up.weight": [9216, 16],
            }
            labs |= {
                f"{block}proj_lora{k}.down.weight": [16, 3072],
                f"{block}proj_lora{k}.up.weight": [3072, 16],
            }
    yield item("x-labs", "LoRA", "Flux.1 D"), labs, "BF16", {}
    yield (
        item("one-trainer", "LoRA", "Flux.1 D"),
        kohya("flux_diffusers", "lora_transformer_", hf),
        "BF16",
        {},
    )
    three = kohya("sd35_large", "lora_unet_", r"attn\.(?:qkv|proj)|mlp\.fc[12]", 4)
    yield item("big35-kohya", "LoRA", "SD 3.5 Large"), three, "F16", {}
    mid = kohya("sd35_medium", "lora_unet_", r"attn2?\.(?:qkv|proj)|mlp\.fc[12]", 4)
    yield item("mid35-kohya", "LoRA", "SD 3.5 Medium"), mid, "F16", {}
    small = lycoris("sd15_diffusers", "lycoris_", ATTENTION, "lycoris_lokr")
    yield item("lokr15", "LoKr", "SD 1.5"), small, "F16", {}
    gym = kohya("flux_dev", "lora_unet_", flux, 4) | kohya("clip_l", "lora_te1_text_model_", CLIP)
    yield item("flux-and-clip", "LoRA", "Flux.1 D"), gym, "BF16", {}
    yield (
        item("film", "LoRA", None, False),
        peft("wan_t2v_1_3b", "diffusion_model.", r"(?:self|cross)_attn\.[qkvo]"),
        "BF16",
        {},
    )


def _ggufs() -> Iterator[tuple[Item, Shapes, str, str]]:
    yield (
        Item("unet/flux-own-Q4_0.gguf", "transformer", "Flux.1 D", True),
        dict(parts()["flux_dev"]),
        "flux",
        "Q4_0",
    )
    yield (
        Item("unet/qw-Q8_0.gguf", "transformer", "Qwen", True),
        dict(parts()["qwen_image"]),
        "qwen_image",
        "Q8_0",
    )
    yield (
        Item("unet/xl-Q8_0.gguf", "transformer", "SDXL 1.0"),
        prefixed("model.diffusion_model.", "sdxl"),
        "sdxl",
        "Q8_0",
    )
    blocks: dict[str, list[int]] = {}
    for n in range(24):
        names = {
            "attn_q": [4096, 4096],
            "attn_k": [4096, 4096],
            "attn_v": [4096, 4096],
            "attn_o": [4096, 4096],
            "ffn_gate": [10240, 4096],
            "ffn_up": [10240, 4096],
            "ffn_down": [4096, 10240],
        }
        blocks |= {f"enc.blk.{n}.{name}.weight": shape for name, shape in names.items()}
    t5 = {"token_embd.weight": [32128, 4096], "enc.output_norm.weight": [4096], **blocks}
    yield Item("clip/t5-v1_1-xxl-encoder-Q8_0.gguf", "text encoder"), t5, "t5encoder", "Q8_0"


def write_folder(root: Path) -> list[Item]:
    """Writes the folder; every item with what it is."""
    items: list[Item] = []
    makers: tuple[Callable[[], Iterator[tuple[Item, Shapes, str, dict[str, str]]]], ...] = (
        _models,
        _helpers,
        _loras,
    )
    for maker in makers:
        for item, shapes, dtype, metadata in maker():
            assert shapes, item.path
            write(root / item.path, shapes, dtype, metadata)
            items.append(item)
    for item, shapes, arch, quant in _ggufs():
        write_gguf(root / item.path, shapes, arch, quant)
        items.append(item)
    return items + write_bad(root)


def write_bad(root: Path) -> list[Item]:
    """Files that are not what their names say, or not whole."""
    start, size = header(parts()["clip_l"])
    lying = start.replace(b"[77,768]", b"[99,768]")
    bad: dict[str, tuple[bytes, int, str]] = {
        "checkpoints/old.ckpt": (b"PK\x03\x04" + bytes(100), 0, "pickle"),
        "embeddings/old.pt": (b"\x80\x02}q\x00.", 0, "pickle"),
        "checkpoints/trojan.safetensors": (b"PK\x03\x04" + bytes(500), 0, "unreadable"),
        "checkpoints/half.safetensors": (start, len(start) + size // 2, "unreadable"),
        "checkpoints/cut.safetensors": (start[: len(start) // 2], 0, "unreadable"),
        "checkpoints/lying.safetensors": (lying, len(lying) + size, "unreadable"),
        "loras/page.safetensors": (b"<!DOCTYPE html><html><body>Log in</body></html>", 0, "unreadable"),
        "loras/answer.safetensors": (b'{"error":"Unauthorized","message":"log in"}', 0, "unreadable"),
        "loras/pointer.safetensors": (
            b"version https://git-lfs.github.com/spec/v1\noid",
            0,
            "unreadable",
        ),
        "loras/empty.safetensors": (b"", 0, "unreadable"),
        "loras/zeros.safetensors": (bytes(4096), 0, "unreadable"),
        "loras/coming.safetensors.part": (b"abc", 0, "unfinished"),
        "unet/half.gguf": (b"GGUF\x03\x00\x00\x00" + bytes(3), 0, "unreadable"),
    }
    for name, (data, length, _) in bad.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            stream.write(data)
            if length:
                stream.truncate(length)
    return [Item(name, kind) for name, (_, _, kind) in bad.items()]
