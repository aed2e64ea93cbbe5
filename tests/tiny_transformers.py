"""Small pipelines of newer base models with random weights, of diffusers' and transformers' own classes.

Each is a folder in diffusers' layout, whose transformer lies apart in one file, as such models are shared.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} {{ message['content'] }}<|im_end|>"
    "{% endfor %}"
)


def save(base_model: str, folder: Path) -> tuple[Path, Path]:
    """A transformer's file, and the folder of the whole pipeline, whose own transformer has no weights."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(5)
    pipe = BUILDERS[base_model]()
    config = folder / "pipeline"
    pipe.save_pretrained(config)
    for weights in (config / "transformer").glob("*.safetensors"):
        weights.unlink()
    path = folder / "transformer.safetensors"
    save_file(
        {name: value.contiguous().clone() for name, value in pipe.transformer.state_dict().items()}, path
    )
    return path, config


def save_lora(base_model: str, folder: Path) -> Path:
    """A LoRA of rank 4 on the transformer's attention, with the keys of diffusers' trainers."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(6)
    tensors = {}
    for name, weight in BUILDERS[base_model]().transformer.state_dict().items():
        layer = name.removesuffix(".weight")
        if weight.ndim == 2 and layer.endswith((".to_q", ".to_k", ".to_v")):
            tensors[f"transformer.{layer}.lora_A.weight"] = torch.randn(4, weight.shape[1])
            tensors[f"transformer.{layer}.lora_B.weight"] = torch.randn(weight.shape[0], 4)
    path = folder / "lora.safetensors"
    save_file(tensors, path)
    return path


def _shifted() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)


def _flow() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(shift=3.0)


def _vae(channels: int) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), in_channels=3, out_channels=3, latent_channels=channels,
        norm_num_groups=4, sample_size=32, down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, use_quant_conv=False, use_post_quant_conv=False,
        shift_factor=0.1, scaling_factor=0.4,
    )  # fmt: skip


def _letters() -> list[str]:
    return [chr(code) for code in range(33, 127)]


def _clip(width: int = 16, projected: bool = True) -> tuple[Any, Any]:
    """A text encoder and its tokenizer."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    words = [*_letters(), *(f"{letter}</w>" for letter in _letters()), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    config = CLIPTextConfig(
        vocab_size=len(words), hidden_size=width, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=77, projection_dim=width,
        bos_token_id=len(words) - 2, eos_token_id=len(words) - 1,
    )  # fmt: skip
    kind = CLIPTextModelWithProjection if projected else CLIPTextModel
    return kind(config), CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def _t5(width: int = 32, kind: str = "T5") -> tuple[Any, Any]:
    import transformers

    words = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("▁", -1.0),
        *((letter, -2.0) for letter in _letters()),
    ]
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(words) + 100, d_model=width, d_ff=16, d_kv=8, num_layers=2, num_heads=2,
    )  # fmt: skip
    encoder = getattr(transformers, f"{kind}EncoderModel")(config)
    return encoder, transformers.T5Tokenizer(vocab=words, model_max_length=64)


def _qwen(config: Any, kind: str) -> tuple[Any, Any]:
    import transformers
    from transformers import Qwen2Tokenizer

    letters = [*_letters(), "Ġ", "Ċ"]
    vocabulary = {word: number for number, word in enumerate(letters)}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[], unk_token="!", pad_token="<|endoftext|>")
    tokenizer.chat_template = _CHAT
    return getattr(transformers, kind)(config), tokenizer


def _qwen3(layers: int) -> Any:
    from transformers import Qwen3Config

    return Qwen3Config(
        vocab_size=128, hidden_size=16, intermediate_size=16, num_hidden_layers=layers, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=1024,
    )  # fmt: skip


