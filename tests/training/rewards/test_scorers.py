"""The published scorers on small random weights under the published names, against references written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("PIL", reason="needs pip install 'diffagent[images]'")
import importlib.util
import sys

from PIL import Image

from diffagent.data.errors import BadInput, MissingWeights
from diffagent.training.rewards.checkpoints import found, found_file, read_state
from diffagent.training.rewards.clip_score import ClipScore
from diffagent.training.rewards.hps import HPSv2, from_open_clip, materialised
from diffagent.training.rewards.image_reward import ImageReward, architecture, from_published
from diffagent.training.rewards.pictures import CROPPED, FITTED, batches

_SPEC = importlib.util.spec_from_file_location("reference", Path(__file__).with_name("reference.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
reference = importlib.util.module_from_spec(_SPEC)
sys.modules["reference"] = reference
_SPEC.loader.exec_module(reference)
WIDTH, LAYERS, HEADS, SIZE, PATCH = 16, 2, 2, 16, 8


class Words:
    """A tokenizer of three words between a beginning and an end."""

    def __init__(self, ids: list[int], pad: int = 0) -> None:
        self.ids, self.pad = ids, pad

    def __call__(self, texts: list[str], padding: str | None = None, max_length: int = 0, **_: Any) -> Any:
        rest = max_length - len(self.ids) if padding else 0
        ids = torch.tensor([self.ids + [self.pad] * rest])
        return {"input_ids": ids, "attention_mask": torch.tensor([[1] * len(self.ids) + [0] * rest])}


def pictures(count: int, size: tuple[int, int] = (16, 16)) -> list[Image.Image]:
    rng = np.random.default_rng(5)
    return [Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8)) for _ in range(count)]


def clip_model(state: dict[str, Any]) -> Any:
    from transformers import CLIPConfig, CLIPModel

    tower = {
        "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "hidden_act": "gelu", "projection_dim": 8,
    }  # fmt: skip
    text = {**tower, "vocab_size": 12, "max_position_embeddings": 9, "eos_token_id": 11, "bos_token_id": 1}
    seen = {**tower, "image_size": SIZE, "patch_size": PATCH}
    with torch.device("meta"):
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=seen, projection_dim=8))
    named = from_open_clip(state)
    model.load_state_dict(named, strict=False, assign=True)
    return materialised(model, named)


@pytest.fixture(scope="module")
def clip() -> dict[str, Any]:
    return reference.clip_state(WIDTH, LAYERS, 4, 12, 9, PATCH, 8)  # type: ignore[no-any-return]


def test_clip_score_and_hps_equal_their_formulas_by_an_independent_forward(clip: dict[str, Any]) -> None:
    model, ids = clip_model(clip), [1, 4, 7, 3, 11]
    images = pictures(5)
    (pixels,) = batches(images, CROPPED.at(SIZE), 8)
    cosines = reference.clip_cosine(clip, pixels, torch.tensor([ids]), LAYERS, HEADS)
    assert cosines.min() < 0 < cosines.max()
    scores = ClipScore(model, Words(ids), batch=2).score("a b c", images)
    assert scores == pytest.approx((2.5 * cosines.clamp(min=0)).tolist(), abs=1e-4)
    hps = HPSv2(model, Words(ids)).score("a b c", images)
    assert hps == pytest.approx((100 * cosines).tolist(), abs=0.02)


def test_a_tensor_that_is_missing_or_unknown_is_named(clip: dict[str, Any]) -> None:
    with pytest.raises(MissingWeights, match=r"score_predictor\.weight is no open_clip"):
        from_open_clip({**clip, "score_predictor.weight": torch.zeros(1)})
    lacking = {name: value for name, value in clip.items() if name != "visual.proj"}
    with pytest.raises(MissingWeights, match=r"lacks 1 tensors .* visual_projection\.weight"):
        clip_model(lacking)


def test_image_reward_equals_its_formula_by_an_independent_forward() -> None:
    state = reference.blip_state(WIDTH, LAYERS, 4, 30, PATCH)
    parts = architecture(
        {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": LAYERS,
         "num_attention_heads": HEADS, "image_size": SIZE, "patch_size": PATCH},
        {"vocab_size": 30, "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": LAYERS,
         "num_attention_heads": HEADS, "max_position_embeddings": 40, "bos_token_id": 1, "sep_token_id": 2},
    )  # fmt: skip
    for part, given in zip(parts, from_published(state), strict=True):
        missing, unexpected = part.load_state_dict(given, strict=False)
        assert not unexpected
        assert [name for name in missing if "position_ids" not in name] == []
    words = Words([1, 9, 8, 7, 2])
    scorer = ImageReward(*parts, words, batch=2)
    images = pictures(3)
    (pixels,) = batches(images, CROPPED.at(SIZE), 8)
    said = words([""], padding="max_length", max_length=35)
    expected = reference.image_reward(state, pixels, said["input_ids"], said["attention_mask"], LAYERS, HEADS)
    assert scorer.score("a b c", images) == pytest.approx(expected.tolist(), abs=1e-3)
    assert expected.std() > 1e-3


def test_the_published_architectures_take_the_published_names() -> None:
    """Names of tensors that the public repositories write, at the published depth."""
    with torch.device("meta"):
        vision, text, head = architecture()
    names = {
        "blip.visual_encoder.blocks.23.attn.qkv.weight": (3072, 1024),
        "blip.visual_encoder.pos_embed": (1, 197, 1024),
        "blip.text_encoder.encoder.layer.11.crossattention.self.key.weight": (768, 1024),
        "blip.text_encoder.embeddings.word_embeddings.weight": (30524, 768),
        "mlp.layers.7.weight": (1, 16),
    }
    mapped = from_published({name: torch.empty(shape, device="meta") for name, shape in names.items()})
    for part, given in zip((vision, text, head), mapped, strict=True):
        own = part.state_dict()
        assert given
        for name, value in given.items():
            assert own[name].shape == value.shape


def test_pictures_are_cropped_or_padded() -> None:
    wide = Image.new("RGB", (40, 20), "white")
    assert CROPPED.at(10).square(wide).size == (10, 10)
    assert CROPPED.at(10).square(wide).getextrema() == ((255, 255),) * 3
    framed = FITTED.at(10).square(wide)
    assert framed.size == (10, 10)
    assert [framed.getpixel((5, y))[0] for y in (0, 1, 3, 6, 8, 9)] == [0, 0, 255, 255, 0, 0]
    assert CROPPED.at(2)(Image.new("RGB", (2, 2)))[0, 0, 0].item() == pytest.approx(-0.48145466 / 0.26862954)
    with pytest.raises(BadInput, match="no images to score"):
        next(batches([], CROPPED, 1))


def test_checkpoints_are_tensors_of_files_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "hps.pt"
    torch.save({"epoch": 3, "state_dict": {"logit_scale": torch.tensor(4.0).half()}}, path)
    state = read_state(found_file(str(path), ("", "")))
    assert (list(state), state["logit_scale"].dtype) == (["logit_scale"], torch.float32)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(MissingWeights, match="is no checkpoint of tensors"):
        read_state(path)
    with pytest.raises(MissingWeights, match="is no checkpoint file"):
        found_file(str(tmp_path / "none.pt"), ("xswu/HPSv2", ""))
    assert found(str(tmp_path)) == str(tmp_path)


def test_hps_v2s_names_are_those_of_clip_h() -> None:
    """Names that open_clip writes for ViT-H-14, as the published checkpoint holds them."""
    from transformers import CLIPConfig, CLIPModel

    text = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
    }
    seen = {
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
    }
    config = CLIPConfig(
        text_config=text, vision_config={**seen, "patch_size": 14, "image_size": 224}, projection_dim=1024
    )
    with torch.device("meta"):
        own = CLIPModel(config).state_dict()
    names = {
        "visual.transformer.resblocks.31.attn.in_proj_weight": (3840, 1280),
        "visual.positional_embedding": (257, 1280),
        "visual.proj": (1280, 1024),
        "transformer.resblocks.23.mlp.c_fc.weight": (4096, 1024),
        "transformer.resblocks.0.ln_2.bias": (1024,),
        "token_embedding.weight": (49408, 1024),
        "text_projection": (1024, 1024),
        "logit_scale": (),
    }
    mapped = from_open_clip({name: torch.empty(shape, device="meta") for name, shape in names.items()})
    assert len(mapped) == len(names) + 2  # query, key and value stood in one
    for name, value in mapped.items():
        assert own[name].shape == value.shape
