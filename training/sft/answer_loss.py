"""The loss of supervised fine-tuning: cross entropy over the answers' tokens.

Three shortcuts leave the loss unchanged. Logits are computed only for tokens with a label (a vocabulary of
49,152 is half of a small model's work). The prefix that all prompts of a batch share (the system turn) goes
through the model once, into a cache that all rows read. Frozen blocks are computed once for each sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diffagent.training.sft.dialogues import IGNORED

if TYPE_CHECKING:
    import torch

    from diffagent.training.sft.frozen_blocks import FrozenBlocks


@dataclass(frozen=True)
class AnswerWeights:
    """The weights of an answer's tokens in the loss.

    ``plain``: the weight of the letter, one token in forty, in the cross entropy over the whole vocabulary.
    ``identity``: the weight of name, type and base model, which are copied from the question, relative to
    parameters, which vary. ``letters``: the token ids of the labels, in order.
    """

    plain: float = 1.0
    identity: float = 1.0
    letters: tuple[int, ...] = ()

    def measured(self) -> AnswerWeights:
        """The weights of a held-out loss, where every token counts once."""
        return AnswerWeights(letters=self.letters)


def answer_loss(
    model: Any,
    ids: torch.Tensor,
    real: torch.Tensor,
    labels: torch.Tensor,
    count: Any = None,
    choice: AnswerWeights | None = None,
    log_priors: torch.Tensor | None = None,
    parameters: torch.Tensor | None = None,
    letter_targets: torch.Tensor | None = None,
    share: bool = True,
    wrapped: Any = None,
    frozen: FrozenBlocks | None = None,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross entropy in nats over the labelled tokens, and accuracies: the share of tokens that rank first
    and, of letters with a prior, the recall of the prefilter alone and fused with the model.

    Args:
        model: a causal language model of transformers (``base_model``, ``get_output_embeddings``).
        ids, real, labels: int64 [batch, length], padded on the right; ``real`` is 0 on padding, ``labels`` is
            −100 where there is no loss.
        count: the divisor of the sum; default: the number of labelled tokens.
        choice: the weights of tokens; default: all equal.
        log_priors: float [batch, k], the prefilter's log-probabilities of the candidates, −inf after the
            last one and in rows without a prior.
        parameters: int64 [batch, 2], where each row's parameters begin and end; default: the whole row.
        letter_targets: float [batch, k], the target probability of each candidate's letter as a row's first
            labelled token; zeros where the label alone is right.
        share: whether the common prefix goes through the model once, which needs a cache; gradient
            checkpointing keeps none.
        wrapped: the wrapper of the model for several processes, which averages their gradients when it is
            called; the batch then goes through it whole, and logits are computed from the first label on.
        frozen: the blocks below the first trained one, where there are any; their states are kept.
    """
    import torch
    from torch.nn.functional import cross_entropy

    choice = choice or AnswerWeights()
    if wrapped is None:
        prefix_length = shared_length(ids, labels == IGNORED) if share else 0
        states = states_behind(model, ids, real, prefix_length, frozen)
        start = ids.shape[1] - states.shape[1]
    else:
        start = max(int((labels != IGNORED).any(0).int().argmax()) - 1, 0)
    targets = labels[:, start + 1 :]
    scored = targets != IGNORED
    if wrapped is None:
        logits = model.get_output_embeddings()(states[:, :-1][scored]).float()
    else:
        rest = ids.shape[1] - start
        output = wrapped(input_ids=ids, attention_mask=real, use_cache=False, logits_to_keep=rest)
        logits = output.logits[:, :-1][scored].float()
    answer_ids = targets[scored]
    opening = (scored & (scored.cumsum(1) == 1))[scored]
    weights = 1 + (choice.plain - 1) * opening.to(logits.dtype)
    if parameters is not None:
        places = torch.arange(start + 1, labels.shape[1], device=labels.device)
        identity = ((places < parameters[:, :1]) | (places >= parameters[:, 1:]))[scored] & ~opening
        weights += (choice.identity - 1) * identity.to(logits.dtype)
    losses = cross_entropy(logits, answer_ids, reduction="none")
    if letter_targets is not None and letter_targets.shape[1] and choice.letters:
        shares_of_letters = letter_targets[scored.any(1)]
        losses = losses.index_put(
            (opening.nonzero().squeeze(1),),
            _among_letters(logits[opening], losses[opening], shares_of_letters, choice.letters),
        )
    total = (weights * losses).sum()
    with torch.no_grad():
        accuracies = {"mean_token_accuracy": float((logits.argmax(-1) == answer_ids).float().mean())}
    if log_priors is not None and choice.letters:
        priors = log_priors[scored.any(1)]
        accuracies |= _recalls(logits[opening].detach(), answer_ids[opening], priors, choice.letters)
    return total / (max(len(answer_ids), 1) if count is None else count), accuracies


def _among_letters(
    logits: torch.Tensor, losses: torch.Tensor, targets: torch.Tensor, letters: tuple[int, ...]
) -> torch.Tensor:
    """The cross entropy [rows] of the targets over the letters; ``losses`` in rows without targets."""
    import torch

    ids = torch.tensor(letters[: targets.shape[1]], device=logits.device)
    spread = -(targets * logits.log_softmax(1)[:, ids]).sum(1)
    return torch.where(targets.sum(1) > 0, spread, losses)


def _recalls(
    logits: torch.Tensor, answer_ids: torch.Tensor, log_priors: torch.Tensor, letters: tuple[int, ...]
) -> dict[str, float]:
    """Shares of rows whose true candidate ranks first by the prior, and by prior and model fused."""
    import torch

    has_prior = log_priors.isfinite().any(1)
    if not has_prior.any():
        return {}
    prior = log_priors[has_prior]
    ids = torch.tensor(letters[: prior.shape[1]], device=logits.device)
    truth = (answer_ids[has_prior][:, None] == ids).int().argmax(1)
    together = prior + logits[has_prior][:, ids]
    return {
        name: float((scores.argmax(1) == truth).float().mean())
        for name, scores in (("prefilter_recall", prior), ("fused_recall", together))
    }


def shared_length(ids: torch.Tensor, unscored: torch.Tensor) -> int:
    """The length of the prefix that all rows share without a loss, less one token.

    ``unscored``: booleans [batch, length], where there is no loss.
    """
    alike = ((ids == ids[:1]) & unscored).all(0)
    differs = (~alike).nonzero()
    length = int(differs[0]) if len(differs) else ids.shape[1]
    return max(length - 1, 0) if len(ids) > 1 else 0


def states_behind(
    model: Any, ids: torch.Tensor, real: torch.Tensor, prefix_length: int, frozen: FrozenBlocks | None = None
) -> torch.Tensor:
    """Final hidden states [batch, length − prefix, hidden] after the first ``prefix_length`` tokens."""
    backbone = model.base_model
    if not prefix_length:
        if frozen is not None:
            return frozen.above(ids, real, None, 0)
        states: torch.Tensor = backbone(input_ids=ids, attention_mask=real, use_cache=False).last_hidden_state
        return states
    from transformers.cache_utils import DynamicCache

    cache = DynamicCache(config=model.config)
    backbone(input_ids=ids[:1, :prefix_length], past_key_values=cache, use_cache=True)
    cache.batch_repeat_interleave(len(ids))
    if frozen is not None:
        return frozen.above(ids, real, cache, prefix_length)
    output = backbone(
        input_ids=ids[:, prefix_length:], attention_mask=real, past_key_values=cache, use_cache=True
    )
    states = output.last_hidden_state
    return states
