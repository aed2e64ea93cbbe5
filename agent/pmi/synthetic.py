"""A synthetic hub: features of M models on one shared set of prompts, and tasks with known answers.

A feature is the direction of style + content + noise: the model's style, the prompt's content, which all
models share, and the image's noise. Prompts have directions in a text space, with a common part (two prompts
of a CLIP text encoder have cosines of about 0.6), topics shared by some, and an individual part; content is a
fixed linear map of them plus an individual part. A task has new images of one model, for new prompts.
:data:`STYLE` is chosen so that Eq. 9 with γ = 0.02 ranks the true model among 75,000 first in about 69 % of
the tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diffagent.agent.pmi.exact import Floats, Task, unit
from diffagent.agent.pmi.reduction import Halves

PROMPTS, DIMENSIONS = 61, 512
STYLE, CONTENT, NOISE = 0.218, 0.7, 0.7
"""Lengths of the parts of a feature before it is normalised."""
COMMON, TOPIC, OWN = 0.78, 0.5, 0.38
"""Lengths of the parts of a prompt's embedding."""
TOPICS = 40
BLOCK = 1000


@dataclass(frozen=True)
class Hub:
    """A hub of ``models`` synthetic models; a seed determines it, in any order of reading."""

    models: int
    seed: int = 0
    prompt_count: int = PROMPTS
    dimensions: int = DIMENSIONS

    @property
    def prompts(self) -> Floats:
        """The prompts' embeddings: float32 [N, d]."""
        return self._embeddings(self._random("prompts"), self.prompt_count)

    def blocks(self) -> Iterator[Halves]:
        """Yields features of :data:`BLOCK` models at a time: float16 [b, N, d], rows of length 1."""
        contents = self._contents(self._random("contents"), self.prompts)
        for number, start in enumerate(range(0, self.models, BLOCK)):
            size = min(BLOCK, self.models - start)
            styles = self._directions(self._random("styles", number), BLOCK)[:size, None]
            yield self._features(self._random("noise", number), styles, contents).astype(np.float16)

    def task(self, number: int, images: int = 1) -> tuple[int, Task]:
        """Returns the true model's number and a task: new images of it, for new prompts."""
        random = self._random("tasks", number)
        model = int(random.integers(self.models))
        styles = self._directions(self._random("styles", model // BLOCK), BLOCK)[model % BLOCK]
        descriptions = self._embeddings(random, images)
        contents = self._contents(random, descriptions)
        shown = self._features(random, styles[None, None], contents)[0]
        return model, Task.of(shown, descriptions, self.prompts)

    def _features(self, random: np.random.Generator, styles: Floats, contents: Floats) -> Floats:
        shape = (len(styles), *contents.shape)
        noise = random.standard_normal(shape, np.float32)
        noise *= np.float32(NOISE * self.dimensions**-0.5)
        noise += np.float32(STYLE) * styles + np.float32(CONTENT) * contents
        return unit(noise)

    def _embeddings(self, random: np.random.Generator, count: int) -> Floats:
        """Returns prompts in the text space: a common part, a mixture of topics and an individual part."""
        fixed = self._random("topics")
        common, topics = self._directions(fixed, 1), self._directions(fixed, TOPICS)
        shares = random.standard_normal((count, TOPICS)) / np.sqrt(1 + np.arange(TOPICS))
        residuals = self._directions(random, count)
        parts: Floats = COMMON * common + TOPIC * unit(shares.astype(np.float32) @ topics) + OWN * residuals
        return unit(parts)

    def _contents(self, random: np.random.Generator, embeddings: Floats) -> Floats:
        """Returns contents, half determined by the prompt and half independent of it."""
        turn = self._random("map").standard_normal((self.dimensions, self.dimensions), np.float32)
        predicted = unit(embeddings @ turn)
        return unit(predicted + self._directions(random, len(embeddings)))

    def _directions(self, random: np.random.Generator, count: int) -> Floats:
        return unit(random.standard_normal((count, self.dimensions), np.float32))

    def _random(self, purpose: str, number: int = 0) -> np.random.Generator:
        return np.random.default_rng([self.seed, number, *purpose.encode()])


def in_memory(hub: Hub) -> npt.NDArray[np.float16]:
    """Returns all features of a small hub: float16 [M, N, d]."""
    return np.concatenate(list(hub.blocks()))
