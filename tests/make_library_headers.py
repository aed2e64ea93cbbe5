"""Makes ``assets/library_headers.json.gz``: names and shapes of real models' tensors, without any tensor.

    python tests/make_library_headers.py COMFYUI LYCORIS      # checkouts of the two projects

The classes are the projects' own (ComfyUI's for the original layouts, diffusers' and transformers' for
theirs), made on the meta device. ``Z-Image`` and ``FLUX.2`` in their original layouts are renamed from
diffusers' classes by the tables of its ``loaders/single_file_utils.py``, read backwards.
Part → tensor → shape.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "assets" / "library_headers.json.gz"


def main() -> None:
    comfyui, lycoris = sys.argv[1:3]
    sys.argv = [sys.argv[0], "--cpu"]
    sys.path[:0] = [comfyui, lycoris]
    import diffusers  # noqa: F401  before the stand-ins, which it would take for the real ones
    import transformers  # noqa: F401

    for name in ("torchvision", "torchaudio"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["torchvision"].transforms = types.ModuleType("transforms")  # type: ignore[attr-defined]
    sys.modules["torchvision.transforms"] = sys.modules["torchvision"].transforms
    import comfy.options

    comfy.options.enable_args_parsing()
    parts: dict[str, dict[str, list[int]]] = {}
    for name, make in (*original(), *diffusers_layout(), *text_encoders(), *adapters()):
        try:
            parts[name] = {key: list(value.shape) for key, value in make().items()}
            print(f"{name}: {len(parts[name])}")
        except Exception as error:
            print(f"{name}: FAILED {type(error).__name__}: {str(error)[:200]}")
    for name, renamed in (("z_image", z_image), ("flux2_dev", flux2), ("flux2_klein_4b", flux2)):
        parts[name] = renamed(parts.pop(name + "_diffusers"))
    text = json.dumps(parts, separators=(",", ":"), sort_keys=True).encode()
    OUT.write_bytes(gzip.compress(text, 9, mtime=0))
    print(OUT, OUT.stat().st_size)


def states(make: Callable[[], Any], place: str = "meta") -> Callable[[], dict[str, Any]]:
    import torch

    def run() -> dict[str, Any]:
        with torch.device(place):
            return dict(make().state_dict())

    return run


def original() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    import comfy.ops
    import torch
    from comfy.cldm.cldm import ControlNet
    from comfy.ldm.aura.mmdit import MMDiT as Aura
    from comfy.ldm.chroma.model import Chroma
    from comfy.ldm.flux.model import Flux
    from comfy.ldm.hidream.model import HiDreamImageTransformer2DModel
    from comfy.ldm.hydit.models import HunYuanDiT
    from comfy.ldm.lightricks.model import LTXVModel
    from comfy.ldm.lumina.model import NextDiT
    from comfy.ldm.models.autoencoder import AutoencodingEngine
    from comfy.ldm.modules.diffusionmodules.mmdit import MMDiT
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.ldm.pixart.pixartms import PixArtMS
    from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel
    from comfy.ldm.wan.model import WanModel
    from comfy.ldm.wan.vae import WanVAE

    ops = {"operations": comfy.ops.disable_weight_init, "device": "meta", "dtype": torch.float16}
    flat = {
        "image_size": 32,
        "out_channels": 4,
        "use_spatial_transformer": True,
        "legacy": False,
        "in_channels": 4,
        "model_channels": 320,
        "use_temporal_attention": False,
        "use_temporal_resblock": False,
    }
    sd = {
        **flat,
        "num_res_blocks": [2] * 4,
        "transformer_depth": [1] * 6 + [0, 0],
        "channel_mult": [1, 2, 4, 4],
        "transformer_depth_middle": 1,
        "transformer_depth_output": [1] * 9 + [0] * 3,
        "adm_in_channels": None,
    }
    sd15: dict[str, Any] = {**sd, "use_linear_in_transformer": False, "context_dim": 768, "num_heads": 8}
    sd21: dict[str, Any] = {
        **sd,
        "use_linear_in_transformer": True,
        "context_dim": 1024,
        "num_head_channels": 64,
    }
    sdxl: dict[str, Any] = {
        **flat,
        "num_classes": "sequential",
        "adm_in_channels": 2816,
        "num_res_blocks": [2] * 3,
        "transformer_depth": [0, 0, 2, 2, 10, 10],
        "channel_mult": [1, 2, 4],
        "transformer_depth_middle": 10,
        "use_linear_in_transformer": True,
        "context_dim": 2048,
        "num_head_channels": 64,
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    }
    refiner: dict[str, Any] = {
        **flat,
        "num_classes": "sequential",
        "adm_in_channels": 2560,
        "model_channels": 384,
        "num_res_blocks": [2] * 4,
        "transformer_depth": [0, 0, 4, 4, 4, 4, 0, 0],
        "channel_mult": [1, 2, 4, 4],
        "transformer_depth_middle": 4,
        "use_linear_in_transformer": True,
        "context_dim": 1280,
        "num_head_channels": 64,
        "transformer_depth_output": [0, 0, 0, 4, 4, 4, 4, 4, 4, 0, 0, 0],
    }
    for name, config in {"sd15": sd15, "sd21": sd21, "sdxl": sdxl, "sdxl_refiner": refiner}.items():
        yield name, states(partial(UNetModel, **config, **ops))
    yield "sd15_inpainting", states(lambda: UNetModel(**{**sd15, "in_channels": 9}, **ops))
    hint = {k: v for k, v in sd15.items() if k not in ("out_channels", "transformer_depth_output")}
    yield "sd15_controlnet", states(lambda: ControlNet(**hint, hint_channels=3, **ops))
    flux = {
        "in_channels": 16,
        "out_channels": 16,
        "vec_in_dim": 768,
        "context_in_dim": 4096,
        "hidden_size": 3072,
        "mlp_ratio": 4.0,
        "num_heads": 24,
        "depth": 19,
        "depth_single_blocks": 38,
        "axes_dim": [16, 56, 56],
        "theta": 10000,
        "patch_size": 2,
        "qkv_bias": True,
    }
    yield "flux_dev", states(lambda: Flux(**flux, guidance_embed=True, **ops))
    yield "flux_schnell", states(lambda: Flux(**flux, guidance_embed=False, **ops))
    chroma = {
        **flux,
        "in_channels": 64,
        "out_channels": 64,
        "in_dim": 64,
        "out_dim": 3072,
        "hidden_dim": 5120,
        "n_layers": 5,
    }
    del chroma["vec_in_dim"]
    yield "chroma", states(lambda: Chroma(**chroma, **ops))
    sd3 = {
        "input_size": None,
        "in_channels": 16,
        "out_channels": 16,
        "patch_size": 2,
        "adm_in_channels": 2048,
        "pos_embed_scaling_factor": None,
    }

    def embedder(width: int) -> dict[str, Any]:
        return {"target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": width}}

    yield (
        "sd3_medium",
        states(
            lambda: MMDiT(
                **sd3,
                depth=24,
                num_patches=192**2,
                pos_embed_max_size=192,
                context_embedder_config=embedder(1536),
                **ops,
            )
        ),
    )
    yield (
        "sd35_large",
        states(
            lambda: MMDiT(
                **sd3,
                depth=38,
                num_patches=192**2,
                pos_embed_max_size=192,
                qk_norm="rms",
                context_embedder_config=embedder(2432),
                **ops,
            )
        ),
    )
    yield (
        "sd35_medium",
        states(
            lambda: MMDiT(
                **sd3,
                depth=24,
                num_patches=384**2,
                pos_embed_max_size=384,
                qk_norm="rms",
                x_block_self_attn_layers=list(range(13)),
                context_embedder_config=embedder(1536),
                **ops,
            )
        ),
    )
    yield "auraflow", states(lambda: Aura(max_seq=4096, n_layers=36, n_double_layers=4, **ops))
    yield (
        "pixart_sigma",
        states(lambda: PixArtMS(input_size=128, micro_condition=False, model_max_length=300, **ops), "cpu"),
    )
    yield (
        "pixart_alpha",
        states(lambda: PixArtMS(input_size=128, micro_condition=True, model_max_length=120, **ops), "cpu"),
    )
    yield "hunyuan_dit", states(lambda: HunYuanDiT(depth=40, hidden_size=1408, mlp_ratio=4.3637, **ops))
    yield (
        "lumina2",
        states(
            lambda: NextDiT(
                patch_size=2,
                in_channels=16,
                dim=2304,
                cap_feat_dim=2304,
                n_layers=26,
                n_heads=24,
                n_kv_heads=8,
                qk_norm=True,
                axes_dims=[32, 32, 32],
                axes_lens=[300, 512, 512],
                **ops,
            )
        ),
    )
    yield "qwen_image", states(lambda: QwenImageTransformer2DModel(in_channels=64, **ops))
    yield (
        "hidream",
        states(
            lambda: HiDreamImageTransformer2DModel(
                patch_size=2,
                in_channels=16,
                out_channels=16,
                num_layers=16,
                num_single_layers=32,
                attention_head_dim=128,
                num_attention_heads=20,
                caption_channels=[4096, 4096],
                text_emb_dim=2048,
                num_routed_experts=4,
                num_activated_experts=2,
                axes_dims_rope=(64, 32, 32),
                max_resolution=(128, 128),
                llama_layers=[*range(32), *[31] * 16],
                **ops,
            )
        ),
    )
    yield "wan_t2v_1_3b", states(lambda: WanModel(dim=1536, ffn_dim=8960, num_heads=12, num_layers=30, **ops))
    yield "ltxv", states(lambda: LTXVModel(**ops))
    dd = {
        "double_z": True,
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 128,
        "ch_mult": [1, 2, 4, 4],
        "num_res_blocks": 2,
        "attn_resolutions": [],
        "dropout": 0.0,
    }

    def vae(channels: int, embed: int | None) -> Any:
        from comfy.ldm.models.autoencoder import AutoencoderKL

        config = {**dd, "z_channels": channels}
        if embed:
            return AutoencoderKL(ddconfig=config, embed_dim=embed)
        place = "comfy.ldm.modules.diffusionmodules.model."
        regularizer = "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"
        return AutoencodingEngine(
            regularizer_config={"target": regularizer},
            encoder_config={"target": place + "Encoder", "params": config},
            decoder_config={"target": place + "Decoder", "params": config},
        )

    yield "vae_sd", states(lambda: vae(4, 4))
    yield "vae_flux", states(lambda: vae(16, None))
    yield "vae_qwen_wan", states(lambda: WanVAE(dim=96, z_dim=16))


def diffusers_layout() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    import diffusers

    yield "sd15_diffusers", states(lambda: diffusers.UNet2DConditionModel(cross_attention_dim=768))
    xl = {
        "cross_attention_dim": 2048,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "transformer_layers_per_block": [1, 2, 10],
        "attention_head_dim": [5, 10, 20],
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    }
    up = {"up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")}
    yield "sdxl_diffusers", states(lambda: diffusers.UNet2DConditionModel(**xl, **up))
    kolors = {
        **xl,
        "encoder_hid_dim": 4096,
        "encoder_hid_dim_type": "text_proj",
        "projection_class_embeddings_input_dim": 5632,
    }
    yield "kolors_diffusers", states(lambda: diffusers.UNet2DConditionModel(**kolors, **up))
    yield "sdxl_controlnet", states(lambda: diffusers.ControlNetModel(**xl))
    yield "flux_diffusers", states(lambda: diffusers.FluxTransformer2DModel(guidance_embeds=True))
    yield "flux_controlnet", states(lambda: diffusers.FluxControlNetModel(num_layers=5, num_single_layers=10))
    yield (
        "sd35_diffusers",
        states(
            lambda: diffusers.SD3Transformer2DModel(
                num_layers=38, num_attention_heads=38, caption_projection_dim=2432, qk_norm="rms_norm"
            )
        ),
    )
    yield "z_image_diffusers", states(lambda: diffusers.ZImageTransformer2DModel())
    yield "flux2_dev_diffusers", states(lambda: diffusers.Flux2Transformer2DModel())
    yield (
        "flux2_klein_4b_diffusers",
        states(
            lambda: diffusers.Flux2Transformer2DModel(
                num_layers=5,
                num_single_layers=20,
                num_attention_heads=24,
                joint_attention_dim=7680,
                guidance_embeds=False,
            )
        ),
    )
    yield "sana_diffusers", states(lambda: diffusers.SanaTransformer2DModel())
    yield "cosmos2_diffusers", states(lambda: diffusers.CosmosTransformer3DModel())
    yield (
        "vae_sdxl_diffusers",
        states(
            lambda: diffusers.AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=(128, 256, 512, 512),
                layers_per_block=2,
            )
        ),
    )
    yield "vae_flux2_diffusers", states(lambda: diffusers.AutoencoderKLFlux2())
    yield "taesd_diffusers", states(lambda: diffusers.AutoencoderTiny())


def text_encoders() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    import transformers as tf

    yield (
        "clip_l",
        states(
            lambda: tf.CLIPTextModel(
                tf.CLIPTextConfig(
                    hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=12
                )
            )
        ),
    )
    yield (
        "clip_g",
        states(
            lambda: tf.CLIPTextModelWithProjection(
                tf.CLIPTextConfig(
                    hidden_size=1280,
                    intermediate_size=5120,
                    num_attention_heads=20,
                    num_hidden_layers=32,
                    projection_dim=1280,
                )
            )
        ),
    )
    yield (
        "t5xxl",
        states(
            lambda: tf.T5EncoderModel(
                tf.T5Config(
                    d_model=4096,
                    d_ff=10240,
                    num_layers=24,
                    num_heads=64,
                    d_kv=64,
                    vocab_size=32128,
                    feed_forward_proj="gated-gelu",
                )
            )
        ),
    )
    yield (
        "qwen3_4b",
        states(
            lambda: tf.Qwen3ForCausalLM(
                tf.Qwen3Config(
                    hidden_size=2560,
                    intermediate_size=9728,
                    num_hidden_layers=36,
                    num_attention_heads=32,
                    num_key_value_heads=8,
                    head_dim=128,
                    tie_word_embeddings=True,
                )
            )
        ),
    )
    yield "qwen25_vl_7b", states(lambda: tf.Qwen2_5_VLForConditionalGeneration(tf.Qwen2_5_VLConfig()))
    yield (
        "gemma2_2b",
        states(
            lambda: tf.Gemma2Model(
                tf.Gemma2Config(
                    hidden_size=2304,
                    intermediate_size=9216,
                    num_hidden_layers=26,
                    num_attention_heads=8,
                    num_key_value_heads=4,
                )
            )
        ),
    )
    yield (
        "clip_vision_h",
        states(
            lambda: tf.CLIPVisionModelWithProjection(
                tf.CLIPVisionConfig(
                    hidden_size=1280,
                    intermediate_size=5120,
                    num_hidden_layers=32,
                    num_attention_heads=16,
                    patch_size=14,
                    projection_dim=1024,
                )
            )
        ),
    )


def adapters() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    import diffusers
    import torch
    from lycoris.modules.locon import LoConModule
    from lycoris.modules.loha import LohaModule
    from lycoris.modules.lokr import LokrModule

    yield "t2i_adapter", states(lambda: diffusers.T2IAdapter(adapter_type="full_adapter"))
    yield "motion_module", states(lambda: diffusers.MotionAdapter())

    def module(kind: Any, conv: bool = False, **options: Any) -> Callable[[], dict[str, Any]]:
        layer = torch.nn.Conv2d(320, 320, 3) if conv else torch.nn.Linear(768, 320)

        def run() -> dict[str, Any]:
            adapter = kind("layer", layer, 1.0, lora_dim=8, alpha=4, **options)
            return (
                {**adapter.state_dict(), **getattr(adapter, "custom_state_dict", dict)()}
                if hasattr(adapter, "custom_state_dict") and adapter.custom_state_dict()
                else dict(adapter.state_dict())
            )

        return run

    yield "lycoris_locon", module(LoConModule)
    yield "lycoris_locon_conv", module(LoConModule, True)
    yield "lycoris_locon_cp", module(LoConModule, True, use_tucker=True)
    yield "lycoris_loha", module(LohaModule)
    yield "lycoris_lokr", module(LokrModule, factor=8)
    yield "lycoris_dora", module(LoConModule, weight_decompose=True)


def z_image(shapes: dict[str, list[int]]) -> dict[str, list[int]]:
    """diffusers' names as the original files have them: fused attention, no "all_" layers by patch size."""
    renames = (
        ("all_final_layer.2-1.", "final_layer."),
        ("all_x_embedder.2-1.", "x_embedder."),
        (".attention.to_out.0.", ".attention.out."),
        (".attention.norm_k.", ".attention.k_norm."),
        (".attention.norm_q.", ".attention.q_norm."),
    )
    renamed = {}
    for name, shape in shapes.items():
        for new, old in renames:
            name = name.replace(new, old)
        if name.endswith((".to_k.weight", ".to_v.weight")):
            continue
        if name.endswith(".to_q.weight"):
            name, shape = name.replace(".to_q.", ".qkv."), [3 * shape[0], shape[1]]
        renamed[name] = shape
    return renamed


