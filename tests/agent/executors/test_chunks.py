"""Prompts in chunks of 75 tokens: cut as A1111 cuts them, and encoded as the pipelines encode them."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffagent.agent.executors.chunks import CHUNK, cut

COMMA = 9


@pytest.mark.parametrize(
    ("tokens", "lengths"),
    [
        ([], [0]),
        ([1] * 75, [75]),
        ([1] * 76, [75, 1]),
        ([1] * 60 + [COMMA] + [1] * 30, [61, 30]),  # what follows a near comma goes over
        ([1] * 40 + [COMMA] + [1] * 50, [75, 16]),  # a far one does not count
        ([1] * 74 + [COMMA] + [1] * 150, [75, 75, 75]),
    ],
)
def test_where_a_prompt_is_cut(tokens: list[int], lengths: list[int]) -> None:
    pieces = cut(tokens, COMMA)
    assert [len(piece) for piece in pieces] == lengths
    assert [token for piece in pieces for token in piece] == tokens
    assert CHUNK == 75


@pytest.mark.parametrize("sdxl", [False, True])
@pytest.mark.parametrize("skip", [None, 1])
def test_one_chunk_is_what_the_pipeline_makes_of_the_prompt(
    sdxl: bool, skip: int | None, tmp_path: Path
) -> None:
    pytest.importorskip("diffusers", reason="needs diffusers: pip install 'diffagent[images]'")
    import torch
    from tiny_pipelines import _pipeline

    from diffagent.agent.executors.chunks import in_chunks, with_long_prompts
    from diffagent.agent.executors.pipelines import text_model

    torch.manual_seed(3)
    pipe = _pipeline(sdxl)
    kwargs = {"prompt": "a fox, snow", "negative_prompt": "blurry", "clip_skip": skip}
    with text_model(pipe):
        expected = pipe.encode_prompt(
            prompt="a fox, snow", negative_prompt="blurry", device="cpu", num_images_per_prompt=1,
            do_classifier_free_guidance=True, clip_skip=skip,
        )  # fmt: skip
        embeddings = in_chunks(pipe, kwargs)
        assert with_long_prompts(pipe, kwargs) == kwargs
        long = with_long_prompts(pipe, {**kwargs, "prompt": "fox, " * 60 + "owl"})
        other = with_long_prompts(pipe, {**kwargs, "prompt": "fox, " * 60 + "elk"})
    assert torch.allclose(embeddings["prompt_embeds"], expected[0], atol=1e-5)
    assert torch.allclose(embeddings["negative_prompt_embeds"], expected[1], atol=1e-5)
    if sdxl:
        assert torch.allclose(embeddings["pooled_prompt_embeds"], expected[2], atol=1e-5)
        assert torch.allclose(embeddings["negative_pooled_prompt_embeds"], expected[3], atol=1e-5)
    assert long["prompt_embeds"].shape[1] == long["negative_prompt_embeds"].shape[1] > 77
    assert not torch.allclose(long["prompt_embeds"], other["prompt_embeds"])
