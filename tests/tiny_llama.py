"""A tiny real Llama with a tiny real tokenizer, as transformers saves them."""

from __future__ import annotations

import json
from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


SPELLINGS = ("prepended", "always", "first")
"""How a tokenizer.json says that SentencePiece puts a space before a text: LLaMA-2's own, and two of
transformers'."""


def write_tiny_llama(folder: Path, seed: int = 7, head_size: int = 8) -> None:
    """A LlamaForCausalLM of two layers with grouped heads and random weights, as transformers saves it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        ['{"model":"Pixel Art","sampling_method":"Euler a"} DPM++ 2M Karras'] * 3, trainer
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    _write_weights(folder, tokenizer.get_vocab_size(), seed, head_size)


def write_tiny_sentencepiece(folder: Path, spelling: str = "prepended", seed: int = 7) -> None:
    """The same model with LLaMA-2's kind of tokenizer, trained by the sentencepiece library and converted by
    transformers; it brings no chat template."""
    import sentencepiece
    from transformers import LlamaTokenizer

    texts = ['A Tiny Pixels = [512,512,"Euler a",20,7]', 'B {"model":"Pixel Art"} DPM++ 2M Karras', "a fox"]
    letters = "ABCDEFGHIJKLMNOP"
    texts += [f"{letter} x{letter}" for letter in letters]
    sentencepiece.SentencePieceTrainer.train(  # pyright: ignore
        sentence_iterator=iter(texts * 20),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=400,
        model_type="bpe",
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        minloglevel=2,
    )
    tokenizer = LlamaTokenizer.from_pretrained(str(folder), legacy=spelling != "first")
    tokenizer.save_pretrained(folder)
    if spelling == "prepended":  # as in the file that stands beside LLaMA-2's weights
        tokenizer_json = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        tokenizer_json["pre_tokenizer"] = None
        space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
        tokenizer_json["normalizer"] = {
            "type": "Sequence",
            "normalizers": [{"type": "Prepend", "prepend": "▁"}, space],
        }
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json), encoding="utf-8")
    _write_weights(folder, len(tokenizer), seed, 8)


def _write_weights(folder: Path, words: int, seed: int, head_size: int) -> None:
    import torch
    from transformers.models.llama.configuration_llama import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=words,
        hidden_size=4 * head_size,
        intermediate_size=6 * head_size,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1500,
        initializer_range=0.6,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
