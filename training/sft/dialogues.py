"""Dialogues: what the language model is trained on, one user turn and one answer each (paper, section 3.2).

*candidates*: the prompt with the prefilter's candidates, shuffled, so that no place in the list is a hint;
the answer is the letter and the call of the model that the image was made with. In a stated share of them
that model is absent, and the answer is the prefilter's best with its usual settings: what a user is
served best with where the list is poor. *memory*: the prompt alone, the model names the model.

Questions and answers are those of serving (:mod:`diffagent.agent.answering.answer`,
:mod:`diffagent.agent.answering.memory`), and an answer's tokens are those that constrained decoding writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from diffagent.agent.answering import answer, memory
from diffagent.agent.answering.settings import settings
from diffagent.agent.asking.wishes import Wishes
from diffagent.agent.engines import Prompt
from diffagent.agent.engines.decode import Vocabulary, spell
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.data.base_models import family_of
from diffagent.data.dabench.dabench import is_new_model
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, Usage
from diffagent.training.fitting.ranker import shorten
from diffagent.training.sft.listing import Listed

if TYPE_CHECKING:
    from diffagent.agent.engines.chat import Chat

Form = Literal["candidates", "memory", "reading", "choice"]
IGNORED = -100
"""The label of a token that no loss is computed on, as torch's cross entropy has it."""


@dataclass(frozen=True)
class Dialogue:
    """One user turn and one answer; ``grammar`` holds the answers that are legal for the same choice.
    ``log_priors``: the prefilter's log-probability of each candidate in the question's order, where the true
    model is one of them. ``targets``: how right each candidate's letter is, where several may be; they sum
    to 1."""

    form: Form
    prompt: Prompt
    answer: str
    grammar: Grammar
    log_priors: tuple[float, ...] = ()
    targets: tuple[float, ...] = ()


@dataclass(frozen=True)
class Example:
    """A dialogue's token ids, the answer's from ``answer_at`` on, the end token last; ``parameters`` is where
    what is not copied from the question begins and ends. ``log_priors`` and ``targets`` as in
    :class:`Dialogue`."""

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


@dataclass(frozen=True)
class Mix:
    """The share of dialogues in memory form, of candidate lists without their true model, and of the
    dialogues in memory form whose prompt is cut to a few words, as people type
    (:func:`diffagent.training.fitting.ranker.shorten`)."""

    memory: float = 0.1
    absent: float = 0.15
    short: float = 0.0

    def __post_init__(self) -> None:
        for name, share in (("memory", self.memory), ("absent", self.absent), ("short", self.short)):
            if not 0 <= share <= 1:
                raise BadInput(f"{name} is {share}, but it is a share: give 0 to 1")


def converse(
    pairs: Sequence[Listed], usual: Mapping[str, Usage], mix: Mix, k: int, rng: np.random.Generator
) -> list[Dialogue]:
    """A dialogue for each pair, in random order.

    The pairs whose model the prefilter did not list are the first to be absent; those beyond the stated
    share are asked from memory, and where they are too few, listed models are taken out.
    """
    order = [pairs[i] for i in rng.permutation(len(pairs))]
    by_memory = round(mix.memory * len(order))
    lost = [one for one in order if one.card not in one.cards[:k]]
    found = [one for one in order if one.card in one.cards[:k]]
    absent = round(mix.absent * (len(order) - by_memory))
    if mix.memory < 1:
        lost, spare = lost[:absent], lost[absent:]
        found, taken_out = found[absent - len(lost) :], found[: absent - len(lost)]
    else:
        lost, spare, found, taken_out = [], order, [], []
    by_memory = max(0, by_memory - len(spare))
    spare, found = spare + found[:by_memory], found[by_memory:]
    listed = [_among(one, usual, k, rng, present=True) for one in found]
    listed += [_among(one, usual, k, rng, present=False) for one in lost + taken_out]
    told = listed + [_from_memory(_cut(one, mix.short, rng), usual) for one in spare]
    return [told[i] for i in rng.permutation(len(told))]


