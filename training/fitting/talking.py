"""Talking: chat messages with labelled pieces, the fit of what reads them, and its measure.

    chats.jsonl.gz  {"pieces": [["Could you draw me", "ask"], ["a fox in boots.", "picture"], …]}

A message is its pieces joined by blanks. The tagger (:mod:`diffagent.agent.asking.pieces`) is a linear-chain
conditional random field (Lafferty et al. 2001) over the text encoder's states, fitted by its likelihood
together with an adapter of the encoder.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from diffagent.agent.asking.pieces import JOINTS, KINDS, Kind, Piece, Tagger, Token, tokens, word_states
from diffagent.data.encoders.text_encoder import Adapter, TextEncoder
from diffagent.data.json_rows import read_rows
from diffagent.training.corpora.plain_requests import read_graded

if TYPE_CHECKING:
    import torch

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
DROPOUT = 0.2
"""Share of a word's state that is left out of its scores while fitting."""
PLAIN_KINDS = ("plain", "caption", "medium", "tags", "character")
LEAST_WORDS = 10
_SPEECH = re.compile(r"\b(?:please|pls|i|me|my|you|thanks|for)\b", re.I)
HELD_OUT = 0.25
"""Of the messages, by the hash of their words."""


@dataclass(frozen=True)
class LabelledMessage:
    """A message and its pieces."""

    text: str
    pieces: tuple[Piece, ...]

    @property
    def is_held_out(self) -> bool:
        """Whether it is measured on, and not fitted to."""
        return int(hashlib.sha256(self.text.encode()).hexdigest()[:8], 16) < HELD_OUT * 2**32

    @property
    def kinds(self) -> list[int]:
        """The kind of each token, by its index."""
        found = []
        for token in tokens(self.text):
            held = [one for one in self.pieces if one.start <= token.start < one.end]
            found.append(KINDS.index(held[0].kind))
        return found


def read_chats(path: Path | None = None) -> Iterator[LabelledMessage]:
    """The messages of a file, one JSON object a line, packed or not; by default those that ship.

    Raises:
        BadInput: a line has no such pieces.
    """
    source = path or Path(str(files("diffagent.training") / "chats" / "chats.jsonl.gz"))
    right = 'give lines of {"pieces": [[words, kind], …]}'
    return read_rows(source, lambda row: _chat(row["pieces"]), "a chat with labelled pieces", right)


def read_pictures() -> Iterator[LabelledMessage]:
    """Yields the plain requests that ship, of ten words and more: each is one piece, of the picture.

    Those that ask, tell of somebody or have settings and exclusions are left out.
    """
    for asked in read_graded():
        slots = asked.slots
        is_plain = not (slots["avoid"] or slots["shape"] or slots["english"]) and slots["n"] == 1
        is_long = len(asked.prompt.split()) >= LEAST_WORDS
        if asked.kind in PLAIN_KINDS and is_plain and is_long and not _SPEECH.search(asked.prompt):
            yield LabelledMessage(asked.prompt, (Piece(0, len(asked.prompt), "picture"),))


def _chat(pieces: Sequence[tuple[str, Kind]]) -> LabelledMessage:
    text, found = "", []
    for words, kind in pieces:
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
        text += " " if text else ""
        found.append(Piece(len(text), len(text) + len(words), kind))
        text += words
    return LabelledMessage(text, tuple(found))


def fit(
    chats: Sequence[LabelledMessage],
    *,
    epochs: int = 6,
    rank: int = 16,
    rate: float = 1e-3,
    batch: int = 16,
    progress: Progress = lambda items, name: items,
) -> Tagger:
    """Returns a tagger of the messages' pieces.

    An adapter of this rank on all linear maps of the text encoder, the kinds' weights and the changes' scores
    are fitted together by AdamW; the rate rises for a tenth of the steps and then falls.
    """
    import torch

    torch.manual_seed(0)
    encoder = TextEncoder.load()
    lines = [_LabelledWords.of(chat) for chat in chats]
    adapter = {
        name: (torch.randn(rank, inputs) / inputs**0.5, torch.zeros(outputs, rank))
        for name, (inputs, outputs) in encoder.linear_maps().items()
    }
    weights = torch.zeros(encoder.size, len(KINDS))
    changes = torch.zeros(len(JOINTS), len(KINDS), len(KINDS))
    maps = [part.requires_grad_() for pair in adapter.values() for part in pair]
    optimiser = torch.optim.AdamW(
        [
            {"params": maps, "lr": rate},
            {"params": [weights.requires_grad_()], "lr": 3 * rate},
            {"params": [changes.requires_grad_()], "lr": 20 * rate, "weight_decay": 0.0},
        ]
    )
    count = epochs * -(-len(lines) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [group["lr"] for group in optimiser.param_groups], total_steps=count, pct_start=0.1
    )
    draw = random.Random(0)
    batches = [rows for _ in range(epochs) for rows in _batches(lines, batch, draw)]
    for rows in progress(batches, "batch"):
        optimiser.zero_grad()
        scores = torch.nn.utils.rnn.pad_sequence(
            [
                torch.nn.functional.dropout(states, DROPOUT) @ weights
                for states in _states(encoder, rows, adapter)
            ],
            batch_first=True,
        )
        loss = -_log_likelihood(scores, changes, rows) / sum(len(line.words) for line in rows)
        loss.backward()
        optimiser.step()
        schedule.step()
    fitted = {name: (down.detach(), up.detach()) for name, (down, up) in adapter.items()}
    return Tagger(encoder, fitted, weights.detach().numpy(), changes.detach().numpy())


