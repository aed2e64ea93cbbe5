"""The plain reader: what a model is for, by a linear classifier over features of its card.

In: :class:`~diffagent.data.descriptions.card_features.CardFeatures`. Out: the probabilities of each
attribute's values. It is fitted to the attributes that a strong language model wrote for the shipped catalog
(``diffagent train attributes``); at run time it is three matrix products.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, get_args

import numpy as np
import numpy.typing as npt

from diffagent.data.attributes import MEDIA, ROLES, Breadth, People
from diffagent.data.descriptions.card_features import CardFeatures, Floats
from diffagent.data.errors import BadInput

BREADTHS: tuple[Breadth, ...] = get_args(Breadth)
PEOPLE: tuple[People, ...] = get_args(People)
FLAGS = ("real person", "sexualised", "minor", "any")
HEADS: Mapping[str, tuple[object, ...]] = {
    "role": ROLES,
    "first": MEDIA,
    "media": MEDIA,
    "people": PEOPLE,
    "breadth": BREADTHS,
    "renown": (0, 1, 2, 3),
    "flags": FLAGS,
    "needed": (True,),
}
"""Attribute → its values. "first" is the first medium, "media" any of them; "needed" is whether every prompt
needs a trigger word."""
INDEPENDENT = ("media", "flags", "needed")
"""Heads with independent values: a sigmoid each instead of a softmax."""
_FILE = "plain_reader.npz"


@dataclass(frozen=True)
class Cuts:
    """Thresholds from probabilities to values: ``renown`` is the least expected renown of levels 1, 2 and 3,
    ``flag`` the least probability of a caution that keeps a model from being chosen, ``medium`` that of a
    further medium."""

    renown: tuple[float, ...] = (0.5, 1.5, 2.5)
    flag: float = 0.3
    medium: float = 0.35


@dataclass(frozen=True)
class PlainReader:
    """Linear weights for the K values of all heads: ``hashes`` uint32 [V] of known words, sorted; ``words``
    [V, K]; ``dense`` [D, K]; ``bias`` [K]; ``shared`` [2, places]: what a medium's name in a place adds to
    its logits, as the first medium and as any."""

    hashes: npt.NDArray[np.uint32]
    words: Floats
    dense: Floats
    bias: Floats
    shared: Floats
    cuts: Cuts = Cuts()

    def __call__(self, features: CardFeatures) -> dict[str, Floats]:
        """Head → probabilities [n, K] of its values.

        Raises:
            BadInput: the vectors are of another encoder than the one it was fitted with.
        """
        if features.dense.shape[1] != len(self.dense):
            raise BadInput(
                f"the plain reader takes {len(self.dense)} numbers a card, but there are "
                f"{features.dense.shape[1]}: use the text encoder that it was fitted with"
            )
        logits = features.dense @ self.dense + self.bias
        for row, (words, weights) in enumerate(features.words):
            places = np.searchsorted(self.hashes, words)
            places[places == len(self.hashes)] = 0
            is_in_table = self.hashes[places] == words if len(self.hashes) else np.zeros(len(words), bool)
            logits[row] += weights[is_in_table] @ self.words[places[is_in_table]]
        probabilities, start = {}, 0
        for name, classes in HEADS.items():
            part = logits[:, start : start + len(classes)]
            start += len(classes)
            if name in ("first", "media"):
                part = part + features.media @ self.shared[int(name == "media")]
            probabilities[name] = sigmoid(part) if name in INDEPENDENT else softmax(part)
        return probabilities

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Reads an ``.npz`` file, by default the shipped one.

        Raises:
            BadInput: it is not such a file, or was fitted for other attribute values.
        """
        from importlib.resources import files

        source = path or Path(str(files("diffagent.data") / "default" / _FILE))
        try:
            with np.load(source, allow_pickle=False) as stored:
                if stored["values"].tolist() != _values():
                    raise BadInput(
                        f"{source} was fitted for other attributes", "run diffagent train attributes again"
                    )
                cuts = stored["cuts"].tolist()
                return cls(
                    stored["hashes"],
                    stored["words"].astype(np.float32) * stored["words_scale"],
                    stored["dense"].astype(np.float32) * stored["dense_scale"],
                    stored["bias"],
                    stored["shared"],
                    Cuts((cuts[0], cuts[1], cuts[2]), cuts[3], cuts[4]),
                )
        except (OSError, KeyError, ValueError, IndexError) as error:
            raise BadInput(
                f"{source} is not a plain reader ({type(error).__name__}: {error})",
                "make one with diffagent train attributes",
            ) from None

    def save(self, path: Path) -> None:
        """Writes the weights as int8 with a step size per value."""
        words, words_scale = _quantise(self.words)
        dense, dense_scale = _quantise(self.dense)
        np.savez_compressed(
            path,
            values=np.array(_values()),
            hashes=self.hashes,
            words=words,
            words_scale=words_scale,
            dense=dense,
            dense_scale=dense_scale,
            bias=self.bias,
            shared=self.shared,
            cuts=np.array([*self.cuts.renown, self.cuts.flag, self.cuts.medium]),
        )

    def with_cuts(self, cuts: Cuts) -> Self:
        return replace(self, cuts=cuts)


def softmax(logits: Floats) -> Floats:
    """Returns the probabilities of logits ``[n, classes]`` by row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Floats = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def sigmoid(logits: Floats) -> Floats:
    """Returns the probability of each logit by itself."""
    probabilities: Floats = (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)
    return probabilities


def _values() -> list[str]:
    return [f"{name}: {value}" for name, classes in HEADS.items() for value in classes]


def _quantise(weights: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Returns int8 steps and each column's step size."""
    scale = np.maximum(np.abs(weights).max(axis=0, initial=0.0), 1e-6).astype(np.float32) / 127
    steps: npt.NDArray[np.int8] = np.rint(weights / scale).astype(np.int8)
    return steps, scale
