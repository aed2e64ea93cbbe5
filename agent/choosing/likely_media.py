"""Likely media: how probable each medium is for a request, from its sentence embedding.

    "twitch offline screen, sleepy axolotl with headphones" -> photo 0.4, illustration 0.2, cartoon 0.1, …

A reading names one medium, where a request that names none may suit several. The probabilities are those of a
multinomial logistic regression on plain requests (:mod:`diffagent.training.fitting.media`). They count beside
the reading's medium, but where a well-known character is at home in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from diffagent.agent.choosing.fitted import stored_weights
from diffagent.agent.choosing.ranking import log_sum_exp
from diffagent.data.attributes import MEDIA

Floats = npt.NDArray[np.float64]

FILE = "media.npz"


@dataclass(frozen=True)
class LikelyMedia:
    """A linear model, ``weights`` [d, media] and ``bias`` [media], over the embeddings of the encoder whose
    weights have the SHA-256 ``encoder``."""

    weights: Floats
    bias: Floats
    encoder: str

    def __call__(self, embedding: npt.NDArray[np.floating[Any]]) -> Floats:
        """Returns the probability of each of :data:`~diffagent.data.attributes.MEDIA` [media] from an
        embedding [d]."""
        logits = embedding @ self.weights + self.bias
        probabilities: Floats = np.exp(logits - log_sum_exp(logits))
        return probabilities

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Loads an ``.npz`` file; default: the packaged one.

        Raises:
            BadCatalog: the weights were fitted for other media than this version's.
        """
        source = path or Path(str(files("diffagent.agent") / "default" / FILE))
        stored = stored_weights(source, MEDIA, "diffagent train suitability")
        return cls(stored["weights"].astype(float), stored["bias"].astype(float), stored["encoder"].item())

    @classmethod
    def fitted_with(cls, encoder: Any) -> Self | None:
        """Returns the packaged weights; None where they were fitted with another encoder."""
        packaged = cls.load()
        return packaged if packaged.encoder == getattr(encoder, "digest", None) else None

    def save(self, path: Path) -> None:
        np.savez_compressed(
            path,
            features=np.array(MEDIA),
            encoder=np.array(self.encoder),
            weights=self.weights.astype(np.float16),
            bias=self.bias.astype(np.float16),
        )