@dataclass(frozen=True)
class _LabelledWords:
    """A message with its words and their kinds."""

    text: str
    words: tuple[Token, ...]
    kinds: tuple[int, ...]

    @classmethod
    def of(cls, chat: LabelledMessage) -> Self:
        return cls(chat.text, tuple(tokens(chat.text)), tuple(chat.kinds))


def _states(encoder: TextEncoder, lines: Sequence[_LabelledWords], adapter: Adapter) -> list[torch.Tensor]:
    """Returns the states of the messages' words; products in bfloat16 where the CPU computes in it."""
    import torch

    from diffagent.agent.engines.transformers_engine import computes_bf16

    with torch.autocast("cpu", torch.bfloat16, enabled=computes_bf16("cpu")):
        return word_states(encoder, [(line.text, line.words) for line in lines], adapter)


def _batches(lines: Sequence[_LabelledWords], size: int, draw: random.Random) -> list[list[_LabelledWords]]:
    """Returns the messages in batches of about one length, in an order drawn anew."""
    order = sorted(lines, key=lambda line: len(line.words) + 20 * draw.random())
    batches = [order[at : at + size] for at in range(0, len(order), size)]
    draw.shuffle(batches)
    return batches


def _log_likelihood(
    scores: torch.Tensor, changes: torch.Tensor, lines: Sequence[_LabelledWords]
) -> torch.Tensor:
    """Returns the sum over messages of their labels' log-probabilities.

    The score of the labels' path less the logarithm of the sum over all paths (forward algorithm); ``scores``
    [messages, longest, kinds].
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    each = torch.arange(len(lines))
    gold = pad_sequence([torch.tensor(line.kinds) for line in lines], batch_first=True)
    joints = pad_sequence(
        [torch.tensor([word.joint for word in line.words]) for line in lines], batch_first=True
    )
    length = torch.tensor([len(line.words) for line in lines])
    path = scores[each, 0, gold[:, 0]]
    alpha = scores[:, 0]
    for at in range(1, int(length.max())):
        change = changes[joints[:, at]]
        step = scores[each, at, gold[:, at]] + change[each, gold[:, at - 1], gold[:, at]]
        ahead = torch.logsumexp(alpha[:, :, None] + change, dim=1) + scores[:, at]
        is_word = at < length
        path = torch.where(is_word, path + step, path)
        alpha = torch.where(is_word[:, None], ahead, alpha)
    return (path - torch.logsumexp(alpha, dim=1)).sum()


def measure(chats: Sequence[LabelledMessage], read: Callable[[str], list[Piece]]) -> dict[str, float]:
    """Shares of words: ``kept`` of the picture's, ``left_out`` of talk's and the asking's, ``avoid`` and
    ``setting`` known as such, ``right`` of all; ``exact`` is of messages whose picture's words are all kept
    and no other."""
    kept, left, right, exact = [], [], [], []
    others: dict[str, list[bool]] = {"avoid": [], "setting": []}
    for chat in chats:
        found = read(chat.text)
        said = []
        for token, gold in zip(tokens(chat.text), chat.kinds, strict=True):
            kind = next((one.kind for one in found if one.start <= token.start < one.end), "talk")
            said.append((KINDS[gold], kind))
        kept += [kind == "picture" for gold, kind in said if gold == "picture"]
        left += [kind != "picture" for gold, kind in said if gold in ("talk", "ask")]
        right += [gold == kind for gold, kind in said]
        exact.append(all((gold == "picture") == (kind == "picture") for gold, kind in said))
        for name, hits in others.items():
            hits += [kind == name for gold, kind in said if gold == name]
    shares = {"kept": kept, "left_out": left, **others, "right": right, "exact": exact}
    return {name: round(float(np.mean(hits)), 4) for name, hits in shares.items() if hits}
