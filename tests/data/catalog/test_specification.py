"""Specifications: which terms a prompt has, and that a packed specification gives back what went in."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_ins import WordEncoder, invented

from diffagent.data.catalog.specification import (
    IDS,
    MATCHED,
    MAX_CHARACTERS,
    WORDS,
    Document,
    PackedSpecification,
    Terms,
    documents,
    instructions,
    quantise,
    specify,
    terms,
    word_terms,
)
from diffagent.data.errors import BadCatalog
from diffagent.data.prompts import plain
from diffagent.data.records import Card, Sample

CARD = Card(
    name="Ink Fox",
    type="LoRA",
    base_model="SD 1.5",
    air="urn:air:sd1:lora:civitai:1@2",
    tags=("ink", "line art"),
    trigger_words=("inkfox", "sumi style"),
)
TEXT = st.text(max_size=60)


def hashed(*grams: str) -> list[int]:
    """The last 21 bits of CRC-32, sorted."""
    return sorted({zlib.crc32(gram.encode()) % 2**21 for gram in grams})


def test_terms_are_tokens_their_pairs_whole_phrases_and_bare_words() -> None:
    tokens = ("(red:1.2)", "fox", "snow", "(red:1.2) fox", "fox snow")
    assert terms("(Red:1.2) FOX,  snow").tolist() == hashed(
        *tokens, "#(red:1.2) fox", "#snow", "red", "1", "2"
    )
    assert terms(" , ,").tolist() == []


def test_word_terms_are_bare_words_and_their_pairs() -> None:
    assert word_terms("Red fox, red!").tolist() == hashed("red", "fox", "red fox", "fox red")


@given(text=TEXT)
def test_terms_are_sorted_distinct_and_the_same_in_any_case_of_ascii(text: str) -> None:
    for ids in (terms(text), word_terms(text)):
        assert ids.dtype == np.uint32
        assert ids.tolist() == sorted(set(ids.tolist()))
        assert ids.max(initial=0) <= IDS
    ascii_text = text.encode("ascii", "ignore").decode()
    assert terms(ascii_text.upper()).tolist() == terms(ascii_text.lower()).tolist()


def test_words_beyond_the_limit_are_not_matched() -> None:
    filler = "a " * (MAX_CHARACTERS // 2)
    assert terms(f"{filler}dragon").tolist() == terms(filler).tolist()


def test_half_a_surrogate_pair_has_terms_too() -> None:
    assert len(terms("\ud800")) == 2  # the token, and the phrase


def test_a_documents_prompt_terms_say_which_sets_they_belong_to() -> None:
    (doc,) = documents([("(red:1.2) fox", "blurry")], WordEncoder())
    of_terms, of_words = doc.prompt & MATCHED > 0, doc.prompt & WORDS > 0
    assert (doc.prompt[of_terms] & IDS).tolist() == terms("(red:1.2) fox").tolist()
    assert (doc.prompt[of_words] & IDS).tolist() == word_terms("red fox").tolist()
    assert (of_terms | of_words).all()
    # "red fox" is a pair of words, but no pair of tokens
    assert (of_words & ~of_terms).sum() == 1
    assert doc.negative.tolist() == terms("blurry").tolist()


def test_quantise_rounds_to_steps_of_one_360th_and_clips() -> None:
    unit = np.array([[0.0, 1 / 360, -0.0042, 0.3528, 0.9, -0.9]], np.float32)
    assert quantise(unit).tolist() == [[0, 1, -2, 127, 127, -127]]
    assert quantise(unit).dtype == np.int8


def test_documents_of_nothing() -> None:
    assert documents([], WordEncoder()) == []


def split(packed: PackedSpecification) -> list[list[int]]:
    edges = np.cumsum(packed.lengths)[:-1]
    return [part.tolist() for part in np.split(packed.hashed, edges)]


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_a_packed_specification_gives_back_every_list_and_vector(pairs: list[tuple[str, str]]) -> None:
    docs = documents(pairs, WordEncoder())
    packed = PackedSpecification.read(specify(CARD, docs))
    profile = sorted({term for prompt, _ in pairs for term in terms(prompt).tolist()})
    assert split(packed) == [
        *(doc.prompt.tolist() for doc in docs),
        *(terms(negative).tolist() for _, negative in pairs),
        terms("Ink Fox, inkfox, sumi style").tolist(),
        terms("ink, line art").tolist(),
        profile,
    ]
    assert packed.embeddings.shape == (len(docs), 64 if docs else 0)
    assert packed.embeddings.tolist() == [doc.vector.tolist() for doc in docs]


def test_the_layout_is_counts_then_terms_then_vectors() -> None:
    document = Document(np.array([3, -4], np.int8), np.array([7 | MATCHED], np.uint32), _terms(9, 10))
    bare = Card(name="", type="Checkpoint", base_model="SD 1.5", air="")
    blob = specify(bare, [document])
    expected = struct.pack("<2I5I", 1, 2, 1, 2, 0, 0, 1) + struct.pack("<4I", 7 | MATCHED, 9, 10, 7)
    assert blob == expected + bytes([3, 252])


def _terms(*ids: int) -> Terms:
    return np.array(ids, np.uint32)


def test_damaged_bytes_are_refused() -> None:
    blob = specify(CARD, documents([("a fox", "blurry"), ("snow", "")], WordEncoder()))
    for size in range(len(blob)):
        with pytest.raises(BadCatalog, match=f"{size} bytes is damaged"):
            PackedSpecification.read(blob[:size])
    with pytest.raises(BadCatalog, match="import the catalog again"):
        PackedSpecification.read(blob + b"x")
    with pytest.raises(BadCatalog):
        PackedSpecification.read(b"\xff" * len(blob))


def test_instructions_lose_lora_tags_and_the_models_own_trigger_words() -> None:
    prompts = [
        "(InkFox:1.1), a fox <lora:inkfox:0.8>, snow",
        "a fox, snow",  # the same once those are gone
        "sumi_style, a harbour",
        "inkfox <lora:inkfox:1>",  # nothing is left
    ]
    negative = "blurry <lora:neg:1>"
    samples = [Sample(i, 2, prompt, negative) for i, prompt in enumerate(prompts)]
    assert instructions(CARD, samples) == [("a fox, snow", "blurry"), ("a harbour", "blurry")]


def test_other_models_words_stay() -> None:
    assert instructions(CARD, [Sample(1, 2, "pixel art, a fox")]) == [("pixel art, a fox", "")]
    assert plain("pixel art, a fox") == "pixel art, a fox"


def test_a_specification_of_some_documents_is_that_of_those_alone(encoder: WordEncoder) -> None:
    card = invented(5, "Fox", [], tags=("snow",)).card
    docs = documents([("a fox", "blurry"), ("a hare, snow", ""), ("a castle", "text")], encoder)
    whole, mask = PackedSpecification.read(specify(card, docs)), [True, False, True]
    expected = PackedSpecification.read(specify(card, [docs[0], docs[2]]))
    part = whole.only(np.array(mask))
    assert part.lengths.tolist() == expected.lengths.tolist()
    assert part.hashed.tolist() == expected.hashed.tolist()
    assert part.embeddings.tolist() == expected.embeddings.tolist()
    none = whole.only(np.zeros(3, bool))
    assert len(none.embeddings) == 0
    assert none.lengths.tolist() == PackedSpecification.read(specify(card, [])).lengths.tolist()
