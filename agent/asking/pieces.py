"""Pieces: the kind of each word of a chat message, by the text encoder and a linear chain over its words.

In: a message. Out: :class:`Piece` spans of one kind each, in order, that cover its words:

    "Hi! Could you draw me a fox in boots? No text please." ->
    talk "Hi!", ask "Could you draw me", picture "a fox in boots?", avoid "No text please."

Kinds: ``picture`` is to be seen, ``ask`` introduces it, ``talk`` is who asks and why, ``avoid`` is not to be
seen, ``setting`` is size, shape and count. The model (:class:`Tagger`) is a conditional random field:
the encoder's states score each word's kinds, with an adapter of low rank (Hu et al. 2021) beside its weights,
and each change of kind is scored by what stands between two words; the best path is taken. Fitted by
``diffagent train talk`` on messages that a language model wrote and labelled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from diffagent.data.encoders.text_encoder import Adapter, TextEncoder
from diffagent.data.errors import BadInput

if TYPE_CHECKING:
    import torch

Kind = Literal["picture", "ask", "talk", "avoid", "setting"]
KINDS: tuple[Kind, ...] = get_args(Kind)
JOINTS = ("inside", "joined", "comma", "dash", "ended")
"""Joints between two words: nothing, a word that joins clauses, a comma, a dash or colon, an end."""
_TOKEN = re.compile(r"\S+")
_CORE = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_LIST_OF_JOINTS = """
and because so but or where who which that with while although since cause cuz plus
"""
_JOINING = frozenset(_LIST_OF_JOINTS.split())
_FILE = "pieces.npz"
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Piece:
    """A run of words of one kind: characters ``start`` to ``end`` of the message."""

    start: int
    end: int
    kind: Kind


@dataclass(frozen=True)
class Token:
    """The characters between two blanks; ``joint`` is the index of the joint before them."""

    start: int
    end: int
    joint: int


def tokens(text: str) -> list[Token]:
    """Returns the tokens of a message, in order."""
    words: list[Token] = []
    last_end, ending = 0, "."
    for hit in _TOKEN.finditer(text):
        core = _CORE.search(hit[0])
        word = core[0].casefold() if core else hit[0]
        if (
            "\n" in text[last_end : hit.start()]
            or ending in ".!?…"
            or (core is None and hit[0] not in "-–—&+")
        ):
            joint = 4
        elif ending in ":-–—(" or hit[0][0] in "-–—(":
            joint = 3
        elif ending in ",;":
            joint = 2
        else:
            joint = int(word in _JOINING)
        closing = hit[0].rstrip("\"'”’)*_~")[-1:]
        ending = closing if closing in ".!?…,;:-–—" and closing else " "
        words.append(Token(hit.start(), hit.end(), joint))
        last_end = hit.end()
    return words


@dataclass(frozen=True)
class Tagger:
    """A conditional random field: ``encoder`` with ``adapter`` gives a word's state, ``weights`` [size,
    kinds] its kinds' scores, and ``changes`` [joints, kinds, kinds] the score of a word's kind behind that of
    the word before."""

    encoder: TextEncoder
    adapter: Adapter
    weights: Floats
    changes: Floats

    def __call__(self, text: str, lean: float = 0.0) -> list[Piece]:
        """Returns the pieces of a message; ``lean`` is added to the picture's scores."""
        words = tokens(text)
        if not words:
            return []
        scores = self.scores(text, words)
        scores[:, KINDS.index("picture")] += lean
        path = best_path(scores, words, self.changes)
        edges = [
            0,
            *(position for position in range(1, len(words)) if path[position] != path[position - 1]),
            len(words),
        ]
        return [
            Piece(words[low].start, words[high - 1].end, KINDS[path[low]]) for low, high in pairwise(edges)
        ]

    def scores(self, text: str, words: Sequence[Token]) -> Floats:
        """Returns the scores of each word's kinds, ``[words, kinds]``."""
        import torch

        with torch.inference_mode():
            [states] = word_states(self.encoder, [(text, words)], self.adapter)
            scores: Floats = (states @ torch.from_numpy(self.weights)).numpy()
            return scores

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Loads an ``.npz`` file; by default the one that ships.

        Raises:
            BadInput: the file is missing, or fitted for other kinds or another encoder than this version's.
        """
        from importlib.resources import files

        import torch

        source = path or Path(str(files("diffagent.agent") / "default" / _FILE))
        encoder = TextEncoder.load()
        try:
            with np.load(source, allow_pickle=False) as archive:
                if archive["kinds"].tolist() != list(KINDS) or archive["encoder"].item() != encoder.digest:
                    raise BadInput(
                        f"{source} was fitted for other kinds or another encoder",
                        "run diffagent train talk again",
                    )
                maps = archive["maps"].tolist()
                adapter = {
                    name: (
                        torch.from_numpy(archive[f"{name}.down"].astype(np.float32)),
                        torch.from_numpy(archive[f"{name}.up"].astype(np.float32)),
                    )
                    for name in maps
                }
                weights, changes = (archive[name].astype(np.float32) for name in ("weights", "changes"))
                return cls(encoder, adapter, weights, changes)
        except (OSError, KeyError, ValueError) as error:
            raise BadInput(
                f"{source} is not a tagger of pieces ({type(error).__name__}: {error})",
                "make one with diffagent train talk",
            ) from None

    def save(self, path: Path) -> None:
        """Writes the tagger, numbers as float16."""
        arrays: dict[str, Any] = {"weights": self.weights, "changes": self.changes}
        for name, (down, up) in self.adapter.items():
            arrays |= {f"{name}.down": down.numpy(), f"{name}.up": up.numpy()}
        halves = {name: array.astype(np.float16) for name, array in arrays.items()}
        np.savez_compressed(
            path,
            kinds=np.array(KINDS),
            encoder=np.array(self.encoder.digest),
            maps=np.array(list(self.adapter)),
            **halves,
        )


def word_states(
    encoder: TextEncoder, lines: Sequence[tuple[str, Sequence[Token]]], adapter: Adapter
) -> list[torch.Tensor]:
    """Returns the states of each text's words, ``[words, size]``: the mean of a word's tokens, or zeros where
    it has none."""
    return [
        _word_states(states, spans, words)
        for (states, spans), (_, words) in zip(
            encoder.token_states([text for text, _ in lines], adapter), lines, strict=True
        )
    ]


def _word_states(
    states: torch.Tensor, spans: Sequence[tuple[int, int]], words: Sequence[Token]
) -> torch.Tensor:
    import torch

    owners = np.searchsorted([word.end for word in words], [start for start, _ in spans], side="right")
    indices = torch.from_numpy(owners.clip(max=len(words) - 1))
    total = torch.zeros(len(words), states.shape[1]).index_add(0, indices, states.float())
    count = torch.zeros(len(words)).index_add(0, indices, torch.ones(len(indices)))
    return total / count.clamp(min=1)[:, None]


def best_path(scores: Floats, words: Sequence[Token], changes: Floats) -> list[int]:
    """Returns the most probable kinds of the words, by their indices (Viterbi)."""
    best, back = scores[0], []
    for position in range(1, len(words)):
        ways = best[:, None] + changes[words[position].joint]
        back.append(ways.argmax(axis=0))
        best = ways.max(axis=0) + scores[position]
    path = [int(best.argmax())]
    for origin in reversed(back):
        path.append(int(origin[path[-1]]))
    return path[::-1]


@cache
def tagger() -> Tagger:
    """Returns the tagger that ships."""
    return Tagger.load()
