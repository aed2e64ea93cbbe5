"""Fitting the likely media of requests: a multinomial logistic regression on their embeddings.

Requests of the part ``test`` are not fitted to. For those that are, the suitability is fitted to
probabilities of a fit to the others (cross-fitting), as for a request in serving.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from diffagent.agent.choosing.likely_media import Floats, LikelyMedia
from diffagent.data.attributes import MEDIA
from diffagent.training.corpora.plain_requests import PlainRequest

if TYPE_CHECKING:
    from diffagent.data.encoders.text_encoder import TextEncoder

FOLDS = 5
"""The parts of the cross-fitting, by the hash of the prompt."""
INVERSE_PENALTY = 3.0
"""The loss, summed over requests, is weighed against half the squared weights by this."""


def fit(requests: Sequence[PlainRequest], encoder: TextEncoder) -> tuple[LikelyMedia, Mapping[str, Floats]]:
    """Returns the fit, and each English prompt's probabilities [media] by a fit that did not see it."""
    media = {request.english: request.reading.medium for request in requests}
    split = {request.english: request.split for request in requests}
    prompts = list(media)
    embeddings = encoder.encode(prompts)
    targets = np.array([MEDIA.index(media[prompt]) for prompt in prompts])
    is_test = np.array([split[prompt] == "test" for prompt in prompts])
    folds = np.array([_fold(prompt) for prompt in prompts])
    whole = _regression(embeddings[~is_test], targets[~is_test], encoder.digest)
    probabilities = {prompt: whole(row) for prompt, row in zip(prompts, embeddings, strict=True)}
    for fold in range(FOLDS):
        seen = ~is_test & (folds != fold)
        part = _regression(embeddings[seen], targets[seen], encoder.digest)
        for at in np.flatnonzero(~is_test & (folds == fold)):
            probabilities[prompts[at]] = part(embeddings[at])
    return whole, probabilities


def _regression(
    embeddings: npt.NDArray[np.float32], targets: npt.NDArray[np.int64], digest: str
) -> LikelyMedia:
    """The regression on some requests; media that none of them has get no probability."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=INVERSE_PENALTY, max_iter=2000).fit(embeddings.astype(float), targets)
    weights = np.zeros((embeddings.shape[1], len(MEDIA)))
    bias = np.full(len(MEDIA), -30.0)
    of_these = fitted.classes_[-len(fitted.coef_) :]  # of two, the first has no row: its logit is 0
    bias[fitted.classes_] = 0
    weights[:, of_these] = fitted.coef_.T
    bias[of_these] = fitted.intercept_
    return LikelyMedia(weights, bias, digest)


def _fold(prompt: str) -> int:
    return int(hashlib.sha256(prompt.encode()).hexdigest(), 16) % FOLDS
