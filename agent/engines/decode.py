"""Fused constrained decoding: from a grammar and a model's logits to the answer's text.

At a position where the grammar allows several tokens t after the prefix x, the answer takes

    argmax_t  w · log p_llm(t | x, t legal)  +  log p_prior(t)

where a token's prior is that of the best answer through it, so that with w = 0 the answer is the most
probable one (a sum over answers would favour tokens that many poor options share). A token is legal if it
begins the tokenizer's own spelling of an option. Forced text costs no forward pass.

A draft is a guess of the rest: it goes through the model together with the required tokens, so that the
logits of later positions are ready wherever it proves right. It never changes the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from diffagent.agent.engines.grammar import Grammar
from diffagent.data.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from diffagent.agent.engines.chat import Chat

WINDOW = 64
"""Bytes of text that determine its first token; tokenizers split at words long before."""

KNOWN_TEXTS = 1 << 16
"""The most texts with a cached first token: a grammar over a whole catalog repeats them."""

NONE = -1
"""No token."""

Guess = Callable[[], list[int]]
Score = Callable[[list[int], list[int], Guess], "NDArray[np.float32]"]
"""``score(done, tokens, guess)``: logits of ``tokens`` as the next one after the answer's tokens ``done``.
``guess()`` returns tokens that probably follow ``done``."""
ReadLogits = Callable[[list["Place"]], Sequence["NDArray[np.float32]"]]
"""Returns for each place the logits of its tokens."""


class Vocabulary:
    """The tokenizer as llguidance sees it: inside a text, where SentencePiece adds no space. Training,
    choosing and writing all use it, so that a label is the same token in all three."""

    def __init__(self, chat: Chat) -> None:
        from llguidance import LLTokenizer

        self._tokenizer = LLTokenizer(chat.source, eos_token=chat.end_ids[0], slices=[])
        self.end = chat.end_ids[0]
        self._first_token = lru_cache(KNOWN_TEXTS)(self._cut)

    def matcher(self, grammar: Grammar) -> Any:
        """Returns a matcher at the start of ``grammar``. Raises :class:`EngineError` if it does not
        compile."""
        from llguidance import LLMatcher

        matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_lark(grammar.to_lark()), log_level=0)
        if matcher.is_error():
            reason = " ".join(matcher.get_error().split())[:200]
            raise EngineError(f"the request's grammar does not compile: {reason}")
        return matcher

    def legal(self, matcher: Any) -> frozenset[int]:
        """Returns the tokens that may follow."""
        import numpy as np

        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        if matcher.is_error():
            raise EngineError(f"constrained decoding failed: {' '.join(matcher.get_error().split())[:200]}")
        return frozenset(np.flatnonzero(np.unpackbits(bits, bitorder="little")).tolist())

    def encode(self, text: str) -> list[int]:
        """Returns the token ids of an answer's beginning."""
        return list(self._tokenizer.tokenize_bytes(text.encode("utf-8", "replace")))

    def label_ids(self, options: Sequence[str]) -> list[int]:
        """Returns the single token of each option.

        Raises:
            EngineError: an option has several tokens, or two options share one.
        """
        labels = [self.encode(option) for option in options]
        if len({tuple(label) for label in labels}) != len(labels) or any(len(label) != 1 for label in labels):
            raise EngineError(
                f"the options {list(options)} are not one distinct token each; use labels such as A, B"
            )
        return [label[0] for label in labels]

    def text(self, tokens: Sequence[int]) -> bytes:
        return bytes(self._tokenizer.decode_bytes(list(tokens)))

    def begins(self, token: int, text: bytes) -> bool:
        """Whether ``token`` may be the first of ``text``; the end token begins only the empty text."""
        return not text if token == self.end else text.startswith(self.text([token]))

    def first_token(self, text: bytes) -> int:
        """Returns the token that begins ``text``; the end token for an empty text."""
        return self._first_token(text[:WINDOW])

    def _cut(self, text: bytes) -> int:
        tokens = self._tokenizer.tokenize_bytes(text)
        return int(tokens[0]) if tokens else self.end


