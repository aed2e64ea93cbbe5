"""Dialogues: what is asked and answered, which model is absent, and the tokens that are learnt."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from stand_ins import ENTRIES

from diffagent.agent.answering import answer, memory
from diffagent.agent.choosing.prefilter import Candidate
from diffagent.agent.choosing.short_names import short_name
from diffagent.agent.engines.decode import Vocabulary, spell, write
from diffagent.agent.engines.transformers_engine import TransformersEngine
from diffagent.data.catalog.callability import answer_flaw
from diffagent.data.catalog.usage import by_family
from diffagent.data.errors import EngineError
from diffagent.training.sft.dialogues import (
    IGNORED,
    Dialogue,
    Mix,
    TrainingExample,
    converse,
    in_batches,
    tokenise,
)
from diffagent.training.sft.listing import ListedPair

CARDS = tuple(entry.card for entry in ENTRIES[:4])
PIXELS, OIL, INK, XL = CARDS
API = {"width": 640, "height": 512, "sampling_method": "Euler a", "sampling_steps": 23, "cfg_scale": 7}
USUAL = by_family(CARDS)


def pair(
    true: Any = PIXELS, offered: tuple[Any, ...] = CARDS, prompt: str = "a fox, pixel art"
) -> ListedPair:
    shares = 0.5 ** np.arange(1, len(offered) + 1)
    candidates = (Candidate(card, math.log(share)) for card, share in zip(offered, shares, strict=True))
    return ListedPair(prompt, true, API, tuple(candidates))


def dialogues_of(pairs: list[ListedPair], mix: Mix, k: int = 3, seed: int = 0) -> list[Dialogue]:
    return converse(pairs, USUAL, mix, k, np.random.default_rng(seed))


def lines(dialogue: Dialogue) -> list[str]:
    return dialogue.prompt.user.split("\n")[:-1]


def test_the_answer_is_the_true_models_letter_with_the_images_own_settings() -> None:
    places: Counter[str] = Counter()
    for seed in range(30):
        (dialogue,) = dialogues_of([pair()], Mix(0, 0), seed=seed)
        letter, fields = answer.read(dialogue.answer)
        assert lines(dialogue)[answer.LABELS.index(letter)] == f"{letter} Tiny Pixels = [8"
        assert dialogue.answer == f'{letter} Tiny Pixels = [640,512,"Euler a",23,7]'
        assert fields["model"] == "Tiny Pixels"
        matches = {"Tiny Pixels = [8": 4, 'Oil "Masters" = [6': 2, "Ink Fox Style + [5": 1}  # of 7
        assert {line[2:] for line in lines(dialogue)} == set(matches)
        assert dialogue.log_priors == tuple(math.log(matches[line[2:]] / 8) for line in lines(dialogue))
        places[letter] += 1
    assert set(places) == {"A", "B", "C"}  # no place is a hint


def test_where_the_true_model_is_absent_the_prefilters_best_is_named_with_its_usual_settings() -> None:
    (dialogue,) = dialogues_of([pair()], Mix(0, 1))
    options = {line[2:] for line in lines(dialogue)}
    assert options == {
        'Oil "Masters" = [8',
        "Ink Fox Style + [6",
        "Grand XL = SDXL 1.0 [5",  # the reserve moves up
    }
    _, fields = answer.read(dialogue.answer)
    assert fields["model"] == short_name(OIL.name)
    assert (fields["width"], fields["height"], fields["sampling_steps"]) == (768, 512, 30)


@pytest.mark.parametrize(
    ("present", "lost", "mix", "memory_form", "absent"),
    [
        (20, 0, Mix(0.2, 0.25), 4, 4),  # 16 lists, a quarter without their model: all taken out
        (16, 4, Mix(0.2, 0.25), 4, 4),  # just those that were lost
        (10, 10, Mix(0.2, 0.25), 6, 4),  # six lost ones too many are asked from memory
        (20, 0, Mix(1, 0.25), 20, 0),
    ],
)
def test_forms_come_in_their_shares(present: int, lost: int, mix: Mix, memory_form: int, absent: int) -> None:
    pairs = [pair()] * present + [pair(XL, (PIXELS, OIL, INK))] * lost
    dialogues = dialogues_of(pairs, mix)
    assert len(dialogues) == 20
    assert sum(dialogue.form == "memory" for dialogue in dialogues) == memory_form
    lists = [dialogue for dialogue in dialogues if dialogue.form == "candidates"]
    names = [answer.read(dialogue.answer)[1]["model"] for dialogue in lists]
    assert (
        sum("640,512" not in dialogue.answer for dialogue in lists)
        == absent
        == len(names)
        - names.count("Tiny Pixels")
        + sum("Tiny Pixels" in dialogue.answer and "640,512" not in dialogue.answer for dialogue in lists)
    )


def test_a_share_of_the_prompts_in_memory_form_is_cut_short() -> None:
    whole = "Prompt: a fox, pixel art"
    texts = [dialogue.prompt.user for dialogue in dialogues_of([pair()] * 40, Mix(1, 0, short=0.5))]
    assert 10 < sum(text != whole for text in texts) < 35  # a few are cut to all they have
    assert {dialogue.prompt.user for dialogue in dialogues_of([pair()] * 40, Mix(1, 0))} == {whole}


def test_the_memory_form_is_the_prompt_alone_and_names_the_model_first() -> None:
    (dialogue,) = dialogues_of([pair()], Mix(1, 0))
    assert dialogue.prompt == memory.question("a fox, pixel art")
    assert "Tiny" not in dialogue.prompt.user
    assert dialogue.answer == '["Tiny Pixels","Checkpoint","SD 1.5",640,512,"Euler a",23,7]'
    assert memory.read(dialogue.answer)["sampling_steps"] == 23
    with pytest.raises(EngineError, match="list of eight"):
        memory.read("[1,2]")
    with pytest.raises(EngineError, match="is not a call"):
        memory.read("Tiny Pixels")


def test_answers_in_both_forms_are_callable(make_agent: Any) -> None:
    catalog = make_agent().catalog
    (by_list,), (by_memory,) = dialogues_of([pair()], Mix(0, 0)), dialogues_of([pair()], Mix(1, 0))
    candidate_lines = by_list.prompt.user.split("\n")[:-1]
    cards = [next(card for card in CARDS if short_name(card.name) in line) for line in candidate_lines]
    assert answer_flaw(answer.resolve(*answer.read(by_list.answer), cards), catalog) is None
    assert answer_flaw(memory.read(by_memory.answer), catalog) is None


def test_labels_are_the_answers_token_ids_and_ignored_before(tiny: TransformersEngine) -> None:
    vocabulary = Vocabulary(tiny.chat)
    (dialogue,) = dialogues_of([pair()], Mix(0, 0))
    example = tokenise(dialogue, tiny.chat, vocabulary)
    prompt_ids = tiny.chat.prompt_ids(dialogue.prompt)
    assert example.ids[: len(prompt_ids)] == prompt_ids
    assert example.labels[: len(prompt_ids)] == [-100] * len(prompt_ids)
    assert IGNORED not in example.labels[len(prompt_ids) :]
    assert example.labels[len(prompt_ids)] == tiny.chat.encode(dialogue.answer[0])[0]  # the letter, one token
    assert example.labels[-1] == tiny.chat.end_ids[0] == 2
    assert tiny.chat.decode(example.labels[len(prompt_ids) : -1]) == dialogue.answer
    first, last = example.parameters
    assert tiny.chat.decode(example.ids[len(prompt_ids) : first])[1:] == " Tiny Pixels = ["
    assert tiny.chat.decode(example.ids[first:last]) == '640,512,"Euler a",23,7'
    assert tiny.chat.decode(example.ids[last:-1]) == "]"


def test_a_label_mask_on_literal_ids() -> None:
    assert TrainingExample("memory", [5, 6, 7, 8, 2], 3, [3, 4]).labels == [-100, -100, -100, 8, 2]


@pytest.mark.parametrize("name", ["Tiny Pixels", 'Oil "Masters" {v2}', "日本 😀", "a\\b", "x, [y]"])
@pytest.mark.parametrize("form", ["candidates", "memory"])
def test_answers_are_spelt_in_the_tokens_that_decoding_writes(
    tiny: TransformersEngine, name: str, form: str
) -> None:
    """Force the decoder through the same answer, and record what it consumes."""
    vocabulary = Vocabulary(tiny.chat)
    card = replace(PIXELS, name=name)
    share = Mix(memory=1 if form == "memory" else 0, absent=0)
    (dialogue,) = dialogues_of([pair(card, (card, OIL, INK))], share)
    token_log: list[int] = []

    class Recorded:
        """The matcher, which remembers what it was given."""

        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def consume_tokens(self, tokens: list[int]) -> Any:
            token_log.extend(tokens)
            return self.inner.consume_tokens(tokens)

        def __getattr__(self, attribute: str) -> Any:
            return getattr(self.inner, attribute)

    class Recording(Vocabulary):
        """A vocabulary with recorded matchers."""

        def matcher(self, grammar: Any) -> Any:
            return Recorded(super().matcher(grammar))

    whole = dialogue.answer.encode()

    def score(prefix: list[int], tokens: list[int], guess: Any) -> Any:
        rest = whole[len(vocabulary.text(prefix)) :]
        return np.array([100.0 * vocabulary.begins(token, rest) for token in tokens], np.float32)

    assert write(dialogue.grammar, Recording(tiny.chat), score) == dialogue.answer
    assert spell(dialogue.grammar, vocabulary, dialogue.answer) == [
        token for token in token_log if token != 2
    ]


def test_what_is_outside_the_grammar_cannot_be_spelt(tiny: TransformersEngine) -> None:
    (dialogue,) = dialogues_of([pair()], Mix(0, 0))
    with pytest.raises(EngineError, match="outside the request's grammar"):
        spell(dialogue.grammar, Vocabulary(tiny.chat), dialogue.answer + "!")


def test_batches_are_of_one_form_and_like_length() -> None:
    rng = np.random.default_rng(0)
    examples = [
        TrainingExample("memory" if i % 4 == 0 else "candidates", [i] * int(rng.integers(3, 60)), 2, [2, 3])
        for i in range(203)
    ]
    ordered = in_batches(examples, 8, np.random.default_rng(1))
    assert sorted(example.ids for example in ordered) == sorted(example.ids for example in examples)
    batches = [ordered[i : i + 8] for i in range(0, 200, 8)]
    assert all(len({example.form for example in batch}) == 1 for batch in batches[:-1])
    spread = np.mean(
        [max(map(len, ids)) - min(map(len, ids)) for ids in ([o.ids for o in b] for b in batches)]
    )
    assert spread < 12  # of 57 without sorting
    lengths = [len(batch[0].ids) for batch in batches[:-1]]
    assert lengths != sorted(lengths)  # batches themselves come in random order
    assert ordered == in_batches(examples, 8, np.random.default_rng(1))


def test_shares_beyond_one_are_refused() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Mix(0, 1.5)
