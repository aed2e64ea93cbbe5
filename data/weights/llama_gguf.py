"""Converts a quantised Llama in GGUF to a transformers folder: bf16 safetensors, configuration, tokenizer.

The conversion runs one tensor at a time. transformers' own reader needs accelerate, holds the whole model in
fp32, and drops SmolLM2's split of numbers into digits.

llama.cpp stores the rows of the query and key projections in pairs (its rotary embedding turns neighbours),
transformers in halves; :func:`_unpair` puts them back.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent.data.errors import MissingWeights

if TYPE_CHECKING:
    import numpy as np

_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_CONTROL_TOKEN = 3


def convert(payload: Path, folder: Path) -> None:
    """Writes ``folder`` from the GGUF file ``payload``; peak memory is the bf16 model and one fp32 tensor."""
    from gguf import GGUFReader

    reader = GGUFReader(payload)
    fields = {key: field.contents() for key, field in reader.fields.items()}
    if fields["general.architecture"] != "llama" or fields["tokenizer.ggml.pre"] != "smollm":
        raise MissingWeights(
            f"{payload.name} is a {fields['general.architecture']} with the tokenizer "
            f"{fields['tokenizer.ggml.pre']}; "
            "only SmolLM2's kind of Llama is converted: give a transformers folder instead"
        )
    config = _config(fields, tied=all(tensor.name != "output.weight" for tensor in reader.tensors))
    _write_json(folder / "config.json", config)
    _write_json(
        folder / "generation_config.json", {key: config[key] for key in config if key.endswith("token_id")}
    )
    _write_tokenizer(fields, folder)
    _write_tensors(reader.tensors, config, folder / "model.safetensors")


def _config(fields: dict[str, Any], tied: bool) -> dict[str, Any]:
    heads = fields["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "vocab_size": fields["llama.vocab_size"],
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "head_dim": fields["llama.embedding_length"] // heads,
        "max_position_embeddings": fields["llama.context_length"],
        "rope_parameters": {"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        "rms_norm_eps": round(fields["llama.attention.layer_norm_rms_epsilon"], 12),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": tied,
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
    }


def _write_tokenizer(fields: dict[str, Any], folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    types = fields["tokenizer.ggml.token_type"]
    special = [token for token, kind in zip(tokens, types, strict=True) if kind == _CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    specials = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}
    config = {ours: tokens[fields[f"tokenizer.ggml.{theirs}_token_id"]] for theirs, ours in specials.items()}
    config |= {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    config |= {"model_max_length": fields["llama.context_length"], "add_prefix_space": False}
    config["chat_template"] = fields["tokenizer.chat_template"]
    _write_json(folder / "tokenizer_config.json", config)


def _write_tensors(tensors: list[Any], config: dict[str, Any], file: Path) -> None:
    import torch
    from gguf import dequantize
    from safetensors.torch import save_file
    from tqdm import tqdm

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    state = {}
    for tensor in tqdm(tensors, desc="converting to bf16", unit="tensor", mininterval=0.5):
        values = dequantize(tensor.data, tensor.tensor_type)
        block = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", tensor.name)
        if block:
            name = f"model.layers.{block[1]}.{_LAYER[block[2]]}.weight"
            if block[2] in heads:
                values = _unpair(values, heads[block[2]])
        else:
            name = f"{_TOP[tensor.name.removesuffix('.weight')]}.weight"
        state[name] = torch.tensor(values).to(torch.bfloat16).contiguous()
    save_file(state, file, metadata={"format": "pt"})


def _unpair(rows: np.ndarray, heads: int) -> np.ndarray:
    """``[heads * 2d, n]`` with rows (0, d, 1, d+1, …) in each head → rows (0, 1, …, 2d-1)."""
    halves = rows.shape[0] // heads // 2
    return rows.reshape(heads, halves, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def _write_json(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
