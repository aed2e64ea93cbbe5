"""The loss of supervised fine-tuning: cross entropy over the answers' tokens, and nothing else computed.

Two things are left out that change nothing in the result: the logits of tokens that no loss is
computed on (a vocabulary of 49,152 is half of a small model's work), and the beginning that all prompts of a
batch share (the system turn), which goes through the model once and is then seen by all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diffagent.training.sft.dialogues import IGNORED

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Choice:
    """How the choice counts in an answer: its letter, one token in forty, and what follows from it.

    ``plain``: the weight of its cross entropy among all tokens, which teaches the model to answer by
    itself. ``identity``: the weight of name, type and base model, which can be copied without a doubt, beside
    parameters, which vary. ``letters``: the token ids of the labels, in order.
    """

    plain: float = 1.0
    identity: float = 1.0
    letters: tuple[int, ...] = ()

    def measured(self) -> Choice:
        """With every token counted once, as a held-out loss is reported."""
        return Choice(letters=self.letters)


def answer_loss(
    model: Any,
    ids: torch.Tensor,
    real: torch.Tensor,
    labels: torch.Tensor,
    count: Any = None,
    choice: Choice | None = None,
    log_priors: torch.Tensor | None = None,
    parameters: torch.Tensor | None = None,
    letter_targets: torch.Tensor | None = None,
    share: bool = True,
    wrapped: Any = None,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross entropy in nats over the labelled tokens, and shares of right ones: of all tokens that come
    first, and, of the letters with a prior, by the prefilter alone and with the model.

    Args:
        model: a causal language model of transformers (``base_model``, ``get_output_embeddings``).
        ids, real, labels: int64 [batch, length], padded at the right; ``real`` is 1 where a token is none of
            the padding, ``labels`` is −100 where there is no loss.
        count: what the sum is divided by; default: the number of labelled tokens.
        choice: how the first labelled token of each row counts; default: as any other.
        log_priors: float [batch, k], the prefilter's log-probabilities of the candidates, −inf behind the
            last and in rows that have none.
        parameters: int64 [batch, 2], where each row's parameters begin and end; default: they are all of it.
        letter_targets: float [batch, k], how right each candidate's letter is as a row's first labelled
            token; zeros where that token alone is right.
        share: whether the common beginning goes through the model once, for which it has to keep a cache;
            with gradient checkpointing it keeps none.
        wrapped: the model as it is wrapped for several processes, which averages their gradients where it is
            called; the batch then goes through it whole, and logits are computed from the first label on.
    """
    import torch
    from torch.nn.functional import cross_entropy

    choice = choice or Choice()
    if wrapped is None:
        states = states_behind(model, ids, real, shared(ids, labels == IGNORED) if share else 0)
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
    wanted = targets[scored]
    opening = (scored & (scored.cumsum(1) == 1))[scored]
    weights = 1 + (choice.plain - 1) * opening.to(logits.dtype)
    if parameters is not None:
        places = torch.arange(start + 1, labels.shape[1], device=labels.device)
        identity = ((places < parameters[:, :1]) | (places >= parameters[:, 1:]))[scored] & ~opening
        weights += (choice.identity - 1) * identity.to(logits.dtype)
    losses = cross_entropy(logits, wanted, reduction="none")
    if letter_targets is not None and letter_targets.shape[1] and choice.letters:
        shares_of_letters = letter_targets[scored.any(1)]
        losses = losses.index_put(
            (opening.nonzero().squeeze(1),),
            _among_letters(logits[opening], losses[opening], shares_of_letters, choice.letters),
        )
    total = (weights * losses).sum()
    with torch.no_grad():
        right = {"mean_token_accuracy": float((logits.argmax(-1) == wanted).float().mean())}
    if log_priors is not None and choice.letters:
        given = log_priors[scored.any(1)]
        right |= _recalls(logits[opening].detach(), wanted[opening], given, choice.letters)
    return total / (max(len(wanted), 1) if count is None else count), right


def _among_letters(
    logits: torch.Tensor, losses: torch.Tensor, targets: torch.Tensor, letters: tuple[int, ...]
) -> torch.Tensor:
    """The cross entropy [rows] of the targets over the letters; ``losses`` in rows that have none."""
    import torch

    ids = torch.tensor(letters[: targets.shape[1]], device=logits.device)
    spread = -(targets * logits.log_softmax(1)[:, ids]).sum(1)
    return torch.where(targets.sum(1) > 0, spread, losses)


def _recalls(
    logits: torch.Tensor, wanted: torch.Tensor, log_priors: torch.Tensor, letters: tuple[int, ...]
) -> dict[str, float]:
    """Shares of rows whose candidate the prior prefers, and prior and model [rows, vocabulary] together."""
    import torch

    known = log_priors.isfinite().any(1)
    if not known.any():
        return {}
    prior = log_priors[known]
    ids = torch.tensor(letters[: prior.shape[1]], device=logits.device)
    truth = (wanted[known][:, None] == ids).int().argmax(1)
    together = prior + logits[known][:, ids]
    return {
        name: float((scores.argmax(1) == truth).float().mean())
        for name, scores in (("prefilter_recall", prior), ("fused_recall", together))
    }


def shared(ids: torch.Tensor, unscored: torch.Tensor) -> int:
    """How many tokens all rows begin with alike and without a loss, the last of them left to each row.

    ``unscored``: booleans [batch, length], where there is no loss.
    """
    alike = ((ids == ids[:1]) & unscored).all(0)
    differs = (~alike).nonzero()
    length = int(differs[0]) if len(differs) else ids.shape[1]
    return max(length - 1, 0) if len(ids) > 1 else 0


def states_behind(model: Any, ids: torch.Tensor, real: torch.Tensor, shared: int) -> torch.Tensor:
    """Final hidden states [batch, length − shared, hidden] behind the first ``shared`` tokens."""
    backbone = model.base_model
    if not shared:
        states: torch.Tensor = backbone(input_ids=ids, attention_mask=real, use_cache=False).last_hidden_state
        return states
    from transformers.cache_utils import DynamicCache

    cache = DynamicCache(config=model.config)
    backbone(input_ids=ids[:1, :shared], past_key_values=cache, use_cache=True)
    cache.batch_repeat_interleave(len(ids))
    output = backbone(input_ids=ids[:, shared:], attention_mask=real, past_key_values=cache, use_cache=True)
    states = output.last_hidden_state
    return states