def _sd35() -> Any:
    from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline

    transformer = SD3Transformer2DModel(
        sample_size=32, patch_size=2, in_channels=16, num_layers=2, attention_head_dim=8,
        num_attention_heads=4, joint_attention_dim=32, caption_projection_dim=32, pooled_projection_dim=32,
        out_channels=16, pos_embed_max_size=32, qk_norm="rms_norm",
    )  # fmt: skip
    first, second, third = _clip(), _clip(), _t5()
    return StableDiffusion3Pipeline(transformer, _flow(), _vae(16), *first, *second, *third)


def _flux(guided: bool = True) -> Any:
    from diffusers import FluxPipeline, FluxTransformer2DModel

    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=16, guidance_embeds=guided,
        axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    return FluxPipeline(_shifted(), _vae(16), *_clip(projected=False), *_t5(), transformer)


def _chroma() -> Any:
    from diffusers import ChromaPipeline, ChromaTransformer2DModel

    transformer = ChromaTransformer2DModel(
        patch_size=1, in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, axes_dims_rope=(4, 4, 8),
        approximator_num_channels=16, approximator_hidden_dim=32, approximator_layers=1,
    )  # fmt: skip
    return ChromaPipeline(_flow(), _vae(16), *_t5(), transformer)


def _z_image() -> Any:
    from diffusers import ZImagePipeline, ZImageTransformer2DModel

    transformer = ZImageTransformer2DModel(
        in_channels=16, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16,
        axes_dims=[4, 4, 8], axes_lens=[1024, 64, 64],
    )  # fmt: skip
    return ZImagePipeline(_flow(), _vae(16), *_qwen(_qwen3(2), "Qwen3Model"), transformer)


def _qwen_vae() -> Any:
    from diffusers import AutoencoderKLQwenImage

    return AutoencoderKLQwenImage(base_dim=8, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)