def flux2(shapes: dict[str, list[int]]) -> dict[str, list[int]]:
    """diffusers' names of FLUX.2 as the original files have them."""
    renames = (
        ("single_transformer_blocks.", "single_blocks."),
        ("transformer_blocks.", "double_blocks."),
        ("attn.to_qkv_mlp_proj", "linear1"),
        ("ff_context.linear_in", "txt_mlp.0"),
        ("ff_context.linear_out", "txt_mlp.2"),
        ("ff.linear_in", "img_mlp.0"),
        ("ff.linear_out", "img_mlp.2"),
        ("attn.to_out.0", "img_attn.proj"),
        ("attn.to_out", "linear2"),
        ("attn.to_add_out", "txt_attn.proj"),
        ("attn.to_q.", "img_attn.qkv."),
        ("attn.add_q_proj.", "txt_attn.qkv."),
        ("modulation.linear", "modulation.lin"),
        ("modulation_img.linear", "modulation_img.lin"),
        ("modulation_txt.linear", "modulation_txt.lin"),
        ("x_embedder", "img_in"),
        ("context_embedder", "txt_in"),
        ("time_guidance_embed.timestep_embedder.linear_1", "time_in.in_layer"),
        ("time_guidance_embed.timestep_embedder.linear_2", "time_in.out_layer"),
        ("time_guidance_embed.guidance_embedder.linear_1", "guidance_in.in_layer"),
        ("time_guidance_embed.guidance_embedder.linear_2", "guidance_in.out_layer"),
        ("norm_out.linear", "final_layer.adaLN_modulation.1"),
        ("proj_out", "final_layer.linear"),
    )
    norms = (
        ("attn.norm_added_q", "txt_attn.norm.query_norm"),
        ("attn.norm_added_k", "txt_attn.norm.key_norm"),
    )
    renamed = {}
    for name, shape in shapes.items():
        if re.search(r"\.(?:to_[kv]|add_[kv]_proj)\.", name):
            continue
        fused = ".to_q." in name or ".add_q_proj." in name
        for new, old in norms:
            name = name.replace(new + ".weight", old + ".scale")
        where = "" if name.startswith("single_") else "img_attn."
        name = name.replace("attn.norm_q.weight", where + "norm.query_norm.scale")
        name = name.replace("attn.norm_k.weight", where + "norm.key_norm.scale")
        for new, old in renames:
            name = name.replace(new, old)
        renamed[name] = [3 * shape[0], *shape[1:]] if fused else shape
    return renamed


if __name__ == "__main__":
    main()
