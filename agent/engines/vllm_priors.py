"""Fusion inside vLLM: a logits processor that adds the grammar's priors where the mask leaves a choice.

vLLM keeps an answer inside the grammar (structured outputs); the processor picks the legal token that
:mod:`diffagent.agent.engines.decode` would pick. It runs in vLLM's own process, for requests with a grammar
in ``extra_args``; others pass through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from diffagent.agent.engines import decode
from diffagent.agent.engines.chat import Chat
from diffagent.agent.engines.grammar import Grammar, Slot

if TYPE_CHECKING:
    import torch

KEY = "diffagent"
"""The grammar's key in a request's ``extra_args``."""


def pack(grammar: Grammar) -> dict[str, Any]:
    """Returns a grammar as ``extra_args``."""
    parts = [
        part if isinstance(part, str) else [part.name, list(part.options), list(part.log_priors)]
        for part in grammar.parts
    ]
    return {KEY: {"parts": parts, "llm_weight": grammar.llm_weight}}


def unpack(stored: Mapping[str, Any]) -> Grammar:
    """Returns the grammar that :func:`pack` stored."""
    parts = tuple(
        part if isinstance(part, str) else Slot(part[0], tuple(part[1]), tuple(part[2]))
        for part in stored["parts"]
    )
    return Grammar(parts, stored["llm_weight"])


@dataclass(frozen=True)
class _GrammarRow:
    """One request of the batch; vLLM appends to ``done``."""

    grammar: Grammar
    done: list[int]


class Priors(LogitsProcessor):  # type: ignore[misc, unused-ignore]
    """Leaves one token in each row with a grammar: the one of the best fused score."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self._vocabulary = decode.Vocabulary(Chat(Path(vllm_config.model_config.tokenizer)))
        self._rows: dict[int, _GrammarRow] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: Any) -> None:
        process_dict_updates(self._rows, batch_update, self._row)

    @staticmethod
    def _row(params: Any, prompt: list[int] | None, done: list[int]) -> _GrammarRow | None:
        stored = (params.extra_args or {}).get(KEY)
        return None if stored is None else _GrammarRow(unpack(stored), done)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Picks tokens in ``logits`` [rows, vocabulary], masked by vLLM's grammar."""
        import torch

        if not self._rows:
            return logits
        places = list(self._rows)
        chosen = logits[places]
        masked = torch.isneginf(chosen).cpu().numpy()
        picked = [self._pick(self._rows[place], masked[at], chosen[at]) for at, place in enumerate(places)]
        logits[places] = -torch.inf
        logits[places, picked] = 0.0
        return logits

    def _pick(self, row: _GrammarRow, masked: Any, logits: torch.Tensor) -> int:
        import numpy as np

        legal = np.flatnonzero(~masked).tolist()
        if len(legal) == 1:
            return int(legal[0])
        prefix = self._vocabulary.text(row.done)
        priors = decode.legal_priors(row.grammar, self._vocabulary, frozenset(legal), prefix)
        if len(priors) == 1:
            return next(iter(priors))
        return decode.best(row.grammar.llm_weight, priors, logits[list(priors)].float().cpu().numpy())
