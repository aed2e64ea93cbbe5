"""transformers' Trainer with the loss of RRHF; a batch has several queries, each with all its responses."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from diffagent.training.rrhf.loss import Loss, response_log_probs, rrhf_loss, token_log_probs
from diffagent.training.sft.answer_loss import shared_length, states_behind
from diffagent.training.sft.answer_trainer import PacedTrainer

if TYPE_CHECKING:
    import torch


Side = Literal["left", "right"]


@dataclass(frozen=True)
class ScoredQuery:
    """A query's token ids, and those of its responses, end token included, with a score each. ``counted``:
    the number of each response's first tokens that are ranked, if not all."""

    prompt: list[int]
    responses: list[list[int]]
    scores: list[float]
    counted: list[int] | None = None


def collate(queries: Sequence[ScoredQuery], pad: int, side: Side = "right") -> dict[str, Any]:
    """A batch of R responses, padded on one side.

    ``input_ids``, ``attention_mask``, ``own`` (true at the response's tokens) and ``ranked`` (true at the
    ranked ones) [R, L]; ``scores`` float32 and ``query`` int64 [R].
    """
    import torch

    rows = [(query.prompt, response) for query in queries for response in query.responses]
    counts = [count for query in queries for count in query.counted or map(len, query.responses)]
    longest = max(len(prompt) + len(response) for prompt, response in rows)

    def padded(ids: Sequence[int], filler: int) -> list[int]:
        rest = [filler] * (longest - len(ids))
        return [*rest, *ids] if side == "left" else [*ids, *rest]

    ranked = [
        padded([0] * len(prompt) + [1] * count + [0] * (len(response) - count), 0)
        for (prompt, response), count in zip(rows, counts, strict=True)
    ]
    numbers = [number for number, query in enumerate(queries) for _ in query.responses]
    return {
        "input_ids": torch.tensor([padded([*prompt, *response], pad) for prompt, response in rows]),
        "attention_mask": torch.tensor([padded([1] * (len(p) + len(r)), 0) for p, r in rows]),
        "own": torch.tensor([padded([0] * len(p) + [1] * len(r), 0) for p, r in rows]).bool(),
        "ranked": torch.tensor(ranked).bool(),
        "scores": torch.tensor([score for query in queries for score in query.scores], dtype=torch.float32),
        "query": torch.tensor(numbers),
    }


Sums = tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]
"""Sums of each response [R]: Σ log P and number of its ranked tokens, and Σ log P of all its tokens."""


def whole_log_probs(model: Any, batch: dict[str, Any]) -> Sums:
    """The sums of each response, by one pass over all rows, padded on either side.

    Positions count from each row's first token, so that the side of the padding changes nothing. Logits are
    computed from the token before the first response on.
    """
    ids, real, is_response = batch["input_ids"], batch["attention_mask"], batch["own"]
    start = max(int(is_response.any(0).nonzero()[0]) - 1, 0)
    logits = model(
        input_ids=ids,
        attention_mask=real,
        position_ids=(real.cumsum(1) - 1).clamp(min=0),
        logits_to_keep=ids.shape[1] - start,
        use_cache=False,
    ).logits
    log_probs = token_log_probs(logits, ids[:, start:])
    return _sums(log_probs, is_response[:, start + 1 :], batch["ranked"][:, start + 1 :])


def _sums(log_probs: torch.Tensor, is_response: torch.Tensor, ranked: torch.Tensor) -> Sums:
    return *response_log_probs(log_probs, ranked), response_log_probs(log_probs, is_response)[0]


def shared_log_probs(model: Any, batch: dict[str, Any]) -> Sums:
    """The sums of :func:`whole_log_probs`, with one pass per query for all its responses.

    Six responses of forty tokens to a query of 220 are 460 tokens instead of 1,560, which counts on a CPU.
    Rows are padded on the right.
    """
    import torch

    sums = [_query_sums(model, query) for query in by_query(batch)]
    totals, lengths, wholes = zip(*sums, strict=True)
    return torch.cat(totals), torch.cat(lengths), torch.cat(wholes)


ROWS = ("input_ids", "attention_mask", "own", "ranked")


