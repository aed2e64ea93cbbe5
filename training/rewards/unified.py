"""The unified metric (paper, Eq. 4): three scores of an image, each normalised to [0, 1], averaged.

    S(t, r) = 1/k Σ_i 1/3 (s_clip,norm(t, x_i) + s_reward,norm(t, x_i) + s_hps,norm(t, x_i))

The paper does not define the range of the normalisation ("to the range [0, 1]", "across different
baselines"). Here it is min–max over all images of a prompt, of all responses or systems that are compared.
Table 2 fits this range and not one over all prompts: on SD 1.5 ImageReward moves from −0.74 to −0.05, in a
range of about 4, and CLIP and HPS by less of theirs, which could not move the mean by 31 points. Where all
images of a prompt have the same score, each gets 0.5. Scores of different sets of systems do not compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from diffagent.data.records import T2ICall
from diffagent.training.rewards import Progress, Scorer

if TYPE_CHECKING:
    from diffagent.training.rewards.studio import Studio

Floats = npt.NDArray[np.float64]


def normalise(scores: npt.ArrayLike) -> Floats:
    """The min–max normalisation of a prompt's scores, of any shape; 0.5 where they are equal."""
    values = np.asarray(scores, np.float64)
    low, high = values.min(), values.max()
    if high <= low:
        return np.full(values.shape, 0.5)
    scaled: Floats = (values - low) / (high - low)
    return scaled


def unified(scores: Mapping[str, npt.ArrayLike]) -> Floats:
    """S(t, r) of each response: float64 [n].

    Args:
        scores: metric → [n, k], of the k images of each of n responses to one prompt.
    """
    means: Floats = np.mean([normalise(metric_scores) for metric_scores in scores.values()], axis=0).mean(-1)
    return means


class ImageMetrics:
    """A :class:`~diffagent.training.rewards.Reward` by the images of ``seeds`` of each call."""

    def __init__(self, studio: Studio, scorers: Sequence[Scorer], seeds: Sequence[int]) -> None:
        self.studio, self.scorers, self.seeds = studio, tuple(scorers), tuple(seeds)
        self.name = f"{', '.join(scorer.name for scorer in scorers)} of seeds {', '.join(map(str, seeds))}"

    def raw(self, prompt: str, calls: Sequence[T2ICall]) -> dict[str, Floats]:
        """Metric → [n, k]."""
        shape = (len(calls), len(self.seeds))
        pictures = [image for call in calls for image in self.studio.images(call, self.seeds)]
        return {
            scorer.name: np.array(scorer.score(prompt, pictures), np.float64).reshape(shape)
            for scorer in self.scorers
        }

    def prepare(self, calls: Sequence[T2ICall], progress: Progress, share: tuple[int, int]) -> None:
        self.studio.make(calls, self.seeds, progress, share)
        if share[1] > 1:
            self.studio.wait(calls, self.seeds, progress)

    def score(self, prompt: str, calls: Sequence[T2ICall]) -> list[float]:
        return [float(value) for value in unified(self.raw(prompt, calls))]

    def close(self) -> None:
        """Drops the scorers and the executor, and frees their GPU memory."""
        import gc

        import torch

        self.scorers, self.studio.maker = (), None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def report(self) -> dict[str, Any]:
        return {"images_generated": self.studio.generated, "images": str(self.studio.folder)}
