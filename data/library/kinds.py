"""Identifies a model file by the names and shapes of its tensors.

    judge(header, path)   ->  FileVerdict(kind="LoCon", base_model="SDXL 1.0", …)

The kind follows from the tensors' names in trainers and programs; the base model is the row of
:mod:`diffagent.data.base_models` whose fingerprint the tensors have, and the file's metadata decides between
base models with the same tensors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from diffagent.data.base_models import by_header
from diffagent.data.library.headers import Header, Shape

Kind = Literal[
    "checkpoint", "transformer", "LoRA", "LoCon", "LoHa", "LoKr", "DoRA", "VAE", "text encoder", "embedding",
    "ControlNet", "T2I-Adapter", "IP-Adapter", "CLIP vision", "upscaler", "motion module", "hypernetwork",
    "pickle", "unfinished", "unreadable", "unknown",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
LORAS: tuple[Kind, ...] = ("LoRA", "LoCon", "LoHa", "LoKr", "DoRA")
RUNNABLE: tuple[Kind, ...] = ("checkpoint", "transformer", *LORAS)
"""The kinds that become catalog entries."""
PLURALS: Mapping[str, str] = {
    "checkpoint": "checkpoints", "transformer": "transformers", "LoRA": "LoRAs", "LoCon": "LoCons",
    "LoHa": "LoHas", "LoKr": "LoKrs", "DoRA": "DoRAs", "VAE": "VAEs", "text encoder": "text encoders",
    "embedding": "embeddings", "ControlNet": "ControlNets", "T2I-Adapter": "T2I-Adapters",
    "IP-Adapter": "IP-Adapters", "CLIP vision": "CLIP visions", "upscaler": "upscalers",
    "motion module": "motion modules", "hypernetwork": "hypernetworks", "pickle": "pickles",
}  # fmt: skip

_LORA_PART = re.compile(
    r"[._](?:(?:qkv|proj)_lora\d\.(?:down|up)\.weight|lora_(?:down|up|mid)\.weight|lora_[AB](?:\.\w+)?\.weight|lora_[AB]|lora\.(?:down|up)\.weight|"
    r"lora_magnitude_vector(?:\.\w+)*|lora_linear_layer\.(?:down|up)\.weight|dora_scale|hada_[wt][12](?:_[ab])?|"
    r"lokr_(?:w[12](?:_[ab])?|t2)|oft_(?:blocks|diag)|glora_\w+|on_input|diff(?:_b)?|alpha)$"
)
"""Trainers' suffixes of the name of a changed layer."""
_LORA_PREFIX = re.compile(
    r"^(?:base_model\.model\.|model\.)?(?:diffusion_model\.|transformer\.(?!resblocks)|unet\.|lora_unet_|"
    r"lora_transformer_|lycoris_(?:unet_|transformer_)?)"
)
"""Trainers' prefixes of the name of a layer of the diffusion model."""
_DIFFUSION = ("model.diffusion_model.", "diffusion_model.", "net.", "model.model.")
_TEXT_IN_CHECKPOINT = (
    "cond_stage_model.", "conditioner.", "text_encoders.", "text_encoder.", "te.", "te1.", "te2.",
)  # fmt: skip
_VAE_IN_CHECKPOINT = ("first_stage_model.", "vae.")
_CONTROL = (
    "control_model.", "controlnet_cond_embedding.", "controlnet_down_blocks.", "controlnet_blocks.",
    "controlnet_mid_block.", "input_hint_block.", "controlnet_x_embedder.", "controlnet_mode_embedder.",
    "controlnet_single_blocks.", "control_blocks.", "control_layers.", "pos_embed_input.", "lora_controlnet",
)  # fmt: skip
_TRANSFORMER = (
    "double_blocks.0.", "double_stream_blocks.0.", "joint_blocks.0.", "transformer_blocks.0.",
    "blocks.0.attn", "blocks.0.self_attn", "blocks.0.cross_attn", "blocks.0.adaln", "single_blocks.0.",
    "double_layers.0.", "single_transformer_blocks.0.", "input_blocks.0.0.", "noise_refiner.0.",
    "context_refiner.0.", "cap_embedder.", "layers.0.attention.", "layers.0.adaLN_modulation",
    "clip_txt_mapper.", "txtfusion.",
)  # fmt: skip
_DIFFUSERS_UNET = ("conv_in.weight", "down_blocks.0.", "up_blocks.0.")


@dataclass(frozen=True)
class FileVerdict:
    """A file's ``kind``; its ``base_model`` in the catalog's spelling or None; ``by`` is the evidence:
    "tensors", "its metadata".

    ``flaws`` are the obstacles to text-to-image: "inpainting", "a refiner …", "one of several parts …".
    """

    kind: Kind
    base_model: str | None = None
    by: str = ""
    flaws: tuple[str, ...] = ()
    prediction: str | None = None
    """ "v" or "epsilon" where the file says so."""