def _among(
    pair: Listed, usual: Mapping[str, Usage], k: int, rng: np.random.Generator, *, present: bool
) -> Dialogue:
    """The candidates form; the true model is one of them or none."""
    offered = [one for one in pair.candidates if present or one.card != pair.card][:k]
    cards = [one.card for one in offered]
    best = next(
        (card for card in cards if card.model_id is None or not is_new_model(card.model_id)), cards[0]
    )
    chosen = pair.card if present else best
    offered = [offered[i] for i in rng.permutation(len(offered))]
    label = answer.LABELS[[one.card for one in offered].index(chosen)]
    legal = answer.grammar(label, chosen, _usual_settings(chosen, pair, usual), 1.0)
    choice = own_settings(pair.api) if present else {}
    legal = with_options(legal, choice)
    priors = tuple(one.score for one in offered) if present else ()
    return Dialogue("candidates", answer.question(offered, pair.prompt), legal.render(choice), legal, priors)


def _cut(pair: Listed, share: float, rng: np.random.Generator) -> Listed:
    """The pair, in so many cases with a few words of its prompt."""
    if not share or rng.random() >= share:
        return pair
    return replace(pair, prompt=shorten(pair.prompt, pair.card, rng))


def _from_memory(pair: Listed, usual: Mapping[str, Usage]) -> Dialogue:
    choice = own_settings(pair.api)
    legal = with_options(memory.grammar(pair.card, _usual_settings(pair.card, pair, usual), 1.0), choice)
    return Dialogue("memory", memory.question(pair.prompt), legal.render(choice), legal)


def _usual_settings(card: Card, pair: Listed, usual: Mapping[str, Usage]) -> Mapping[str, Any]:
    return settings(card, usual.get(family_of(card.base_model), Usage()), Wishes(pair.prompt))


def own_settings(api: Mapping[str, Any]) -> dict[str, str]:
    """A call's own parameters as the slots of an answer spell them."""
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


def tokenise(dialogue: Dialogue, chat: Chat, vocabulary: Vocabulary) -> Example:
    """Token ids of both turns in the model's own chat template."""
    asked = chat.prompt_ids(dialogue.prompt)
    said = spell(dialogue.grammar, vocabulary, dialogue.answer)
    parts, whole = dialogue.grammar.parts, len(dialogue.answer.encode())
    copied = str(parts[0]) if dialogue.form == "candidates" else ""
    ends = (len(copied.encode()), whole - len(dialogue.grammar.tail.encode()))
    first, last = (
        next(n for n in range(len(said) + 1) if len(vocabulary.text(said[:n])) >= end) for end in ends
    )
    return Example(
        form=dialogue.form,
        ids=[*asked, *said, vocabulary.end],
        answer_at=len(asked),
        parameters=[len(asked) + first, len(asked) + last],
        log_priors=list(dialogue.log_priors),
        targets=list(dialogue.targets),
    )


def in_batches(examples: Sequence[Example], batch: int, rng: np.random.Generator) -> list[Example]:
    """The examples reordered so that each run of ``batch`` is of one form and like length.

    They are sorted within windows of 32 batches, and the batches shuffled: a run that stops early has seen a
    random part. What is left over from whole batches stands last.
    """
    found: list[list[Example]] = []
    rest: list[Example] = []
    for start in range(0, len(examples), 32 * batch):
        window = examples[start : start + 32 * batch]
        for form in get_args(Form):
            alike = sorted((one for one in window if one.form == form), key=lambda one: len(one.ids))
            whole = len(alike) - len(alike) % batch
            made = [alike[i : i + batch] for i in range(0, whole, batch)]
            found += [made[i] for i in rng.permutation(len(made))]
            rest += alike[whole:]
    order = _interleaved(len(found), 32, rng)
    return [one for i in order for one in found[i]] + rest


def _interleaved(count: int, window: int, rng: np.random.Generator) -> list[int]:
    """0…count − 1, shuffled within windows: forms mix, and the order of the examples is kept on the whole."""
    starts = range(0, count, window)
    return [int(i) for start in starts for i in start + rng.permutation(min(window, count - start))]