@dataclass(frozen=True, eq=False)
class Place:
    """An open place behind the answer's tokens ``done``: several are legal, each with its log-prior."""

    done: tuple[int, ...]
    priors: Mapping[int, float]
    guess: Guess

    def best(self, weight: float, logits: NDArray[np.float32]) -> int:
        """Returns the token to take; ``logits`` are those of the keys of ``priors``, up to a constant."""
        return best(weight, self.priors, logits)


def places(grammar: Grammar, vocabulary: Vocabulary, draft: str = "") -> Generator[Place, int, str]:
    """Generates the open places of one answer: yields a place, receives its token, returns the answer.

    Where the model has no weight the priors decide, and no place is open.

    Raises:
        EngineError: the grammar does not compile, or the vocabulary cannot spell an answer of it.
    """
    matcher = vocabulary.matcher(grammar)
    done: list[int] = []
    while not matcher.is_stopped():
        tokens = forced_tokens(matcher)
        if not tokens:
            priors = legal_priors(grammar, vocabulary, vocabulary.legal(matcher), vocabulary.text(done))
            tokens = [max(priors, key=lambda token: priors[token])]
            if len(priors) > 1 and grammar.llm_weight:
                guess = partial(_guess, grammar, vocabulary, matcher, done, draft)
                tokens = [(yield Place(tuple(done), priors, guess))]
        if tokens[0] == vocabulary.end:
            break
        if not matcher.consume_tokens(tokens):
            raise EngineError(f"constrained decoding failed: {' '.join(matcher.get_error().split())[:200]}")
        done += tokens
    answer = vocabulary.text(done).decode("utf-8", "replace")
    grammar.parse(answer)
    return answer


def write(grammar: Grammar, vocabulary: Vocabulary, score: Score, draft: str = "") -> str:
    """Decodes one answer; see the module's docstring. Raises :class:`EngineError`."""
    walk = places(grammar, vocabulary, draft)
    try:
        place = next(walk)
        while True:
            logits = score(list(place.done), list(place.priors), place.guess)
            place = walk.send(place.best(grammar.llm_weight, logits))
    except StopIteration as end:
        return str(end.value)


def verify(grammar: Grammar, vocabulary: Vocabulary, read_logits: ReadLogits, draft: str = "") -> str:
    """Decodes one answer with few requests: reads all open places of the expected answer at once, and again
    from the first place at which it proves wrong. The answer equals that of :func:`write`.

    Raises:
        EngineError: see :func:`places`.
    """
    tokens_at: dict[tuple[int, ...], int] = {}
    while True:
        expected_tokens: dict[Place, int] = {}
        walk = places(grammar, vocabulary, draft)
        try:
            place = next(walk)
            while True:
                token = tokens_at.get(place.done)
                if token is None:
                    token = expected_tokens[place] = _expected(place, vocabulary, draft)
                place = walk.send(token)
        except StopIteration as end:
            if not expected_tokens:
                return str(end.value)
        for (place, expected), logits in zip(
            expected_tokens.items(), read_logits(list(expected_tokens)), strict=True
        ):
            tokens_at[place.done] = place.best(grammar.llm_weight, logits)
            if tokens_at[place.done] != expected:
                break


def _expected(place: Place, vocabulary: Vocabulary, draft: str) -> int:
    """Returns the draft's token at a place, or the priors' most probable token where the draft fails."""
    prefix, whole = vocabulary.text(place.done), draft.encode("utf-8", "replace")
    token = vocabulary.first_token(whole[len(prefix) :]) if whole.startswith(prefix) else NONE
    return (
        token if token in place.priors else max(place.priors, key=lambda candidate: place.priors[candidate])
    )