def _qwen_image() -> Any:
    from diffusers import QwenImagePipeline, QwenImageTransformer2DModel
    from transformers import Qwen2_5_VLConfig

    text = {
        "vocab_size": 128, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 4096,
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
    }  # fmt: skip
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    transformer = QwenImageTransformer2DModel(
        patch_size=2, in_channels=64, out_channels=16, num_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=16, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    encoder, tokenizer = _qwen(config, "Qwen2_5_VLForConditionalGeneration")
    return QwenImagePipeline(_shifted(), _qwen_vae(), encoder, tokenizer, transformer)


def _flux2_vae() -> Any:
    from diffusers import AutoencoderKLFlux2

    return AutoencoderKLFlux2(
        block_out_channels=(8, 8, 8, 8), latent_channels=8, norm_num_groups=4, sample_size=32,
        layers_per_block=1,
    )  # fmt: skip


def _klein() -> Any:
    from diffusers import Flux2KleinPipeline, Flux2Transformer2DModel

    transformer = Flux2Transformer2DModel(
        in_channels=32, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=48, timestep_guidance_channels=16, axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )  # fmt: skip
    encoder, tokenizer = _qwen(_qwen3(28), "Qwen3ForCausalLM")
    return Flux2KleinPipeline(_shifted(), _flux2_vae(), encoder, tokenizer, transformer, is_distilled=True)


def _auraflow() -> Any:
    from diffusers import AuraFlowPipeline, AuraFlowTransformer2DModel

    transformer = AuraFlowTransformer2DModel(
        sample_size=32, in_channels=4, num_mmdit_layers=1, num_single_dit_layers=1, attention_head_dim=8,
        num_attention_heads=4, joint_attention_dim=32, caption_projection_dim=32, out_channels=4,
        pos_embed_max_size=256,
    )  # fmt: skip
    encoder, tokenizer = _t5(kind="UMT5")
    return AuraFlowPipeline(tokenizer, encoder, _vae(4), transformer, _flow())


def _lumina() -> Any:
    from diffusers import Lumina2Pipeline, Lumina2Transformer2DModel
    from transformers import Gemma2Config, Gemma2Model, GemmaTokenizer

    letters = ["<pad>", "<eos>", "<bos>", "<unk>", "\u2581", *_letters()]
    vocabulary = {word: number for number, word in enumerate(letters)}
    config = Gemma2Config(
        vocab_size=len(letters) + 300, hidden_size=16, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8,
    )  # fmt: skip
    transformer = Lumina2Transformer2DModel(
        sample_size=32, in_channels=16, hidden_size=32, num_layers=1, num_refiner_layers=1,
        num_attention_heads=2, num_kv_heads=1, multiple_of=16, axes_dim_rope=(4, 4, 8),
        axes_lens=(512, 64, 64), cap_feat_dim=16,
    )  # fmt: skip
    tokenizer = GemmaTokenizer(vocab=vocabulary, merges=[])
    return Lumina2Pipeline(transformer, _flow(), _vae(16), Gemma2Model(config), tokenizer)


def _krea2() -> Any:
    from diffusers import Krea2Pipeline, Krea2Transformer2DModel
    from transformers import Qwen3VLConfig

    text = {
        "vocab_size": 128, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 3,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 4096,
        "rope_scaling": {"rope_type": "default", "mrope_section": [2, 1, 1]},
    }  # fmt: skip
    vision = {
        "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16,
        "deepstack_visual_indexes": [0],
    }  # fmt: skip
    transformer = Krea2Transformer2DModel(
        in_channels=64, num_layers=1, attention_head_dim=16, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=32, timestep_embed_dim=16, text_hidden_dim=16, num_text_layers=2,
        text_num_attention_heads=2, text_num_key_value_heads=2, text_intermediate_size=16,
        num_layerwise_text_blocks=1, num_refiner_text_blocks=1, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    encoder, tokenizer = _qwen(Qwen3VLConfig(text_config=text, vision_config=vision), "Qwen3VLModel")
    return Krea2Pipeline(
        _shifted(), _qwen_vae(), encoder, tokenizer, transformer, text_encoder_select_layers=(1, 2),
        is_distilled=True,
    )  # fmt: skip


def _flux2() -> Any:
    from diffusers import Flux2Pipeline, Flux2Transformer2DModel
    from transformers import Mistral3Config, Mistral3ForConditionalGeneration

    text = {
        "model_type": "mistral", "vocab_size": 128, "hidden_size": 16, "intermediate_size": 16,
        "num_hidden_layers": 31, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
    }  # fmt: skip
    vision = {
        "model_type": "pixtral", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "head_dim": 8, "image_size": 32, "patch_size": 8,
    }  # fmt: skip
    encoder = Mistral3ForConditionalGeneration(Mistral3Config(text_config=text, vision_config=vision))
    transformer = Flux2Transformer2DModel(
        in_channels=32, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=48, timestep_guidance_channels=16, axes_dims_rope=(4, 4, 4, 4),
    )  # fmt: skip
    return Flux2Pipeline(_shifted(), _flux2_vae(), encoder, _reader_of_chats(), transformer)


def _reader_of_chats() -> Any:
    """A tokenizer in place of the processor, which needs torchvision; without pictures it does the same."""
    _, tokenizer = _qwen(_qwen3(1), "Qwen3Model")
    tokenizer.chat_template = _CHAT.replace("message['content']", "message['content'][0]['text']")
    return tokenizer


BUILDERS: dict[str, Callable[[], Any]] = {
    "SD 3.5 Large": _sd35,
    "Flux.1 D": _flux,
    "Flux.1 S": lambda: _flux(guided=False),
    "Chroma": _chroma,
    "ZImageTurbo": _z_image,
    "Qwen": _qwen_image,
    "Flux.2 Klein 4B": _klein,
    "AuraFlow": _auraflow,
    "Lumina": _lumina,
    "Krea 2 Turbo": _krea2,
    "Flux.2 D": _flux2,
}


def main() -> None:
    """Builds each, and says what fails."""
    import tempfile

    for name in BUILDERS:
        with tempfile.TemporaryDirectory() as folder:
            path, config = save(name, Path(folder))
            print(
                name,
                path.stat().st_size,
                json.loads((config / "model_index.json").read_text())["_class_name"],
            )


if __name__ == "__main__":
    main()
