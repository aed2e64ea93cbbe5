"""Talking: chat messages with labelled pieces, the fit of what reads them, and its measure.

    chats.jsonl.gz  {"pieces": [["Could you draw me", "ask"], ["a fox in boots.", "picture"], …]}

A message is its pieces joined by blanks. The tagger (:mod:`diffagent.agent.pieces`) is a linear-chain
conditional random field (Lafferty et al. 2001), fitted by its likelihood with a penalty on weights.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diffagent.agent.pieces import BITS, JOINTS, KINDS, Kind, Piece, Tagger, features, tokens
from diffagent.data.errors import BadInput

if TYPE_CHECKING:
    import torch

HELD_OUT = 0.25
"""Of the messages, by the hash of their words."""


@dataclass(frozen=True)
class Chat:
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


def read_chats(path: Path | None = None) -> Iterator[Chat]:
    """The messages of a file, one JSON object a line, packed or not; by default those that ship.

    Raises:
        BadInput: a line has no such pieces.
    """
    source = path or Path(str(files("diffagent.training") / "chats" / "chats.jsonl.gz"))
    lines = (gzip.decompress(source.read_bytes()) if source.suffix == ".gz" else source.read_bytes()).decode()
    for number, line in enumerate(lines.splitlines(), 1):
        try:
            yield _chat(json.loads(line)["pieces"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{source}:{number} is no chat with labelled pieces: {error}") from None


def _chat(pieces: Sequence[tuple[str, Kind]]) -> Chat:
    text, found = "", []
    for words, kind in pieces:
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
        text += " " if text else ""
        found.append(Piece(len(text), len(text) + len(words), kind))
        text += words
    return Chat(text, tuple(found))


def fit(
    chats: Sequence[Chat],
    *,
    epochs: int = 50,
    penalty: float = 0.2,
    rate: float = 0.1,
    dropout: float = 0.3,
) -> Tagger:
    """A tagger of the messages' pieces; ``dropout`` is of features, so that no word alone decides."""
    import torch

    torch.manual_seed(0)
    lines = [(tokens(chat.text), chat.kinds) for chat in chats]
    longest = max(len(found) for found, _ in lines)
    rows = [
        [torch.tensor(one) for one in features(chat.text, found)]
        for chat, (found, _) in zip(chats, lines, strict=True)
    ]
    flat = torch.cat([one for line in rows for one in line])
    bags = torch.tensor(np.cumsum([0, *(len(one) for line in rows for one in line)][:-1]))
    count, size = len(lines), len(KINDS)
    real = torch.zeros(count, longest, dtype=torch.bool)
    gold = torch.zeros(count, longest, dtype=torch.long)
    joints = torch.zeros(count, longest, dtype=torch.long)
    for at, (found, kinds) in enumerate(lines):
        real[at, : len(found)] = True
        gold[at, : len(found)] = torch.tensor(kinds)
        joints[at, : len(found)] = torch.tensor([one.joint for one in found])
    weights = torch.zeros(1 << BITS, size, requires_grad=True)
    changes = torch.zeros(len(JOINTS), size, size, requires_grad=True)
    optimiser = torch.optim.Adam([weights, changes], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        optimiser.zero_grad()
        kept = (torch.rand(len(flat)) >= dropout).float() / (1 - dropout)
        summed = torch.nn.functional.embedding_bag(flat, weights, bags, mode="sum", per_sample_weights=kept)
        scores = torch.zeros(count, longest, size).masked_scatter(
            real[:, :, None].expand(-1, -1, size), summed
        )
        loss = -_log_likelihood(scores, changes, gold, joints, real) / real.sum()
        total = loss + penalty * (weights.square().sum() + changes.square().sum()) / count
        total.backward()
        optimiser.step()
        schedule.step()
    return Tagger(weights.detach().numpy(), changes.detach().numpy())


def _log_likelihood(
    scores: torch.Tensor,
    changes: torch.Tensor,
    gold: torch.Tensor,
    joints: torch.Tensor,
    real: torch.Tensor,
) -> torch.Tensor:
    """Of the labels of all messages: their paths' scores less the logarithms of the sums over all paths."""
    import torch

    count, longest, _ = scores.shape
    each = torch.arange(count)
    path = scores[each, 0, gold[:, 0]]
    alpha = scores[:, 0]
    for at in range(1, longest):
        now = real[:, at]
        change = changes[joints[:, at]]
        step = scores[each, at, gold[:, at]] + change[each, gold[:, at - 1], gold[:, at]]
        path = path + torch.where(now, step, torch.zeros_like(step))
        ahead = torch.logsumexp(alpha[:, :, None] + change, dim=1) + scores[:, at]
        alpha = torch.where(now[:, None], ahead, alpha)
    return (path - torch.logsumexp(alpha, dim=1)).sum()


def measure(chats: Sequence[Chat], read: Callable[[str], list[Piece]]) -> dict[str, float]:
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
