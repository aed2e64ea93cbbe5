"""Dialogues: the language model's training data, one user turn and one answer each (paper, section 3.2).

*candidates*: the prompt with the prefilter's candidates, shuffled, so that a place in the list is no hint;
the answer is the letter and the call of the model that the image was made with. In a configured share of the
lists that model is absent, and the answer is the prefilter's best with its usual settings, which serves a
user best where the list is poor. *memory*: the prompt alone; the answer names the model.

Questions and answers are those of serving (:mod:`diffagent.agent.answering.answer`,
:mod:`diffagent.agent.answering.memory`), and an answer has the tokens that constrained decoding writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from pydantic.dataclasses import dataclass as pydantic_dataclass

from diffagent.agent.answering import answer, memory
from diffagent.agent.answering.settings import settings
from diffagent.agent.asking.wishes import Wishes
from diffagent.agent.engines import Prompt
from diffagent.agent.engines.decode import Vocabulary, spell
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.data.base_models import family_of
from diffagent.data.dabench.dabench import is_new_model
from diffagent.data.records import Card, Usage
from diffagent.training.corpora.train_samples import shorten
from diffagent.training.sft.listing import STRICT, ListedPair, Share

if TYPE_CHECKING:
    from diffagent.agent.engines.chat import Chat

Form = Literal["candidates", "memory", "reading", "choice"]
IGNORED = -100
"""The label of a token that no loss is computed on, as torch's cross entropy has it."""


@dataclass(frozen=True)
class Dialogue:
    """One user turn and one answer; ``grammar`` holds the legal answers with the same choice.
    ``log_priors``: the prefilter's log-probability of each candidate in the question's order, where the true
    model is one of them. ``targets``: the target probability of each candidate's letter, where several are
    right; the sum is 1."""

    form: Form
    prompt: Prompt
    answer: str
    grammar: Grammar
    log_priors: tuple[float, ...] = ()
    targets: tuple[float, ...] = ()


@dataclass(frozen=True)
class TrainingExample:
    """A dialogue's token ids: the answer starts at ``answer_at``, the end token is last; ``parameters`` is
    where the parameters, which are not copied from the question, begin and end. ``log_priors`` and
    ``targets`` as in :class:`Dialogue`."""

    form: Form
    ids: list[int]
    answer_at: int
    parameters: list[int]
    log_priors: list[float] = field(default_factory=list)
    targets: list[float] = field(default_factory=list)

    @property
    def labels(self) -> list[int]:
        """The ids, ignored before the answer."""
        return [IGNORED] * self.answer_at + self.ids[self.answer_at :]


@pydantic_dataclass(frozen=True, config=STRICT)
class Mix:
    """The shares of dialogues in memory form, of candidate lists without their true model, and of memory-form
    dialogues whose prompt is cut to a few words, as people type
    (:func:`diffagent.training.corpora.train_samples.shorten`)."""

    memory: Share = 0.1
    absent: Share = 0.15
    short: Share = 0.0


def converse(
    pairs: Sequence[ListedPair], usual: Mapping[str, Usage], mix: Mix, k: int, rng: np.random.Generator
) -> list[Dialogue]:
    """A dialogue for each pair, in random order.

    Pairs whose model the prefilter did not list fill the share of absent ones first. The surplus goes into
    memory form; where there are too few, listed models are removed from their lists.
    """
    order = [pairs[i] for i in rng.permutation(len(pairs))]
    by_memory = round(mix.memory * len(order))
    absent_pairs = [pair for pair in order if pair.card not in pair.cards[:k]]
    present = [pair for pair in order if pair.card in pair.cards[:k]]
    absent = round(mix.absent * (len(order) - by_memory))
    if mix.memory < 1:
        absent_pairs, spare = absent_pairs[:absent], absent_pairs[absent:]
        present, taken_out = present[absent - len(absent_pairs) :], present[: absent - len(absent_pairs)]
    else:
        absent_pairs, spare, present, taken_out = [], order, [], []
    by_memory = max(0, by_memory - len(spare))
    spare, present = spare + present[:by_memory], present[by_memory:]
    listed = [_among(pair, usual, k, rng, present=True) for pair in present]
    listed += [_among(pair, usual, k, rng, present=False) for pair in absent_pairs + taken_out]
    dialogues = listed + [_from_memory(_cut(pair, mix.short, rng), usual) for pair in spare]
    return [dialogues[i] for i in rng.permutation(len(dialogues))]