def by_query(batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The queries of a batch, in the order of their numbers, with rows cut to the longest."""
    for number in batch["query"].unique():
        rows = batch["query"] == number
        width = int(batch["attention_mask"][rows].sum(1).max())
        wide = {name: batch[name][rows][:, :width] for name in ROWS}
        yield {**wide, "scores": batch["scores"][rows], "query": batch["query"][rows]}


def _query_sums(model: Any, batch: dict[str, Any]) -> Sums:
    ids, is_response = batch["input_ids"], batch["own"]
    common = min(shared_length(ids, ~is_response), int(is_response.any(0).nonzero()[0]) - 1)
    states = states_behind(model, ids, batch["attention_mask"], common)
    mask = is_response[:, common + 1 :]
    logits = model.get_output_embeddings()(states[:, :-1][mask]).float()
    log_probs = logits.new_zeros(mask.shape)
    next_ids = ids[:, common + 1 :][mask]
    log_probs = log_probs.masked_scatter(mask, logits.log_softmax(-1).gather(-1, next_ids[:, None])[:, 0])
    return _sums(log_probs, mask, batch["ranked"][:, common + 1 :])


def use_float32_logits(head: Any) -> None:
    """Makes a model's head (a linear layer) return float32 logits: bf16 rounds them to eighths, which makes
    responses of one token tie."""
    import torch

    def forward(states: torch.Tensor) -> torch.Tensor:
        with torch.autocast(states.device.type, enabled=False):
            bias = head.bias.float() if head.bias is not None else None
            return torch.nn.functional.linear(states.float(), head.weight.float(), bias)

    head.forward = forward


@cache
def trainer_class() -> Any:
    """The trainer's class, created at first use, because its base takes seconds to import."""
    from transformers.trainer import Trainer

    class RRHFTrainer(PacedTrainer, Trainer):  # type: ignore[misc]
        """transformers' Trainer with :func:`~diffagent.training.rrhf.loss.rrhf_loss`.

        Batches come from :func:`collate`; ``tokens`` counts a query with each of its responses.
        """

        def __init__(self, *, rank_weight: float, **options: Any) -> None:
            super().__init__(**options)
            self._rank_weight = rank_weight
            use_float32_logits(self.accelerator.unwrap_model(self.model).get_output_embeddings())
            self.model_accepts_loss_kwargs = False  # the loss is a mean over a batch's queries
            self._parts: dict[str, list[float]] = defaultdict(list)

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            plain = self.accelerator.unwrap_model(model)
            with self.computing(plain.get_base_model() if hasattr(plain, "peft_config") else plain):
                total, length, whole = self._log_probs(model, inputs)
            loss = rrhf_loss(total, length, inputs["scores"], inputs["query"], whole, self._rank_weight)
            self._note(loss, inputs)
            return (loss.total, {}) if return_outputs else loss.total

        def _log_probs(self, model: Any, inputs: Any) -> Sums:
            on_cpu = inputs["own"].device.type == "cpu"
            padded_right = bool(inputs["attention_mask"][:, 0].all())
            alone = self.accelerator.num_processes == 1  # gradients are averaged where the wrapper is called
            if not (on_cpu and padded_right and alone) or self.args.gradient_checkpointing:
                return whole_log_probs(model, inputs)
            plain = self.accelerator.unwrap_model(model)
            return shared_log_probs(
                plain.get_base_model() if hasattr(plain, "peft_config") else plain, inputs
            )

        def _note(self, loss: Loss, inputs: Any) -> None:
            prefix = "" if self.model.training else "eval_"
            if self.model.training:
                self.tokens += int(inputs["attention_mask"].sum())
            for name in ("rank", "cross_entropy", "ordered", "best"):
                value = getattr(loss, name)
                if not math.isnan(value):
                    self._parts[prefix + name].append(value)

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            evaluated = "eval_loss" in logs
            for name in [part for part in self._parts if part.startswith("eval_") == evaluated]:
                values = self._parts.pop(name)
                logs[name] = sum(values) / len(values)
            super().log(logs, start_time)

    return RRHFTrainer