def kind_of(shapes: Mapping[str, Shape], format: str = "safetensors") -> Kind:
    """The kind of a file with tensors of these names and shapes."""
    names = list(shapes)
    if not names:
        return "unknown"
    lora = _lora_kind(shapes)
    if lora is not None:
        return lora
    if _is_embedding(shapes):
        return "embedding"
    if any("motion_modules." in name for name in names):
        return "motion module"
    if _any(names, _CONTROL):
        return "ControlNet"
    if _any(names, ("adapter.body.", "adapter.conv_in.")) or (
        _any(names, ("body.0.block1.",)) and _any(names, ("conv_in.",))
    ):
        return "T2I-Adapter"
    if _any(names, ("ip_adapter.", "image_proj.", "ip_adapter_")):
        return "IP-Adapter"
    return _whole_kind(names, shapes)


def _whole_kind(names: list[str], shapes: Mapping[str, Shape]) -> Kind:
    text, vae = _any(names, _TEXT_IN_CHECKPOINT), _any(names, _VAE_IN_CHECKPOINT)
    diffusion = _any(names, _DIFFUSION[:2])
    if diffusion:
        return "checkpoint" if text or vae else "transformer"
    bare = strip_prefix(names)
    if _is_text_encoder(bare):
        return "text encoder"
    if _any(bare, ("vision_model.", "visual.")):
        return "CLIP vision"
    if vae or _is_vae(bare):
        return "VAE"
    if text:
        return "text encoder"
    if _is_upscaler(bare, shapes):
        return "upscaler"
    if _any(bare, _TRANSFORMER) or all(_any(bare, (name,)) for name in _DIFFUSERS_UNET):
        return "transformer"
    return "unknown"


def strip_prefix(names: Iterable[str]) -> list[str]:
    """The names without prefixes that all of them share."""
    prefixes = ("model.diffusion_model.", "diffusion_model.", "module.", "transformer.", "unet.")
    bare = list(names)
    for prefix in prefixes:
        if bare and all(name.startswith(prefix) for name in bare):
            bare = [name[len(prefix) :] for name in bare]
    return bare


def _lora_kind(shapes: Mapping[str, Shape]) -> Kind | None:
    """The kind of a LoRA file, or None; some quantised models also have low-rank parts."""
    parts = [match[0].lstrip("._") for name in shapes if (match := _LORA_PART.search(name))]
    is_quantised = any(name.endswith(".qweight") for name in shapes)
    if not parts or 2 * len(parts) < len(shapes) or is_quantised:
        return None
    suffixes = set(parts)
    if suffixes <= {"alpha"} or any(name.startswith("lora_controlnet") for name in shapes):
        return None
    if any(part.startswith("dora_scale") or part.startswith("lora_magnitude") for part in suffixes):
        return "DoRA"
    if any(part.startswith("hada_") for part in suffixes):
        return "LoHa"
    if any(part.startswith("lokr_") for part in suffixes):
        return "LoKr"
    if "lora_mid.weight" in suffixes or any(
        len(shape) == 4 and shape[2:] != (1, 1) and "lora_" in name for name, shape in shapes.items()
    ):
        return "LoCon"
    return "LoRA"


def _is_embedding(shapes: Mapping[str, Shape]) -> bool:
    if len(shapes) > 8 or any(len(shape) > 2 for shape in shapes.values()):
        return False
    keys = {
        "emb_params",
        "clip_l",
        "clip_g",
        "t5xxl",
        "text_encoders_0",
        "text_encoders_1",
        "string_to_param.*",
    }
    return all(name in keys or (name[:1] == "<" and name[-1:] == ">") for name in shapes)


def _is_text_encoder(names: list[str]) -> bool:
    return _any(
        names,
        (
            "text_model.encoder.", "text_model.embeddings.", "encoder.block.0.", "enc.blk.0.",
            "model.embed_tokens.", "model.layers.0.self_attn.", "token_embd.", "transformer.resblocks.0.",
            "model.language_model.", "language_model.model.", "shared.weight", "text_projection",
            "embeddings.token_embedding.", "embeddings.word_embeddings.", "embed_tokens.",
        ),
    )  # fmt: skip


def _is_vae(names: list[str]) -> bool:
    inside = (
        "encoder.",
        "decoder.",
        "quant_conv.",
        "post_quant_conv.",
        "quantize.",
        "bn.",
        "conv1.",
        "conv2.",
    )
    count = sum(name.startswith(inside) for name in names)
    return count * 10 >= len(names) * 9 and _any(names, ("decoder.",))


def _is_upscaler(names: list[str], shapes: Mapping[str, Shape]) -> bool:
    starts = (
        "conv_first.weight", "model.0.weight", "params_ema.", "params.", "RRDB_trunk.", "body.0.rdb1.",
        "layers.0.residual_group.", "upsampler.",
    )  # fmt: skip
    return len(shapes) < 4_000 and _any(names, starts)


def _any(names: Iterable[str], starts: tuple[str, ...]) -> bool:
    return any(name.startswith(starts) for name in names)