def _among(
    pair: ListedPair, usual: Mapping[str, Usage], k: int, rng: np.random.Generator, *, present: bool
) -> Dialogue:
    """A dialogue in candidates form, with or without the true model in its list."""
    candidates = [candidate for candidate in pair.candidates if present or candidate.card != pair.card][:k]
    cards = [candidate.card for candidate in candidates]
    best = next(
        (card for card in cards if card.model_id is None or not is_new_model(card.model_id)), cards[0]
    )
    chosen = pair.card if present else best
    candidates = [candidates[i] for i in rng.permutation(len(candidates))]
    label = answer.LABELS[[candidate.card for candidate in candidates].index(chosen)]
    legal = answer.grammar(label, chosen, _usual_settings(chosen, pair, usual), 1.0)
    choice = own_settings(pair.api) if present else {}
    legal = with_options(legal, choice)
    priors = tuple(candidate.score for candidate in candidates) if present else ()
    return Dialogue(
        "candidates", answer.question(candidates, pair.prompt), legal.render(choice), legal, priors
    )


def _cut(pair: ListedPair, share: float, rng: np.random.Generator) -> ListedPair:
    """The pair, in a share of the cases with its prompt cut to a few words."""
    if not share or rng.random() >= share:
        return pair
    return replace(pair, prompt=shorten(pair.prompt, pair.card, rng))


def _from_memory(pair: ListedPair, usual: Mapping[str, Usage]) -> Dialogue:
    choice = own_settings(pair.api)
    legal = with_options(memory.grammar(pair.card, _usual_settings(pair.card, pair, usual), 1.0), choice)
    return Dialogue("memory", memory.question(pair.prompt), legal.render(choice), legal)


def _usual_settings(card: Card, pair: ListedPair, usual: Mapping[str, Usage]) -> Mapping[str, Any]:
    return settings(card, usual.get(family_of(card.base_model), Usage()), Wishes(pair.prompt))


def own_settings(api: Mapping[str, Any]) -> dict[str, str]:
    """A call's parameters as the slots of an answer spell them."""
    return {
        "size": f"{api['width']},{api['height']}",
        "sampler": str(api["sampling_method"]),
        "steps": str(api["sampling_steps"]),
        "cfg": f"{api['cfg_scale']:g}",
    }


def with_options(grammar: Grammar, choice: Mapping[str, str]) -> Grammar:
    """The grammar with the chosen options added to slots that lack them."""
    return Grammar(
        tuple(_with_option(part, choice) if isinstance(part, Slot) else part for part in grammar.parts),
        grammar.llm_weight,
    )


def _with_option(slot: Slot, choice: Mapping[str, str]) -> Slot:
    option = choice.get(slot.name, slot.best)
    if option in slot.options:
        return slot
    return Slot(slot.name, (*slot.options, option), (*slot.log_priors, min(slot.log_priors)))


def tokenise(dialogue: Dialogue, chat: Chat, vocabulary: Vocabulary) -> TrainingExample:
    """The token ids of both turns in the model's chat template."""
    question_ids = chat.prompt_ids(dialogue.prompt)
    answer_ids = spell(dialogue.grammar, vocabulary, dialogue.answer)
    parts, whole = dialogue.grammar.parts, len(dialogue.answer.encode())
    prefix = str(parts[0]) if dialogue.form == "candidates" else ""
    ends = (len(prefix.encode()), whole - len(dialogue.grammar.tail.encode()))
    first, last = (
        next(n for n in range(len(answer_ids) + 1) if len(vocabulary.text(answer_ids[:n])) >= end)
        for end in ends
    )
    return TrainingExample(
        form=dialogue.form,
        ids=[*question_ids, *answer_ids, vocabulary.end],
        answer_at=len(question_ids),
        parameters=[len(question_ids) + first, len(question_ids) + last],
        log_priors=list(dialogue.log_priors),
        targets=list(dialogue.targets),
    )


def in_batches(
    examples: Sequence[TrainingExample], batch: int, rng: np.random.Generator
) -> list[TrainingExample]:
    """The examples, reordered so that each batch has one form and similar lengths.

    Examples are sorted within windows of 32 batches, and the batches are shuffled, so that a run that stops
    early has read a random part. The remainder of whole batches comes last.
    """
    batches: list[list[TrainingExample]] = []
    rest: list[TrainingExample] = []
    for start in range(0, len(examples), 32 * batch):
        window = examples[start : start + 32 * batch]
        for form in get_args(Form):
            alike = sorted(
                (example for example in window if example.form == form), key=lambda example: len(example.ids)
            )
            whole = len(alike) - len(alike) % batch
            runs = [alike[i : i + batch] for i in range(0, whole, batch)]
            batches += [runs[i] for i in rng.permutation(len(runs))]
            rest += alike[whole:]
    order = _interleaved(len(batches), 32, rng)
    return [example for i in order for example in batches[i]] + rest


def _interleaved(count: int, window: int, rng: np.random.Generator) -> list[int]:
    """0…count − 1, shuffled within windows: forms mix, and the overall order of the examples stays."""
    starts = range(0, count, window)
    return [int(i) for start in starts for i in start + rng.permutation(min(window, count - start))]
