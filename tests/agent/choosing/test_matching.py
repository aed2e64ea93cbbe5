"""Matching: term lists and features against sums done by hand, and against plain dictionaries."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_ins import WordEncoder

from diffagent.agent.choosing.matching import FEATURES, Matcher, Requirement
from diffagent.agent.choosing.term_lists import TermIndex, TermLists
from diffagent.agent.choosing.whitening import Whitening
from diffagent.data.catalog.specification import (
    MATCHED,
    WORDS,
    Document,
    PackedSpecification,
    documents,
    specify,
    terms,
    word_terms,
)
from diffagent.data.prompts import plain
from diffagent.data.records import Card, Stats


def lists(*docs: Sequence[int]) -> TermLists:
    ids = [np.array(doc, np.uint32) for doc in docs]
    return TermLists.of(ids, [np.array([len(doc)], np.uint32) for doc in docs])


def index(*docs: Sequence[int]) -> TermIndex:
    return TermIndex.of(lists(*docs))


def ids(*values: int) -> np.ndarray:
    return np.array(values, np.uint32)


# Four documents; term 1 and 3 are in one of them, term 2 in three, term 9 in none:
# idf = log(5 / 2) + 1 = 1.916291, log(5 / 4) + 1 = 1.223144, log(5 / 1) + 1 = 2.609438
FOUR = index([1, 2], [2], [], [2, 3])


def test_idf_is_smoothed() -> None:
    assert FOUR.idf[[1, 2, 3, 9]].tolist() == pytest.approx([1.916291, 1.223144, 1.916291, 2.609438])
    assert len(FOUR.idf) == 2**21


def test_sums_run_over_each_document_and_are_0_for_an_empty_one() -> None:
    four = lists([1, 2], [2], [], [2, 3])
    assert four.sums(np.array([1, 2, 4, 8, 16], np.float32)).tolist() == [3, 4, 0, 24]
    assert lists([], []).sums(np.zeros(0, np.float32)).tolist() == [0, 0]
    assert lists().sums(np.zeros(0, np.float32)).tolist() == []


def test_norms_are_lengths_of_idf_vectors_and_1_for_an_empty_document() -> None:
    # sqrt(1.916291² + 1.223144²) = 2.273378
    assert FOUR.norms.tolist() == pytest.approx([2.273378, 1.223144, 1.0, 2.273378], rel=1e-6)


def test_overlap_and_cosine_on_literal_numbers() -> None:
    query = ids(2, 3, 9)
    overlap = FOUR.overlap(query)
    # 1.223144² = 1.496081, and with 1.916291² = 3.672171 it is 5.168252
    assert overlap.tolist() == pytest.approx([1.496081, 1.496081, 0, 5.168252], rel=1e-6)
    # the query's length is sqrt(1.496081 + 3.672171 + 2.609438²) = 3.460840
    expected = [
        1.496081 / 2.273378 / 3.460840,
        1.223144 / 3.460840,
        0,
        2.273378 / 3.460840,
    ]
    assert FOUR.cosine(query, overlap).tolist() == pytest.approx(expected, rel=1e-5)
    assert FOUR.cosine(ids(), FOUR.overlap(ids())).tolist() == [0, 0, 0, 0]


def test_flagged_terms_keep_their_documents() -> None:
    stored = lists([1 | MATCHED, 2 | WORDS], [], [3 | MATCHED | WORDS])
    matched, words = stored.flagged(MATCHED), stored.flagged(WORDS)
    assert (matched.ids.tolist(), matched.start.tolist()) == ([1, 3], [0, 1, 1, 2])
    assert (words.ids.tolist(), words.start.tolist()) == ([2, 3], [0, 1, 1, 2])


def test_runs_of_documents_join_end_to_end() -> None:
    joined = TermLists.of([ids(1, 2, 3), ids(4)], [np.array([1, 2], np.uint32), np.array([0, 1], np.uint32)])
    assert joined.start.tolist() == [0, 1, 3, 3, 4]
    assert joined.owner.tolist() == [0, 1, 1, 3]


SETS = st.frozensets(st.integers(0, 25), max_size=8)


@settings(deadline=None, max_examples=40)
@given(docs=st.lists(SETS, min_size=1, max_size=8), query=SETS)
def test_cosine_equals_a_dictionarys(docs: list[frozenset[int]], query: frozenset[int]) -> None:
    counts = Counter(term for doc in docs for term in doc)

    def idf(term: int) -> float:
        return math.log((1 + len(docs)) / (1 + counts[term])) + 1

    def length(terms: frozenset[int]) -> float:
        return math.sqrt(sum(idf(term) ** 2 for term in terms)) or 1.0

    shared = [sum(idf(term) ** 2 for term in doc & query) for doc in docs]
    stored, query_ids = index(*map(sorted, docs)), ids(*sorted(query))
    overlap = stored.overlap(query_ids)
    assert overlap.tolist() == pytest.approx(shared, rel=1e-5)
    assert stored.norms.tolist() == pytest.approx([length(doc) for doc in docs], rel=1e-5)
    expected = [dot / length(doc) / length(query) for dot, doc in zip(shared, docs, strict=True)]
    assert stored.cosine(query_ids, overlap).tolist() == pytest.approx(expected, rel=1e-5)


def card(name: str, kind: str = "Checkpoint", **facts: object) -> Card:
    number = len(name)
    return Card(name, kind, "SD 1.5", f"urn:air:sd1:{kind.lower()}:civitai:{number}@1", **facts)  # type: ignore[arg-type]


def doc(prompt: str, vector: tuple[int, int], negative: str = "") -> Document:
    (document,) = documents([(prompt, negative)], WordEncoder())
    return Document(np.array(vector, np.int8), document.prompt, document.negative)


def ask(prompt: str, negative: str = "") -> Requirement:
    """A requirement that points along the first of two dimensions."""
    east = np.array([1, 0], np.float32)
    return Requirement(east, terms(prompt), terms(negative), word_terms(plain(prompt)))


def hub(*models: tuple[Card, list[Document]]) -> Matcher:
    return Matcher.of(
        [c for c, _ in models], [PackedSpecification.read(specify(c, docs)) for c, docs in models]
    )


# int8 steps of 1/360: 120 is a third, 60 a sixth
THREE: tuple[tuple[Card, list[Document]], ...] = (
    (
        card("Anna", tags=("fox",), stats=Stats(downloads=99, rating=4.1, ratings=30)),
        [doc("fox", (120, 0)), doc("snow", (0, 120))],
    ),
    (card("Bert", "LoRA"), [doc("sea", (60, 0))]),
    (card("Fox Maker"), []),
)


def columns(matcher: Matcher, requirement: Requirement) -> dict[str, list[float]]:
    table = matcher.features(requirement)
    assert table.dtype == np.float32
    assert table.shape == (len(matcher), len(FEATURES))
    return {name: table[:, at].tolist() for at, name in enumerate(FEATURES)}


def test_hidden_downloads_count_as_the_medians() -> None:
    shown: list[tuple[Card, list[Document]]] = [
        (card(name, stats=Stats(downloads=n)), []) for name, n in (("A", 9), ("B", 99), ("C", 999))
    ]
    table = columns(hub(*shown, (card("D", stats=Stats(hidden=True)), [])), ask("fox"))
    assert table["downloads"] == pytest.approx([math.log(n) for n in (10, 100, 1000, 100)], abs=1e-5)


def test_every_feature_of_a_hub_of_three_by_hand() -> None:
    table = columns(hub(*THREE), ask("fox"))
    a, b = math.log(4 / 2) + 1, math.log(4 / 1) + 1  # idf of a term in one and in none of three names
    third, sixth = 1 / 3, 1 / 6
    whitening = Whitening.of(np.array([[third, 0], [0, third], [sixth, 0]], np.float32))
    east = whitening(np.array([1, 0], np.float32))
    near, far = (float(whitening(np.array([x, 0], np.float32)) @ east) for x in (third, sixth))
    expected = {
        "term": [1, 0, 0],  # "fox" is all of Anna's first prompt
        "sentence": [third, sixth, 0],
        "negative": [0, 0, 0],
        "positive": [1 + third, sixth, 0],
        "joint": [1 + third, sixth, 0],
        "kernel_positive": [math.log(math.exp(16) + 1) / 12, sixth, 0],
        "kernel_joint": [math.log(math.exp(16) + 1) / 12, sixth, 0],
        "whitened": [near, far, 0],
        "coverage": [1, 0, 0],
        "mean_sentence": [sixth, sixth, 0],
        # "Fox Maker" has the terms fox, maker, fox maker and the phrase; "fox" has fox and the phrase #fox
        "name": [0, 0, a * a / (2 * a * math.hypot(a, b))],
        "name_share": [0, 0, 1 / 4],
        "tags": [1, 0, 0],
        "tags_share": [1, 0, 0],
        "profile": [1, 0, 0],
        "downloads": [math.log(100), 0, 0],
        "rating": [(4.1 * 30 + 4.7 * 10) / 40, 4.7, 4.7],  # drawn towards the usual by ten ratings
        "documents": [math.log(3), math.log(2), 0],
        "is_lora": [0, 1, 0],
        "gap_term": [0, -1, -1],
        "gap_sentence": [0, -sixth, -third],
        "gap_negative": [0, 0, 0],
        "gap_joint": [0, sixth - 4 / 3, -4 / 3],
        "gap_kernel_joint": [0, sixth - 4 / 3, -4 / 3],
        "gap_kernel_positive": [0, sixth - 4 / 3, -4 / 3],
        "gap_whitened": [0, far - near, -near],
        "gap_coverage": [0, -1, -1],
        "has_negative": [0, 0, 0],
        "query_length": [math.log(3)] * 3,  # fox and #fox
        "best_term": [1, 1, 1],
        "best_sentence": [third] * 3,
        "best_negative": [0, 0, 0],
    }
    assert set(expected) == set(FEATURES)
    for name, values in expected.items():
        assert table[name] == pytest.approx(values, abs=1e-6), name


def test_whitening_shrinks_the_axes_that_vary_most() -> None:
    # variances 2 and 0.5, on average 1.25: factors 3.25^(-1/4) = 0.744790 and 1.75^(-1/4) = 0.869442
    whitening = Whitening.of(np.array([[2, 0], [-2, 0], [0, 1], [0, -1]], np.float32) + 7)
    length = math.hypot(0.744790, 0.869442)
    rows = whitening(np.array([[8, 8], [9, 7]], np.float32))
    assert rows[0].tolist() == pytest.approx([0.744790 / length, 0.869442 / length], abs=1e-5)
    assert rows[1].tolist() == pytest.approx([1, 0], abs=1e-5)
    assert rows.dtype == np.float32


@pytest.mark.parametrize("rows", [[], [[0.6, 0.8]], [[0.6, 0.8]] * 3])
def test_embeddings_that_do_not_differ_are_compared_as_they_are(rows: list[list[float]]) -> None:
    whitening = Whitening.of(np.array(rows, np.float32).reshape(-1, 2))
    assert whitening(np.array([3, 4], np.float32)).tolist() == pytest.approx([0.6, 0.8])


def test_coverage_is_the_known_part_of_the_prompt_that_one_document_holds() -> None:
    matcher = hub(
        (card("Anna"), [doc("fox", (0, 0)), doc("snow", (0, 0))]), (card("Bert"), [doc("sea", (0, 0))])
    )
    # fox, snow and their phrases are equally rare; the pair "fox, snow" and "owl" are in no document
    assert columns(matcher, ask("fox, snow, owl"))["coverage"] == pytest.approx([0.5, 0], abs=1e-6)


def test_what_horde_does_not_count_is_the_median_and_not_nothing() -> None:
    counted: list[tuple[Card, list[Document]]] = [(card("A", stats=Stats(n)), []) for n in (9, 99, 9999)]
    matcher = hub(*counted, (card("Horde's", source="horde"), []))
    downloads = columns(matcher, ask("fox"))["downloads"]
    assert downloads == pytest.approx([math.log(10), math.log(100), math.log(10_000), math.log(100)])


def test_a_negative_prompt_adds_its_own_evidence() -> None:
    matcher = hub(
        (card("Anna"), [doc("sea", (0, 0), "blurry"), doc("fox", (0, 0), "")]),
        (card("Bert"), [doc("fox", (0, 0), "ugly, blurry")]),
    )
    table = columns(matcher, ask("fox", "ugly"))
    # three documents; ugly and #ugly are in one; ugly, blurry, their pair and two phrases in Bert's
    rare, common = math.log(4 / 2) + 1, math.log(4 / 3) + 1  # blurry and #blurry are in two of three
    cosine = math.sqrt(2) * rare / math.sqrt(3 * rare**2 + 2 * common**2)
    assert table["negative"] == pytest.approx([0, cosine], abs=1e-6)
    assert table["joint"] == pytest.approx([1, 1 + cosine], abs=1e-6)
    assert table["positive"] == pytest.approx([1, 1], abs=1e-6)
    assert table["gap_negative"] == pytest.approx([-cosine, 0], abs=1e-6)
    assert table["has_negative"] == [1, 1]
    assert table["best_negative"] == pytest.approx([cosine] * 2, abs=1e-6)


def test_the_kernel_sums_documents_and_the_best_one_dominates() -> None:
    matcher = hub(*THREE)
    scores = np.array([0.5, 0.25, -0.1], np.float32)
    # log(e^6 + e^3) / 12 = (6 + log(1 + e^-3)) / 12 = (6 + 0.048587) / 12
    assert matcher.kernel(scores).tolist() == pytest.approx([0.504049, -0.1, 0], abs=1e-6)
    assert matcher.best(scores).tolist() == pytest.approx([0.5, -0.1, 0])


def test_a_hub_without_any_document_is_told_apart_by_its_cards() -> None:
    table = columns(hub((card("Fox"), []), (card("Sea"), [])), ask("fox", "blurry"))
    assert table["name"] == pytest.approx([1, 0], abs=1e-6)
    for name in ("term", "sentence", "joint", "kernel_joint", "mean_sentence", "profile"):
        assert table[name] == [0, 0]
    assert hub((card("Fox"), [])).baseline(ask("fox")).tolist() == [0]


TOKENS = ("fox", "snow", "sea", "harbour", "ink", "red", "the", "of,", "(red:1.2)")
PROMPT = st.lists(st.sampled_from(TOKENS), max_size=6).map(" ".join)
HUB = st.lists(st.lists(st.tuples(PROMPT, PROMPT), max_size=3), min_size=1, max_size=5)


def matcher_of(prompts: list[list[tuple[str, str]]], order: Sequence[int]) -> Matcher:
    encoder = WordEncoder()
    cards = [card(f"Model {i}", tags=("ink",) * (i % 2), stats=Stats(i)) for i in range(len(prompts))]
    return hub(*((cards[i], documents(prompts[i], encoder)) for i in order))


@settings(deadline=None, max_examples=8)
@given(prompts=HUB, sentence=PROMPT, negative=PROMPT, data=st.data())
@pytest.mark.wide
def test_the_order_of_models_does_not_matter(
    prompts: list[list[tuple[str, str]]], sentence: str, negative: str, data: st.DataObject
) -> None:
    requirement = Requirement.of(sentence, negative, WordEncoder())
    order = data.draw(st.permutations(range(len(prompts))))
    plainly = matcher_of(prompts, range(len(prompts)))
    mixed = matcher_of(prompts, order)
    assert np.allclose(mixed.features(requirement), plainly.features(requirement)[order], atol=1e-5)
    assert np.allclose(mixed.baseline(requirement), plainly.baseline(requirement)[order], atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(prompts=HUB, sentence=PROMPT)
@pytest.mark.wide
def test_the_baseline_is_the_best_tf_idf_cosine_plus_the_best_sentence_cosine(
    prompts: list[list[tuple[str, str]]], sentence: str
) -> None:
    encoder = WordEncoder()

    def grams(text: str) -> set[str]:
        words = [w.strip(".,:()") for w in plain(text).split()]
        return {*words, *map(" ".join, pairwise(words))} - {""}

    texts = [prompt for model in prompts for prompt, _ in model]
    counts = Counter(gram for text in texts for gram in grams(text))

    def idf(gram: str) -> float:
        return math.log((1 + len(texts)) / (1 + counts[gram])) + 1

    def cosine(a: set[str], b: set[str]) -> float:
        lengths = [math.sqrt(sum(idf(gram) ** 2 for gram in terms)) or 1.0 for terms in (a, b)]
        return sum(idf(gram) ** 2 for gram in a & b) / lengths[0] / lengths[1]

    bare = plain(sentence)
    query = encoder.encode([bare])[0]

    def score(model: list[tuple[str, str]]) -> float:
        if not model:
            return 0.0
        vocabulary = {gram for gram in grams(sentence) if gram in counts}  # as scikit-learn's vocabulary
        term = max(cosine(vocabulary, grams(prompt)) for prompt, _ in model)
        return term + max(
            float(np.rint(encoder.encode([plain(prompt)])[0] * 360).clip(-127, 127) / 360 @ query)
            for prompt, _ in model
        )

    requirement = Requirement.of(sentence, "", encoder)
    scores = matcher_of(prompts, range(len(prompts))).baseline(requirement)
    assert scores.tolist() == pytest.approx([score(model) for model in prompts], abs=1e-4)


def test_the_baselines_terms_are_scikit_learns_on_known_words() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    prompts = ["a red fox, snow", "a fox in the snow", "the sea", "ink, red ink"]
    sentence = "red fox in snow"
    vectoriser = TfidfVectorizer(token_pattern=r"\w+", ngram_range=(1, 2), binary=True)
    stored = vectoriser.fit_transform(prompts)
    vocabulary = np.concatenate([word_terms(gram) for gram in ("red fox", "fox in", "snow")])  # not "in snow"
    query = np.intersect1d(word_terms(sentence), vocabulary)
    expected = (stored @ vectoriser.transform([sentence]).T).toarray()[:, 0]
    ours = index(*(word_terms(prompt).tolist() for prompt in prompts))
    cosines = ours.cosine(query, ours.overlap(query))
    assert cosines.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
