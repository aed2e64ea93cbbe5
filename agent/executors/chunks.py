"""Prompts longer than CLIP reads, in chunks of 75 tokens, as A1111 and ComfyUI read them.

    tokens → chunks, cut at a comma where one is near → states of each [77, d] → side by side [1, n·77, d]

Prompt and negative prompt get the same number of chunks, padded with empty ones. The pooled states of SDXL's
second encoder are those of the first chunk. As ``process_tokens`` and ``tokenize_line`` of A1111's
``modules/sd_hijack_clip.py``; layers as ``encode_prompt`` of diffusers' pipelines takes them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from diffagent.data.base_models import TABLE

if TYPE_CHECKING:
    import torch

CHUNK = 75
"""Tokens between a chunk's first and last one."""
BACK = 20
"""The most tokens behind a comma that move into the next chunk."""
PIPELINES = {row.backends.diffusers for row in TABLE if row.dialect.tokens == CHUNK}
"""The pipelines of base models that read one chunk at a time."""


def with_long_prompts(pipe: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a pipeline's arguments, with states in place of prompts that are too long for it."""
    texts = [kwargs["prompt"], kwargs.get("negative_prompt") or ""]
    if type(pipe).__name__ not in PIPELINES or all(_count(pipe.tokenizer, text) <= CHUNK for text in texts):
        return dict(kwargs)
    return in_chunks(pipe, kwargs)


def left_out(pipe: Any, kwargs: Mapping[str, Any]) -> str | None:
    """Returns a sentence on the tokens of too long prompts that a pipeline reads; None where it reads all.

    A pipeline of another base model cuts at its ``max_sequence_length``, in the tokens of its last encoder.
    """
    limit = inspect.signature(type(pipe).__call__).parameters.get("max_sequence_length")
    names = ("tokenizer_4", "tokenizer_3", "tokenizer_2", "tokenizer")
    tokenizer = next(
        (candidate for name in names if (candidate := getattr(pipe, name, None)) is not None), None
    )
    if type(pipe).__name__ in PIPELINES or tokenizer is None or limit is None:
        return None
    cuts = []
    for name, words in (("prompt", "the prompt"), ("negative_prompt", "the negative prompt")):
        count = len(tokenizer(kwargs.get(name) or "", truncation=False, verbose=False).input_ids)
        if count > limit.default:
            cuts.append(f"the first {limit.default} of {count} tokens of {words}")
    return f"{type(pipe).__name__} reads {' and '.join(cuts)}" if cuts else None


def is_surely_longer(text: str, tokens: int) -> bool:
    """Whether a text has more tokens than ``tokens`` in any tokenizer: each word and mark is at least one."""
    return len(_WORD.findall(text)) > tokens


_WORD = re.compile(r"\w+|[^\w\s]")


def in_chunks(pipe: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments with states in place of prompts, however short the prompts are."""
    import torch

    texts = [kwargs["prompt"], kwargs.get("negative_prompt") or ""]
    encoders = [(pipe.tokenizer, pipe.text_encoder)]
    is_xl = getattr(pipe, "text_encoder_2", None) is not None
    if is_xl:
        encoders.append((pipe.tokenizer_2, pipe.text_encoder_2))
    skip = kwargs.get("clip_skip")
    all_states: list[list[torch.Tensor]] = []
    pooled: list[torch.Tensor] = []
    for tokenizer, encoder in encoders:
        chunks = [_chunks(tokenizer, text) for text in texts]
        most = max(map(len, chunks))
        states = []
        for pieces, layer in zip(
            chunks, (skip, None), strict=True
        ):  # the pipelines skip for the prompt alone
            ids = _ids(tokenizer, pieces + [[]] * (most - len(pieces)))
            with torch.no_grad():
                out = encoder(ids.to(encoder.device), output_hidden_states=True)
            states.append(_layer(encoder, out, layer, is_xl).reshape(1, -1, out.hidden_states[-1].shape[-1]))
            if is_xl and encoder is pipe.text_encoder_2:
                pooled.append(out[0][:1])
        all_states.append(states)
    positive, negative = (torch.cat([states[n] for states in all_states], dim=-1) for n in (0, 1))
    rest = {
        name: value
        for name, value in kwargs.items()
        if name not in ("prompt", "negative_prompt", "clip_skip")
    }
    rest |= {"prompt_embeds": positive, "negative_prompt_embeds": negative}
    if pooled:
        rest |= {"pooled_prompt_embeds": pooled[0], "negative_pooled_prompt_embeds": pooled[1]}
    return rest


def _layer(encoder: Any, out: Any, skip: int | None, is_xl: bool) -> torch.Tensor:
    """Returns the layer of hidden states at a clip skip, for all chunks: [n, 77, d]."""
    states: torch.Tensor
    if is_xl:
        states = out.hidden_states[-2 if skip is None else -(skip + 2)]
        return states
    if skip is None:
        states = out[0]
        return states
    states = encoder.text_model.final_layer_norm(out.hidden_states[-(skip + 1)])
    return states


def _count(tokenizer: Any, text: str) -> int:
    return len(_tokens(tokenizer, text))


def _tokens(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
    return ids


def _chunks(tokenizer: Any, text: str) -> list[list[int]]:
    """Returns a text's tokens in pieces of at most 75, cut behind the last comma where it is near the end."""
    return cut(_tokens(tokenizer, text), tokenizer.convert_tokens_to_ids(",</w>"))


def cut(tokens: Sequence[int], comma: int | None) -> list[list[int]]:
    """Cuts tokens into pieces of at most 75; returns at least one piece."""
    pieces: list[list[int]] = []
    rest = list(tokens)
    while len(rest) > CHUNK:
        commas = [n for n, token in enumerate(rest[:CHUNK]) if token == comma]
        end = commas[-1] + 1 if commas and CHUNK - commas[-1] <= BACK else CHUNK
        pieces.append(rest[:end])
        rest = rest[end:]
    return [*pieces, rest]


def _ids(tokenizer: Any, pieces: Sequence[Sequence[int]]) -> torch.Tensor:
    """Returns the chunks with their first and last tokens, padded: [n, 77]."""
    import torch

    rows = [[tokenizer.bos_token_id, *piece, tokenizer.eos_token_id] for piece in pieces]
    return torch.tensor([row + [tokenizer.pad_token_id] * (CHUNK + 2 - len(row)) for row in rows])
