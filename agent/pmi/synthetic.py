"""An invented hub: features of M models on one shared set of prompts, and tasks whose answer is known.

A feature is the direction of style + content + noise: a style of the model, a content of the prompt that all
models share, and noise of the image. Prompts have directions in a text space, with a common part (two
prompts of a CLIP text encoder have cosines of about 0.6), topics that some of them share, and a part of
their own; content follows from them by a fixed linear map, with a part of its own. A task shows new images
of one model, of new prompts. :data:`STYLE` is such that Eq. 9 with γ = 0.02 finds the one among 75,000 at
rank 1 in about 69 % of the tasks.
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
    """``models`` invented models; the same seed makes the same hub, whatever the order of reading."""

    models: int
    seed: int = 0
    prompt_count: int = PROMPTS
    dimensions: int = DIMENSIONS

    @property
    def prompts(self) -> Floats:
        """The prompts' embeddings: float32 [N, d]."""
        return self._embeddings(self._random("prompts"), self.prompt_count)

    def blocks(self) -> Iterator[Halves]:
        """Features of :data:`BLOCK` models at a time: float16 [b, N, d], rows of length 1."""
        contents = self._contents(self._random("contents"), self.prompts)
        for number, start in enumerate(range(0, self.models, BLOCK)):
            size = min(BLOCK, self.models - start)
            styles = self._directions(self._random("styles", number), BLOCK)[:size, None]
            yield self._features(self._random("noise", number), styles, contents).astype(np.float16)

    def task(self, number: int, images: int = 1) -> tuple[int, Task]:
        """The number of the true model, and the task: new images of it, of new prompts."""
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
        """Prompts in the text space: the common part, a mixture of topics, and a part of their own."""
        fixed = self._random("topics")
        common, topics = self._directions(fixed, 1), self._directions(fixed, TOPICS)
        shares = random.standard_normal((count, TOPICS)) / np.sqrt(1 + np.arange(TOPICS))
        own = self._directions(random, count)
        parts: Floats = COMMON * common + TOPIC * unit(shares.astype(np.float32) @ topics) + OWN * own
        return unit(parts)

    def _contents(self, random: np.random.Generator, embeddings: Floats) -> Floats:
        """Half of a content is what its prompt says, half is left open by it."""
        turn = self._random("map").standard_normal((self.dimensions, self.dimensions), np.float32)
        said = unit(embeddings @ turn)
        return unit(said + self._directions(random, len(embeddings)))

    def _directions(self, random: np.random.Generator, count: int) -> Floats:
        return unit(random.standard_normal((count, self.dimensions), np.float32))

    def _random(self, purpose: str, number: int = 0) -> np.random.Generator:
        return np.random.default_rng([self.seed, number, *purpose.encode()])


def in_memory(hub: Hub) -> npt.NDArray[np.float16]:
    """All features of a small hub: float16 [M, N, d]."""
    return np.concatenate(list(hub.blocks()))