_TOLD = frozenset(("modelspec.architecture", "modelspec.title", "ss_base_model_version", "ss_sd_model_name"))
"""Metadata that decides between base models with the same tensors."""
_VIDEO = re.compile(
    r"(?:^|[._])(?:head\.modulation|patchify_proj|t5_yproj|individual_token_refiner|vace_blocks|time_stack|"
    r"blocks[._]\d+[._]cross_attn[._][kqvo](?:_img)?)(?:$|[._])"
)
"""Layers of video models: Wan, LTX, Mochi, Hunyuan, SVD."""
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.")
_FIRST_CONVOLUTION = re.compile(r"(?:^|\.)(?:input_blocks\.0\.0|conv_in)\.weight$")


def judge(header: Header, path: Path) -> FileVerdict:
    """Identifies a file by its header; ``path`` only shows whether it is one of several parts."""
    kind = kind_of(header.shapes)
    if kind not in RUNNABLE:
        return FileVerdict(kind)
    tensors = plain_lora(header.shapes) if kind in LORAS else header.shapes
    base = by_header(tensors, header.metadata)
    by = "tensors" if base else ""
    if base is not None and set(header.metadata) & _TOLD and base != by_header(tensors, {}):
        by = "its metadata"
    flaws = []
    if _SHARD.search(path.name):
        flaws.append("one of several parts of a model")
    if kind in ("checkpoint", "transformer") and _takes_pictures(header.shapes):
        flaws.append("inpainting")
    if base is None and _is_refiner(tensors):
        flaws.append("a refiner, which goes over another model's picture")
    if base is None and _makes_video(tensors):
        flaws.append("video")
    return FileVerdict(kind, base, by, tuple(flaws), _prediction(header))


def plain_lora(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Returns a LoRA file's tensors under the names of kohya's scripts.

    The factors of LoHa and LoKr become the two matrices of a LoRA of rank 1 for the same layer.
    """
    tensors: dict[str, Shape] = {}
    factors: dict[str, dict[str, Shape]] = {}
    for name, shape in shapes.items():
        match = _LORA_PART.search(name)
        layer = _plain_layer(name[: match.start()] if match else name)
        part = match[0].lstrip("._") if match else ""
        if part.startswith(("hada_", "lokr_")):
            factors.setdefault(layer, {})[part] = shape
        elif part.startswith("lora_A") or "down" in part:
            tensors[f"{layer}.lora_down.weight"] = shape
        elif part.startswith("lora_B") or "up" in part:
            tensors[f"{layer}.lora_up.weight"] = shape
        else:
            tensors[name] = shape
    for layer, parts in factors.items():
        reads, writes = _widths(parts)
        tensors[f"{layer}.lora_down.weight"], tensors[f"{layer}.lora_up.weight"] = (1, reads), (writes, 1)
    return tensors


def _plain_layer(layer: str) -> str:
    bare = _LORA_PREFIX.sub("", layer).replace(".processor", "")
    if bare.startswith(("lora_te", "text_encoder", "te1.", "te2.", "clip_")):
        return bare
    return "lora_unet_" + bare.replace(".", "_")


def _widths(parts: Mapping[str, Shape]) -> tuple[int, int]:
    """A layer's input and output widths by the factors of its LoHa or LoKr; 0 where unknown."""
    if "hada_w1_b" in parts and len(parts["hada_w1_b"]) > 1 and "hada_w1_a" in parts:
        return parts["hada_w1_b"][1], parts["hada_w1_a"][0]
    sides = []
    for factor in ("lokr_w1", "lokr_w2"):
        whole, left_factor, right_factor = (parts.get(factor + end, ()) for end in ("", "_a", "_b"))
        if len(whole) > 1:
            sides.append((whole[1], whole[0]))
        elif left_factor and len(right_factor) > 1:
            sides.append((right_factor[1], left_factor[0]))
        else:
            return 0, 0
    return sides[0][0] * sides[1][0], sides[0][1] * sides[1][1]


def _is_refiner(tensors: Mapping[str, Shape]) -> bool:
    """Whether a UNet reads only the larger text encoder's states (1,280 wide)."""
    return any(
        len(shape) > 1 and shape[1] == 1280
        for name, shape in tensors.items()
        if name.endswith(("attn2.to_k.weight", "attn2_to_k.lora_down.weight"))
    )


def _makes_video(tensors: Mapping[str, Shape]) -> bool:
    return any(_VIDEO.search(name) for name in tensors)


def _takes_pictures(shapes: Mapping[str, Shape]) -> bool:
    """Whether a UNet's first convolution also takes a mask or an image."""
    firsts = (shape for name, shape in shapes.items() if _FIRST_CONVOLUTION.search(name) and
              not name.startswith(("first_stage_model.", "vae.")))  # fmt: skip
    return any(len(shape) == 4 and shape[1] in (5, 8, 9) for shape in firsts)


def _prediction(header: Header) -> str | None:
    if "v_pred" in header.shapes:
        return "v"
    prediction = header.metadata.get("modelspec.prediction_type", "").casefold()
    return prediction if prediction in ("v", "epsilon") else None
