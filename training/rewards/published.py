"""The three published scorers: CLIP score, ImageReward, HPS v2."""

from __future__ import annotations

from diffagent.training.rewards import Scorer


def load_scorers(
    clip: str | None = None, image_reward: str | None = None, hps: str | None = None
) -> list[Scorer]:
    """The paper's three scorers; None means the published checkpoint.

    Raises:
        MissingWeights: a checkpoint is nowhere to be found.
    """
    from diffagent.training.rewards.clip_score import DEFAULT, ClipScore
    from diffagent.training.rewards.hps import HPSv2
    from diffagent.training.rewards.image_reward import ImageReward

    return [ClipScore.load(clip or DEFAULT), ImageReward.load(image_reward), HPSv2.load(hps)]
