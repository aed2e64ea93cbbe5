"""The published scorers on small random weights under the published names, against references written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("PIL", reason="needs pip install 'diffagent[images]'")
import importlib.util
import json
import sys

from PIL import Image

from diffagent.data.errors import BadInput, MissingWeights
from diffagent.training.rewards.checkpoints import checkpoint_file, checkpoint_folder, read_state
from diffagent.training.rewards.clip_score import ClipScore
from diffagent.training.rewards.hps import HPSv2, from_open_clip, materialise
from diffagent.training.rewards.image_reward import ImageReward, architecture, from_published
from diffagent.training.rewards.pictures import CROPPED, FITTED, batches


def _beside(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


reference, published_names = _beside("reference"), _beside("published_names")
WIDTH, LAYERS, HEADS, SIZE, PATCH = 16, 2, 2, 16, 8


class Words:
    """A tokenizer of three words between a beginning and an end; it notes what it was given."""

    def __init__(self, ids: list[int], pad: int = 0) -> None:
        self.ids, self.pad = ids, pad
        self.read: list[str] = []

    def __call__(self, texts: list[str], padding: str | None = None, max_length: int = 0, **_: Any) -> Any:
        self.read += texts
        rest = max_length - len(self.ids) if padding else 0
        ids = torch.tensor([self.ids + [self.pad] * rest])
        return {"input_ids": ids, "attention_mask": torch.tensor([[1] * len(self.ids) + [0] * rest])}


def pictures(count: int, size: tuple[int, int] = (16, 16)) -> list[Image.Image]:
    rng = np.random.default_rng(5)
    return [Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8)) for _ in range(count)]


def clip_model(state: dict[str, Any], end: int = 11) -> Any:
    from transformers import CLIPConfig, CLIPModel

    tower = {
        "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "hidden_act": "gelu", "projection_dim": 8,
    }  # fmt: skip
    text = {**tower, "vocab_size": 12, "max_position_embeddings": 9, "eos_token_id": end, "bos_token_id": 1}
    vision = {**tower, "image_size": SIZE, "patch_size": PATCH}
    with torch.device("meta"):
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))
    weights = from_open_clip(state)
    model.load_state_dict(weights, strict=False, assign=True)
    return materialise(model, weights)


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


def test_the_clip_score_reads_a_photo_depicts_before_the_prompt_and_hps_the_prompt(
    clip: dict[str, Any],
) -> None:
    """Hessel et al. 2021, section 3; the published code of HPS v2 has no such words."""
    words, model = Words([1, 4, 11]), clip_model(clip)
    ClipScore(model, words).score("a red fox", pictures(1))
    HPSv2(model, words).score("a red fox", pictures(1))
    assert words.read == ["A photo depicts a red fox", "a red fox"]


@pytest.mark.parametrize("end", [2, 11])
def test_a_texts_state_is_read_at_its_end_as_open_clip_does(clip: dict[str, Any], end: int) -> None:
    """open_clip pads with zeros to the context and reads the highest id; CLIP-H's configuration names 2 as
    its end, which is no end of any of its texts."""
    images, ids = pictures(3), [1, 2, 7, 3, 11]
    (pixels,) = batches(images, FITTED.at(SIZE), 8)
    padded = torch.tensor([[*ids, 0, 0, 0, 0]])
    expected = 100 * reference.clip_cosine(clip, pixels, padded, LAYERS, HEADS)
    assert HPSv2(clip_model(clip, end), Words(ids)).score("a b c", images) == pytest.approx(
        expected.tolist(), abs=0.02
    )


def test_a_tensor_that_is_missing_or_unknown_is_named(clip: dict[str, Any]) -> None:
    with pytest.raises(MissingWeights, match=r"score_predictor\.weight does not belong to an open_clip"):
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
    for part, weights in zip(parts, from_published(state), strict=True):
        missing, unexpected = part.load_state_dict(weights, strict=False)
        assert not unexpected
        assert [name for name in missing if "position_ids" not in name] == []
    words = Words([1, 9, 8, 7, 2])
    vision, text, head = parts
    scorer = ImageReward(vision, text, head, words, batch=2)
    images = pictures(3)
    (pixels,) = batches(images, CROPPED.at(SIZE), 8)
    tokens = words([""], padding="max_length", max_length=35)
    expected = reference.image_reward(
        state, pixels, tokens["input_ids"], tokens["attention_mask"], LAYERS, HEADS
    )
    assert scorer.score("a b c", images) == pytest.approx(expected.tolist(), abs=1e-3)
    assert expected.std() > 1e-3


def test_pictures_are_cropped_or_padded() -> None:
    wide = Image.new("RGB", (40, 20), "white")
    assert CROPPED.at(10).square(wide).size == (10, 10)
    assert CROPPED.at(10).square(wide).getextrema() == ((255, 255),) * 3
    framed = FITTED.at(10).square(wide)
    assert framed.size == (10, 10)
    assert [np.asarray(framed)[y, 5, 0] for y in (0, 1, 3, 6, 8, 9)] == [0, 0, 255, 255, 0, 0]
    assert CROPPED.at(2)(Image.new("RGB", (2, 2)))[0, 0, 0].item() == pytest.approx(-0.48145466 / 0.26862954)
    with pytest.raises(BadInput, match="no images to score"):
        next(batches([], CROPPED, 1))


def test_checkpoints_are_tensors_of_files_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "hps.pt"
    torch.save({"epoch": 3, "state_dict": {"logit_scale": torch.tensor(4.0).half()}}, path)
    state = read_state(checkpoint_file(str(path), ("", "")))
    assert (list(state), state["logit_scale"].dtype) == (["logit_scale"], torch.float32)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(MissingWeights, match="is not a checkpoint of tensors"):
        read_state(path)
    with pytest.raises(MissingWeights, match="is not a checkpoint file"):
        checkpoint_file(str(tmp_path / "none.pt"), ("xswu/HPSv2", ""))
    assert checkpoint_folder(str(tmp_path)) == str(tmp_path)


def saved(shapes: dict[str, tuple[int, ...]], path: Path, wrapped: bool) -> dict[str, float]:
    """Write a checkpoint of the published names and shapes; each tensor is one value, stored once."""
    values = {name: 1 + number / 1024 for number, name in enumerate(shapes)}
    state = {name: torch.tensor(values[name]).expand(shape) for name, shape in shapes.items()}
    if "blip.text_encoder.embeddings.position_ids" in state:
        state["blip.text_encoder.embeddings.position_ids"] = torch.arange(512).expand(1, -1)
    torch.save({"iterations": 4000, "name": "hps", "state_dict": state} if wrapped else state, path)
    assert path.stat().st_size < 2**20
    return values


def test_the_published_image_reward_is_read_whole(tmp_path: Path) -> None:
    """All 625 names at their published shapes, pickled by torch and read with weights_only."""
    shapes = published_names.image_reward()
    values = saved(shapes, tmp_path / "ImageReward.pt", wrapped=False)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nred\nfox\n")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    scorer = ImageReward.load(str(tmp_path / "ImageReward.pt"), str(tmp_path), "cpu")
    parts = (scorer.vision, scorer.text, scorer.head)
    parameters = [value for part in parts for value in part.parameters()]
    unread = ("blip.vision_proj.", "blip.text_proj.", "blip.text_encoder.embeddings.position_ids")
    assert len(shapes) == 625
    assert len(parameters) == len([name for name in shapes if not name.startswith(unread)])
    layer = scorer.vision.encoder.layers[23]
    assert layer.mlp.fc2.weight.flatten()[0] == values["blip.visual_encoder.blocks.23.mlp.fc2.weight"]
    cross = scorer.text.encoder.layer[11].crossattention
    key = "blip.text_encoder.encoder.layer.11.crossattention.self.key.weight"
    assert (cross.self.key.weight.flatten()[0], cross.self.key.weight.shape) == (values[key], (768, 1024))
    assert scorer.head[4].bias[0] == values["mlp.layers.7.bias"]


def test_the_published_hps_2_1_is_read_whole(tmp_path: Path) -> None:
    """All names that open_clip's ViT-H-14 saves, wrapped as training left them, read with weights_only."""
    from transformers import CLIPTokenizer

    shapes = published_names.hps()
    values = saved(shapes, tmp_path / "HPS_v2.1_compressed.pt", wrapped=True)
    tower = {"hidden_act": "gelu", "num_attention_heads": 16, "projection_dim": 1024}
    text = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "eos_token_id": 2}
    vision = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "patch_size": 14}
    config = {"model_type": "clip", "projection_dim": 1024, "text_config": tower | text}
    (tmp_path / "config.json").write_text(json.dumps(config | {"vision_config": tower | vision}))
    words = ["!", "a</w>", "<|startoftext|>", "<|endoftext|>"]
    CLIPTokenizer(vocab={word: n for n, word in enumerate(words)}, merges=[]).save_pretrained(tmp_path)
    scorer = HPSv2.load(str(tmp_path / "HPS_v2.1_compressed.pt"), str(tmp_path), "cpu")
    model = scorer._clip.model
    assert len(shapes) == 686
    assert len(list(model.parameters())) == len(shapes) + 4 * (32 + 24)  # query, key and value stood in one
    last = model.vision_model.encoder.layers[31].self_attn.v_proj.weight
    name = "visual.transformer.resblocks.31.attn.in_proj_weight"
    assert (last.flatten()[0], last.shape) == (values[name], (1280, 1280))
    assert model.text_projection.weight.flatten()[0] == values["text_projection"]
    assert model.text_model.embeddings.token_embedding.weight.shape == (49408, 1024)