def spell(grammar: Grammar, vocabulary: Vocabulary, answer: str) -> list[int]:
    """Returns the tokens in which :func:`write` writes ``answer``, the training target of a model.

    Raises:
        EngineError: the answer is outside the grammar.
    """
    grammar.parse(answer)
    whole = answer.encode()
    tokens = _walk(vocabulary, vocabulary.matcher(grammar), b"", whole)
    if vocabulary.text(tokens) != whole:
        raise EngineError(f"the model's vocabulary cannot spell the answer {answer[:80]!r}")
    return tokens


def forced_tokens(matcher: Any) -> list[int]:
    """Returns the tokens that must follow."""
    tokens: list[int] = matcher.compute_ff_tokens()
    # llguidance reads a special token's name in forced text as that token, which its own grammar refuses
    return tokens[: matcher.validate_tokens(tokens)]


def legal_priors(
    grammar: Grammar, vocabulary: Vocabulary, legal: frozenset[int], prefix: bytes
) -> dict[int, float]:
    """Returns legal token after the text ``prefix`` → log-prior of the best answer through it."""
    priors: dict[int, float] = {}
    for prior, answer in grammar.branches(prefix):
        rest = answer[len(prefix) :]
        token = vocabulary.first_token(rest)
        if token not in legal or not vocabulary.begins(token, rest):
            token = _longest(vocabulary, legal, rest)
        if token != NONE:
            priors[token] = max(prior, priors.get(token, -math.inf))
    if not priors:
        raise EngineError(f"the model's vocabulary cannot spell the rest of the answer {prefix[-80:]!r}")
    return priors


def _longest(vocabulary: Vocabulary, legal: frozenset[int], rest: bytes) -> int:
    """Returns the longest legal token that begins ``rest``, or NONE. Needed where the tokenizer's own first
    token is not legal: after half a character, or at a special token's name."""
    fitting = [token for token in legal if vocabulary.begins(token, rest)]
    return max(fitting, key=lambda token: len(vocabulary.text([token])), default=NONE)


def normalise(logits: NDArray[np.float32]) -> list[float]:
    """Returns log-probabilities, normalised over the logits."""
    import numpy as np

    scores = logits.astype(np.float64)
    scores -= scores.max()
    return list(map(float, scores - np.log(np.exp(scores).sum())))


def best(weight: float, priors: Mapping[int, float], logits: NDArray[np.float32]) -> int:
    """Returns the token of the greatest fused score; ``logits`` are those of the keys of ``priors``."""
    import numpy as np

    scores = weight * np.array(normalise(logits)) + np.array(list(priors.values()))
    return list(priors)[int(np.argmax(scores))]


def _guess(grammar: Grammar, vocabulary: Vocabulary, matcher: Any, done: list[int], draft: str) -> list[int]:
    """Returns tokens that probably follow ``done``: the draft's, or those of the grammar's most probable
    rest.

    Walks a copy of the matcher as :func:`write` does, so that forced text has the same tokens, and stops
    after the last open place, since forced text needs no logits.
    """
    matcher = matcher.deep_copy()
    prefix, whole = vocabulary.text(done), draft.encode("utf-8", "replace")
    if not whole.startswith(prefix):
        whole = max(grammar.branches(prefix), default=(0.0, b""))[1]
    return _walk(vocabulary, matcher, prefix, whole.removesuffix(grammar.tail.encode()))


def _walk(vocabulary: Vocabulary, matcher: Any, prefix: bytes, whole: bytes) -> list[int]:
    """Returns the tokens from ``prefix``, the matcher's position, to the end of ``whole``."""
    spelling: list[int] = []
    while len(prefix) < len(whole) and not matcher.is_stopped():
        tokens = forced_tokens(matcher)
        if not tokens:
            rest = whole[len(prefix) :]
            tokens = [vocabulary.first_token(rest)]
            if not matcher.validate_tokens(tokens) or not vocabulary.begins(tokens[0], rest):
                tokens = [_longest(vocabulary, vocabulary.legal(matcher), rest)]
        if NONE in tokens or not matcher.consume_tokens(tokens):
            break
        spelling += tokens
        prefix += vocabulary.text(tokens)
    return spelling
